"""The image tower of CLIP ViT-L/14 at 336 pixels, as a feature extractor, with the user's weights.

The features have length 1. CMMD, `jaxgan.metrics.cmmd` of them, prepares images as here.

Sources: Radford et al., "Learning Transferable Visual Models from Natural Language Supervision"
(2021); Jayasumana et al., "Rethinking FID: Towards a Better Evaluation Metric for Image Generation"
(2024).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float

from jaxgan.core.state import TrainState
from jaxgan.features.extractor import Extractor, Features, hash_weights, in_full_precision
from jaxgan.features.resizing import (
    center_square,
    cubic,
    in_colors,
    normalize_colors,
    pillow_bytes,
)
from jaxgan.features.transformer import Size, attend, dense, embed, nest, normalize, quick_gelu
from jaxgan.features.weights import import_weights, load_weights
from jaxgan.interop import StateDict, fit_shapes
from jaxgan.types import Images

SOURCE = (
    "open_clip_model.safetensors of https://huggingface.co/timm/vit_large_patch14_clip_336.openai"
)
LARGE = Size(grid=24)
FEATURES = 768
EPSILON = 1e-5  # of the norms
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the colors of its training images
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_TOWER = "visual."


def load() -> Extractor:
    """Returns the extractor with the imported weights.

    Returns:
        The extractor; see `from_state_dict`.

    Raises:
        UserError: if no weights were imported, or their file is damaged.
    """
    return from_state_dict(load_weights("clip", "CLIP", SOURCE))


def import_clip(path: Path) -> Path:
    """Checks a file of weights and copies those of the image tower to where `load` finds them.

    Args:
        path: a state dict of OpenAI's or OpenCLIP's code, saved by PyTorch or as safetensors, not
            OpenAI's own file, which is a program. Nothing in it is executed.

    Returns:
        The copy.

    Raises:
        UserError: if the file cannot be read, a weight is missing, unexpected or of the wrong
            shape, or the data directory cannot be written to.
    """
    return import_weights("clip", path, partial(_tower, size=LARGE, features=FEATURES))


def from_state_dict(
    state_dict: Mapping[str, Any], size: Size = LARGE, features: int = FEATURES
) -> Extractor:
    """Makes an extractor from a PyTorch state dict.

    Args:
        state_dict: arrays by the names of the original code (`visual.conv1.weight`, ...). Those of
            the text tower are left out.
        size: of the network.
        features: of an image.

    Returns:
        The extractor: 768 features, or `features`.

    Raises:
        UserError: if a name is missing or unexpected, or a shape is wrong.
    """
    weights = _tower(state_dict, size, features)
    side = size.patch * size.grid
    return Extractor(
        name="CLIP ViT-L/14@336px" if size == LARGE else f"CLIP {size}",
        resizing=f"the center square, {side}x{side}, bicubic as in Pillow, of bytes",
        weights_hash=hash_weights(TrainState(weights, {}, ())),
        features=Partial(in_full_precision(partial(_features, size)), nest(weights)),
        short="clip",
    )


def shapes(size: Size, features: int) -> dict[str, tuple[int, ...]]:
    """Lists the shapes of the weights of the image tower.

    Args:
        size: of the network.
        features: of an image.

    Returns:
        Shapes by the names of the original code, without "visual.".
    """
    width, patch = size.width, size.patch
    vectors = "ln_pre.weight", "ln_pre.bias", "ln_post.weight", "ln_post.bias"
    found = {
        "class_embedding": (width,),
        "positional_embedding": (1 + size.grid**2, width),
        "conv1.weight": (width, 3, patch, patch),
        "proj": (width, features),
        **dict.fromkeys(vectors, (width,)),
    }
    layers = {
        "ln_1.": (width,),
        "attn.in_proj_": (3 * width, width),
        "attn.out_proj.": (width, width),
        "ln_2.": (width,),
        "mlp.c_fc.": (4 * width, width),
        "mlp.c_proj.": (width, 4 * width),
    }
    for block in range(size.depth):
        for name, shape in layers.items():
            found[f"transformer.resblocks.{block}.{name}weight"] = shape
            found[f"transformer.resblocks.{block}.{name}bias"] = shape[:1]
    return found


def forward(weights: Mapping[str, Any], size: Size, images: Images) -> Features:
    """Computes the features of prepared images; pure.

    Args:
        weights: nested; see `jaxgan.features.transformer.nest`.
        size: of the network.
        images: `[B, S, S, 3]`, normalized, S being `size.patch * size.grid`.

    Returns:
        `[B, F]`, each of length 1.
    """
    patches = embed(images, weights["conv1"]["weight"])
    first = jnp.broadcast_to(weights["class_embedding"], (len(images), 1, size.width))
    x = jnp.concatenate([first, patches], axis=1) + weights["positional_embedding"][None]
    x = normalize(x, weights["ln_pre"], EPSILON)
    for number in range(size.depth):
        block = weights["transformer"]["resblocks"][str(number)]
        attention = block["attn"]
        inputs = {"weight": attention["in_proj_weight"], "bias": attention["in_proj_bias"]}
        seen = normalize(x, block["ln_1"], EPSILON)
        x = x + attend(seen, inputs, attention["out_proj"], size.heads)
        seen = normalize(x, block["ln_2"], EPSILON)
        x = x + dense(quick_gelu(dense(seen, block["mlp"]["c_fc"])), block["mlp"]["c_proj"])
    found = normalize(x[:, 0], weights["ln_post"], EPSILON) @ weights["proj"]
    return found / jnp.linalg.norm(found, axis=1, keepdims=True)


def prepare(images: Images, side: int) -> Float[Array, "B S S 3"]:
    """Cuts out the center, resizes it and normalizes its colors, as CMMD's code does.

    Args:
        images: `[B, H, W, C]` in [0, 1]; C is 3, or 1 for gray, which becomes three equal channels.
        side: of the result, S.

    Returns:
        `[B, S, S, 3]`.

    Raises:
        UserError: if C is neither 1 nor 3.
    """
    square = center_square(in_colors(images, "CLIP"))
    return normalize_colors(pillow_bytes(square * 255, side, cubic) / 255, MEAN, DEVIATION)


def _features(size: Size, weights: Mapping[str, Any], images: Images) -> Features:
    return forward(weights, size, prepare(images, size.patch * size.grid))


def _tower(state_dict: Mapping[str, Any], size: Size, features: int) -> StateDict:
    """Chooses the weights of the image tower, with or without "visual." before their names."""
    prefixed = any(name.startswith(_TOWER) for name in state_dict)
    prefix = _TOWER if prefixed else ""
    tower = {n.removeprefix(prefix): x for n, x in state_dict.items() if n.startswith(prefix)}
    return fit_shapes(tower, shapes(size, features))
