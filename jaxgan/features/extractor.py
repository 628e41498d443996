"""Feature extractors, and how to run one over many images."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax.tree_util import Partial
from jaxtyping import Array, Float, Float32, UInt8

from jaxgan.core.networks import Network
from jaxgan.core.state import TrainState
from jaxgan.data.scaling import scale
from jaxgan.interop import from_torch_state_dict
from jaxgan.types import Images
from jaxgan.util.errors import UserError
from jaxgan.util.parsing import shown

Features = Float[Array, "B D"]
Logits = Float[Array, "B K"]
Made = TypeVar("Made")


@dataclass(frozen=True)
class Extractor:
    """A pure function from images to features, and what identifies it.

    Any such function will do: `Extractor("pixels", "none", None, flatten)`. A function with large
    arrays should be a `jax.tree_util.Partial` with the arrays among its arguments, which keeps them
    out of the compiled program.
    """

    name: str
    resizing: str  # of the images, in words
    weights_hash: str | None  # see `hash_weights`; None if it has no weights
    features: Callable[[Images], Features]  # of images [B, H, W, C] in [0, 1]
    logits: Callable[[Features], Logits] | None = None  # of a classifier
    short: str = ""  # in names of metrics, such as "digits" in fd_digits; "" for one of the name

    def __post_init__(self):
        short = self.short or re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")
        if not re.fullmatch(r"[a-z0-9_]+", short):
            raise UserError(f"short must be of a-z, 0-9 and _, not {shown(self.short)}: name one")
        object.__setattr__(self, "short", short)


def extract(
    extractor: Extractor, images: np.ndarray, batch_size: int = 128
) -> Float32[np.ndarray, "N D"]:
    """Runs an extractor over images, batch by batch, in one compiled program.

    Args:
        extractor: the extractor.
        images: uint8 [N, H, W, C], at least one.
        batch_size: images at a time.

    Returns:
        The features, float32 [N, D].

    Raises:
        UserError: if these are no uint8 images, or the extractor does not take their shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images) or batch_size < 1:
        raise UserError(
            f"features need uint8 images [N, H, W, C], 1 or more at a time, not {images.dtype} "
            f"{list(images.shape)}, {batch_size} at a time; see jaxgan.data.unscale"
        )
    function = extractor.features
    if not isinstance(function, Partial):
        function = Partial(function)
    batches = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        missing = batch_size - len(batch)
        padded = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
        batches.append(np.asarray(_extract(function, padded), np.float32)[: len(batch)])
    return np.concatenate(batches)


@jax.jit
def _extract(function: Partial, images: UInt8[Array, "B H W C"]) -> Features:
    return function(scale(images, 0.0, 1.0))


def load_network(
    network: Network, state_dict: Mapping[str, Any], shape: tuple[int, int, int]
) -> TrainState:
    """Loads a trained network from a PyTorch state dict.

    Args:
        network: maps images to logits.
        state_dict: arrays by name.
        shape: of one image, (H, W, C).

    Returns:
        Parameters and running averages, float32, without an optimizer state.

    Raises:
        UserError: if a name is missing or unexpected, or a shape is wrong.
    """
    image = np.zeros((1, *shape), np.float32)
    blank = TrainState(*jax.eval_shape(network.init, jax.random.key(0), image), opt_state=())
    return from_torch_state_dict(network, blank, state_dict, inputs=image)


def make_features(
    module: nn.Module, net: TrainState, prepare: Callable[[Images], Images] = lambda images: images
) -> Partial:
    """Makes the function from images to features of a trained network.

    Args:
        module: a network with a method `features`.
        net: its weights.
        prepare: what is done to images before the network sees them.

    Returns:
        A function of images `[B, H, W, C]` in [0, 1], with the weights as its leaves.
    """

    def features(variables: dict, images: Images) -> Features:
        return cast(Features, module.apply(variables, prepare(images), method="features"))

    return Partial(in_full_precision(features), {"params": net.params, **net.collections})


def in_full_precision(function: Callable[..., Made]) -> Callable[..., Made]:
    """Makes a function compute in full float32, also on GPUs and TPUs, where JAX does not.

    Args:
        function: of arrays.

    Returns:
        The same function, but for its precision.
    """

    def precise(*arguments: Any) -> Made:
        with jax.default_matmul_precision("highest"):
            return function(*arguments)

    return precise


def make_logits(kernel: Float[Array, "D K"], bias: Float[Array, "K"]) -> Partial:
    """Makes the function from features to logits, a dense layer; see `make_features`.

    Args:
        kernel: the layer's kernel.
        bias: the layer's bias.

    Returns:
        A function of features `[B, D]`, with the weights as its leaves.
    """
    return Partial(_dense, kernel, bias)


def _dense(kernel: Array, bias: Array, features: Features) -> Logits:
    return jnp.dot(features, kernel, precision="highest") + bias.reshape(1, -1)


def hash_weights(net: TrainState) -> str:
    """Computes the SHA-256 of the names, shapes and values of weights, whatever their file format.

    Args:
        net: the network's parameters and running averages.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    leaves = flatten_dict({"params": net.params, **net.collections}, sep="/")
    for name, leaf in sorted(leaves.items()):
        digest.update(f"{name} {leaf.shape} ".encode() + np.asarray(leaf, "<f4").tobytes())
    return digest.hexdigest()
