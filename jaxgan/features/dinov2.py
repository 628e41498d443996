"""DINOv2 as a feature extractor, with weights from a file of the user's.

ViT-L/14 evaluates: its features are the class token after the last norm. ViT-B/14 teaches: GAT's D
learns to see what it sees in reals, with that token and those of patches. Images are prepared as in
dgm-eval, the code of Stein et al., whose Frechet distance of the former, FD_DINOv2, papers cite.

Sources: Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2023); Stein
et al., "Exposing Flaws of Generative Model Evaluation Metrics and Their Unfair Treatment of
Diffusion Models" (2023).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float

from jaxgan.core.state import TrainState
from jaxgan.features.extractor import Extractor, Features, hash_weights, in_full_precision
from jaxgan.features.resizing import cubic, in_colors, normalize_colors, pillow_bytes
from jaxgan.features.transformer import (
    Size,
    Tokens,
    along_last,
    attend,
    dense,
    embed,
    gelu,
    nest,
    normalize,
)
from jaxgan.features.weights import import_weights, load_weights
from jaxgan.interop import StateDict, fit_shapes
from jaxgan.types import Images

SOURCE = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vit{0}14/dinov2_vit{0}14_pretrain.pth"
LARGE = Size()
BASE = Size(width=768, depth=12, heads=12)
NAMES = {LARGE: "dinov2", BASE: "dinov2-base"}  # of the imported files
SIDE = 224  # of the network's input, in pixels
EPSILON = 1e-6  # of the norms
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colors


def load() -> Extractor:
    """Returns the extractor with the imported weights.

    Returns:
        The extractor; see `from_state_dict`.

    Raises:
        UserError: if no weights were imported, or their file is damaged.
    """
    return from_state_dict(load_weights(NAMES[LARGE], "DINOv2", SOURCE.format("l")))


def load_base() -> Partial:
    """Returns what ViT-B/14 sees in images, with the imported weights.

    Returns:
        The function; see `make_tokens`. The vectors are of 768 numbers, and the grid is 16 x 16.

    Raises:
        UserError: if no weights were imported, or their file is damaged.
    """
    weights = load_weights(NAMES[BASE], "DINOv2's ViT-B/14", SOURCE.format("b"))
    return make_tokens(weights, BASE)


def import_dinov2(path: Path, size: Size = LARGE) -> Path:
    """Checks a file of weights and copies them to where `load`, or `load_base`, finds them.

    Args:
        path: `dinov2_vitl14_pretrain.pth`, or `dinov2_vitb14_pretrain.pth` of the size `BASE`, or
            the same as safetensors. Nothing in it is executed.
        size: `LARGE` or `BASE`.

    Returns:
        The copy.

    Raises:
        UserError: if the file cannot be read, a weight is missing, unexpected or of the wrong
            shape, or the data directory cannot be written to.
    """
    return import_weights(NAMES[size], path, partial(fit_shapes, shapes=shapes(size)))


def from_state_dict(state_dict: Mapping[str, Any], size: Size = LARGE) -> Extractor:
    """Makes an extractor from a PyTorch state dict.

    Args:
        state_dict: arrays by the names of the original code (`blocks.0.attn.qkv.weight`, ...).
        size: of the network.

    Returns:
        The extractor: 1,024 features, or `size.width`.

    Raises:
        UserError: if a name is missing or unexpected, or a shape is wrong.
    """
    weights = fit_shapes(state_dict, shapes(size))
    return Extractor(
        name="DINOv2 ViT-L/14" if size == LARGE else f"DINOv2 {size}",
        resizing=f"{SIDE}x{SIDE}, bicubic as in Pillow, of bytes",
        weights_hash=hash_weights(TrainState(weights, {}, ())),
        features=Partial(in_full_precision(partial(_features, size)), arrange(weights, size)),
        short="dinov2",
    )


def make_tokens(state_dict: Mapping[str, Any], size: Size = BASE) -> Partial:
    """Makes the function from images to what the network sees in them.

    Args:
        state_dict: arrays by the names of the original code.
        size: of the network.

    Returns:
        A function of images `[B, H, W, C]` in [0, 1], with the weights as its leaves. It returns
        tokens after the last norm: "whole", that of the class, `[B, D]`, and "patches", those of
        a grid of patches, `[B, h, w, D]`.

    Raises:
        UserError: if a name is missing or unexpected, or a shape is wrong.
    """
    weights = fit_shapes(state_dict, shapes(size))
    return Partial(in_full_precision(partial(_tokens, size)), arrange(weights, size))


def shapes(size: Size) -> dict[str, tuple[int, ...]]:
    """Lists the shapes of the weights.

    Args:
        size: of the network.

    Returns:
        Shapes by the names of the original code.
    """
    width, patch = size.width, size.patch
    layers = {
        "norm1": (width,),
        "attn.qkv": (3 * width, width),
        "attn.proj": (width, width),
        "norm2": (width,),
        "mlp.fc1": (4 * width, width),
        "mlp.fc2": (width, 4 * width),
    }
    found = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + size.grid**2, width),
        "mask_token": (1, width),  # for training alone
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for block in range(size.depth):
        for name, shape in layers.items():
            found[f"blocks.{block}.{name}.weight"] = shape
            found[f"blocks.{block}.{name}.bias"] = shape[:1]
        found |= {f"blocks.{block}.ls{i}.gamma": (width,) for i in (1, 2)}
    return found


def arrange(weights: StateDict, size: Size) -> dict[str, Any]:
    """Nests weights, with positions for the size of the input.

    Args:
        weights: arrays by name.
        size: of the network.

    Returns:
        The weights that `forward` takes.
    """
    positions = weights["pos_embed"][0]
    grid = SIDE // size.patch
    fitting = interpolate(positions[1:].reshape(size.grid, size.grid, -1), grid)
    changed = np.concatenate([positions[:1], fitting.reshape(grid**2, -1)])
    return nest(weights | {"pos_embed": changed})


def interpolate(
    positions: Float[np.ndarray, "G G D"], grid: int
) -> Float[np.ndarray, "{grid} {grid} D"]:
    """Interpolates the embeddings of positions, as the original code does.

    Bicubic with a = -0.75, without antialiasing, repeating the border. The code divides places by
    `(grid + 0.1) / G` instead of `grid / G`, and the weights were trained with that.

    Args:
        positions: `[G, G, D]`.
        grid: of the result.

    Returns:
        `[grid, grid, D]`, the same array if the sizes are equal.
    """
    old = len(positions)
    if grid == old:
        return positions
    places = (np.arange(grid) + 0.5) * old / (grid + 0.1) - 0.5
    first = np.floor(places).astype(int) - 1
    matrix = np.zeros((grid, old))
    for neighbor in range(4):
        columns = np.clip(first + neighbor, 0, old - 1)
        np.add.at(matrix, (np.arange(grid), columns), cubic(places - first - neighbor, a=-0.75))
    found = np.einsum("yi,xj,ijd->yxd", matrix, matrix, positions, optimize=True)
    return found.astype(positions.dtype)


def forward(weights: Mapping[str, Any], size: Size, images: Images) -> Tokens:
    """Computes the tokens of prepared images; pure.

    Args:
        weights: of `arrange`.
        size: of the network.
        images: `[B, 224, 224, 3]`, normalized.

    Returns:
        `[B, 1 + T, D]`: the token of the class, then those of T patches, row by row.
    """
    embedding = weights["patch_embed"]["proj"]
    patches = embed(images, embedding["weight"])
    patches = patches + along_last(embedding["bias"], patches)
    first = jnp.broadcast_to(weights["cls_token"], (len(images), 1, size.width))
    x = jnp.concatenate([first, patches], axis=1) + weights["pos_embed"][None]
    for number in range(size.depth):
        block = weights["blocks"][str(number)]
        seen = normalize(x, block["norm1"], EPSILON)
        moved = attend(seen, block["attn"]["qkv"], block["attn"]["proj"], size.heads)
        x = x + along_last(block["ls1"]["gamma"], x) * moved
        seen = normalize(x, block["norm2"], EPSILON)
        moved = dense(gelu(dense(seen, block["mlp"]["fc1"])), block["mlp"]["fc2"])
        x = x + along_last(block["ls2"]["gamma"], x) * moved
    return normalize(x, weights["norm"], EPSILON)


def prepare(images: Images) -> Float[Array, "B 224 224 3"]:
    """Resizes images and normalizes their colors, as dgm-eval does.

    Args:
        images: `[B, H, W, C]` in [0, 1]; C is 3, or 1 for gray, which becomes three equal channels.

    Returns:
        `[B, 224, 224, 3]`.

    Raises:
        UserError: if C is neither 1 nor 3.
    """
    resized = pillow_bytes(in_colors(images, "DINOv2") * 255, SIDE, cubic) / 255
    return normalize_colors(resized, MEAN, DEVIATION)


def _features(size: Size, weights: Mapping[str, Any], images: Images) -> Features:
    return forward(weights, size, prepare(images))[:, 0]


def _tokens(size: Size, weights: Mapping[str, Any], images: Images) -> dict[str, Array]:
    whole, patches = jnp.split(forward(weights, size, prepare(images)), [1], axis=1)
    grid = SIDE // size.patch
    return {"whole": whole[:, 0], "patches": patches.reshape(-1, grid, grid, size.width)}
