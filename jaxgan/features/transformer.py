"""The parts of a vision transformer, as functions of weights in PyTorch's layout.

Weights are nested dicts by the names that they have in a state dict, so nothing is converted:

    nest(state_dict)["blocks"]["0"]["norm1"]["weight"]

Source: Dosovitskiy et al., "An Image Is Worth 16x16 Words: Transformers for Image Recognition at
Scale" (2021).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict
from jaxtyping import Array, Float

Layer = Mapping[str, Array]  # its weight and bias
Tokens = Float[Array, "B T D"]
Activation = Callable[[Array], Array]


class Size(NamedTuple):
    """How large a vision transformer is."""

    width: int = 1024  # of a token, D
    depth: int = 24  # number of blocks
    heads: int = 16  # of attention
    patch: int = 14  # side of a patch, in pixels
    grid: int = 37  # patches along a side of the images that the positions in the file are for


def nest(state_dict: Mapping[str, Array | np.ndarray]) -> dict[str, Any]:
    """Nests weights by the parts of their names, and puts them on the device.

    Args:
        state_dict: arrays by name.

    Returns:
        A nested dict.
    """
    return unflatten_dict({name: jnp.asarray(x) for name, x in state_dict.items()}, sep=".")


def embed(
    images: Float[Array, "B S S 3"], kernel: Float[Array, "D 3 P P"]
) -> Float[Array, "B T D"]:
    """Maps the patches of images, row by row, to tokens.

    Args:
        images: `[B, S, S, 3]`; P divides S.
        kernel: of a convolution with stride P.

    Returns:
        `[B, (S / P)^2, D]`.
    """
    batch, side, _, channels = images.shape
    patch = kernel.shape[-1]
    count = side // patch
    patches = images.reshape(batch, count, patch, count, patch, channels)
    tokens = jnp.einsum("byixjc,dcij->byxd", patches, kernel)
    return tokens.reshape(batch, count * count, -1)


def along_last(vector: Float[Array, "D"], x: Array) -> Array:
    """Gives a vector the rank of an array, whose last axis it is added to or multiplies."""
    return jnp.expand_dims(vector, tuple(range(x.ndim - 1)))


def dense(x: Array, layer: Layer) -> Array:
    """Maps `[..., I]` to `[..., O]`."""
    return x @ layer["weight"].T + along_last(layer["bias"], x)


def normalize(x: Array, layer: Layer, epsilon: float) -> Array:
    """Brings the last axis to mean 0 and variance 1, then scales and shifts it."""
    centered = x - x.mean(-1, keepdims=True)
    variance = (centered**2).mean(-1, keepdims=True)
    scale, shift = (along_last(layer[name], x) for name in ("weight", "bias"))
    return centered / jnp.sqrt(variance + epsilon) * scale + shift


def attend(x: Tokens, inputs: Layer, outputs: Layer, heads: int) -> Tokens:
    """Lets each token gather from all others.

    Args:
        x: `[B, T, D]`.
        inputs: the dense layer of queries, keys and values, from D to 3 D.
        outputs: the dense layer of what was gathered, from D to D.
        heads: number of heads, which divides D.

    Returns:
        `[B, T, D]`.
    """
    batch, count, width = x.shape
    projected = dense(x, inputs).reshape(batch, count, 3, heads, width // heads)
    queries, keys, values = jnp.moveaxis(projected, 2, 0)
    products = jnp.einsum("bqhd,bkhd->bhqk", queries, keys) / jnp.sqrt(width / heads)
    gathered = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(products), values)
    return dense(gathered.reshape(x.shape), outputs)


def gelu(x: Array) -> Array:
    """GELU, exactly, as DINOv2 has it."""
    return jax.nn.gelu(x, approximate=False)


def quick_gelu(x: Array) -> Array:
    """GELU by a sigmoid, as CLIP has it."""
    return x * jax.nn.sigmoid(1.702 * x)
