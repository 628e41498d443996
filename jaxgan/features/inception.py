"""Inception as a feature extractor, with weights from a file of the user's.

Papers resize images in several ways before the same network sees them, and their numbers differ by
it. A `Preparation` is one of these ways:

- `TENSORFLOW`, that of the graph itself, which the FID of most papers has;
- `CLEAN`: Parmar et al., "On Aliased Resizing and Surprising Subtleties in GAN Evaluation" (2022),
  clean-fid's mode "clean";
- `FRIENDLY`: Kang et al., "StudioGAN: A Taxonomy and Benchmark of GANs for Image Synthesis" (2023),
  the post-resizer "friendly".
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.networks import linen
from jaxgan.features.extractor import (
    Extractor,
    hash_weights,
    load_network,
    make_features,
    make_logits,
)
from jaxgan.features.inception_network import CLASSES, SHAPE, SIZE, Inception
from jaxgan.features.resizing import cubic, in_colors, linear, pillow, tensorflow
from jaxgan.features.weights import import_weights, load_weights
from jaxgan.interop import StateDict, to_torch_state_dict
from jaxgan.types import Images

SOURCE = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
_MODULE = Inception()
_NETWORK = linen(_MODULE)

Prepared = Float[Array, "B 299 299 3"]


class Preparation(NamedTuple):
    """How images are resized and scaled before Inception sees them."""

    name: str  # in words
    apply: Callable[[Images], Prepared]  # of [B, H, W, C] in [0, 1]; C is 3, or 1 for gray


def _tensorflow(images: Images) -> Prepared:
    return (tensorflow(_pixels(images), SIZE) - 128) / 128


def _clean(images: Images) -> Prepared:
    return (pillow(_pixels(images), SIZE, cubic) - 128) / 128


def _friendly(images: Images) -> Prepared:
    return pillow(_pixels(images), SIZE, linear) / 127.5 - 1


def _pixels(images: Images) -> Images:
    return in_colors(images, "Inception") * 255


TENSORFLOW = Preparation(
    f"{SIZE}x{SIZE}, bilinear as in TensorFlow 1 (corners at 0, no antialiasing)", _tensorflow
)
CLEAN = Preparation(f"{SIZE}x{SIZE}, bicubic as in Pillow, of floats", _clean)
FRIENDLY = Preparation(f"{SIZE}x{SIZE}, bilinear as in Pillow, of floats, / 127.5 - 1", _friendly)


def load(preparation: Preparation = TENSORFLOW) -> Extractor:
    """Returns the extractor with the imported weights.

    Args:
        preparation: of the images.

    Returns:
        The extractor; see `from_state_dict`.

    Raises:
        UserError: if no weights were imported, or their file is damaged.
    """
    return from_state_dict(load_weights("inception", "Inception", SOURCE), preparation)


def from_state_dict(
    state_dict: Mapping[str, Any], preparation: Preparation = TENSORFLOW
) -> Extractor:
    """Makes an extractor from a PyTorch state dict.

    Its logits leave out the last layer's bias, as in the original code of the Inception score
    (Salimans et al., 2016).

    Args:
        state_dict: arrays by the names of the PyTorch port (`Conv2d_1a_3x3.conv.weight`, ...).
        preparation: of the images.

    Returns:
        The extractor: 2,048 features and 1,008 logits.

    Raises:
        UserError: if a name is missing or unexpected, or a shape is wrong.
    """
    net = load_network(_NETWORK, state_dict, SHAPE)
    return Extractor(
        name="InceptionV3, TensorFlow's of 2015-12-05",
        resizing=preparation.name,
        weights_hash=hash_weights(net),
        features=make_features(_MODULE, net, preparation.apply),
        logits=make_logits(net.params["fc"]["kernel"], jnp.zeros(CLASSES)),
        short="inception",
    )


def import_inception(path: Path) -> Path:
    """Checks a file of weights and copies them to where `load` finds them.

    Args:
        path: a state dict of the widely used PyTorch port, saved by PyTorch or as safetensors.
            Nothing in it is executed.

    Returns:
        The copy.

    Raises:
        UserError: if the file cannot be read, a weight is missing, unexpected or of the wrong
            shape, or the data directory cannot be written to.
    """
    return import_weights("inception", path, _fit)


def _fit(state_dict: Mapping[str, Any]) -> StateDict:
    net = load_network(_NETWORK, state_dict, SHAPE)
    return to_torch_state_dict(_NETWORK, net, inputs=jnp.zeros((1, *SHAPE)))
