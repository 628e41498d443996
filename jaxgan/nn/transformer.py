"""The parts of a transformer of pictures: patches, attention and an MLP, and stacks of blocks.

All dense layers have Xavier's uniform first weights and biases that start at 0.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.nn.positions import rotate
from jaxgan.types import Images

Tokens = Float[Array, "B T D"]
Angles = Float[Array, "T P"]  # P is half of a head's channels

EPSILON = 1e-6  # of RMS norms

#: A dense layer, as all of them are here.
Dense = partial(nn.Dense, kernel_init=nn.initializers.glorot_uniform())


def to_patches(images: Images, patch: int) -> Float[Array, "B T F"]:
    """Cuts images into squares.

    Args:
        images: `[B, H, W, C]`.
        patch: the side of a square.

    Returns:
        `[B, H / patch * W / patch, patch * patch * C]`, row by row.

    Raises:
        ValueError: if `patch` does not divide height and width.
    """
    batch, height, width, channels = images.shape
    if height % patch or width % patch:
        raise ValueError(f"patches of {patch} x {patch} do not divide {height} x {width}")
    cut = images.reshape(batch, height // patch, patch, width // patch, patch, channels)
    return jnp.swapaxes(cut, 2, 3).reshape(batch, -1, patch * patch * channels)


def from_patches(patches: Float[Array, "B T F"], height: int, width: int, patch: int) -> Images:
    """Joins squares to images; undoes `to_patches`.

    Args:
        patches: `[B, height / patch * width / patch, patch * patch * C]`.
        height: of an image.
        width: of an image.
        patch: the side of a square.

    Returns:
        `[B, height, width, C]`.
    """
    batch, _, features = patches.shape
    cut = patches.reshape(batch, height // patch, width // patch, patch, patch, -1)
    return jnp.swapaxes(cut, 2, 3).reshape(batch, height, width, features // patch**2)


def rms_norm(*, gain: bool) -> nn.RMSNorm:
    """Makes the layer that scales each token to a mean square of 1.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019).

    Args:
        gain: whether each channel is then multiplied by a parameter that starts at 1.

    Returns:
        The layer.
    """
    return nn.RMSNorm(EPSILON, use_scale=gain)


class Attention(nn.Module):
    """Self-attention with rotary positions, of queries and keys that are normalized in each head.

    Sources: Vaswani et al., "Attention Is All You Need" (2017), section 3.2; Henry et al.,
    "Query-Key Normalization for Transformers" (2020).
    """

    heads: int  # which divide the width

    @nn.compact
    def __call__(self, inputs: Tokens, angles: Angles) -> Tokens:
        """Maps tokens `[B, T, D]` to the same shape, given their `rotary_angles`.

        Raises:
            ValueError: if the number of heads does not divide D.
        """
        batch, count, width = inputs.shape
        if width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {width}")
        projected = Dense(3 * width, name="inputs")(inputs)
        projected = projected.reshape(batch, count, 3, self.heads, width // self.heads)
        queries, keys, values = (projected[:, :, index] for index in range(3))
        queries = rotate(nn.RMSNorm(EPSILON, name="query_norm")(queries), angles)
        keys = rotate(nn.RMSNorm(EPSILON, name="key_norm")(keys), angles)
        gathered = jax.nn.dot_product_attention(queries, keys, values)
        return Dense(width, name="outputs")(gathered.reshape(inputs.shape))


class SwiGlu(nn.Module):
    """An MLP whose hidden units are products, of about as many parameters as one of `4 * D`.

    Source: Shazeer, "GLU Variants Improve Transformer" (2020), equation 6, with biases.
    """

    @nn.compact
    def __call__(self, inputs: Tokens) -> Tokens:
        """Maps tokens `[B, T, D]` to the same shape."""
        width = inputs.shape[-1]
        gates, values = jnp.split(Dense(2 * hidden_units(width), name="inputs")(inputs), 2, -1)
        return Dense(width, name="outputs")(nn.silu(gates) * values)


def hidden_units(width: int) -> int:
    """Returns how many hidden units an MLP of products has: two thirds of four times the width."""
    return int(2 / 3 * 4 * width)


def recomputed(block: type[nn.Module]) -> type[nn.Module]:
    """Makes a module that recomputes its activations in the backward pass, to save memory.

    Args:
        block: for a `stack`, which keeps the activations between its blocks.

    Returns:
        A module with the fields of `block`, that maps as it does.
    """
    return nn.remat(block, prevent_cse=False)  # within a loop, the compiler cannot undo it


def stack(block: type[nn.Module], depth: int) -> type[nn.Module]:
    """Makes a module of several blocks in a row, each with its own parameters.

    They run in a loop (`nn.scan`), so that many blocks compile as fast as one.

    Args:
        block: a module that maps `(tokens, *others)` to `(tokens, outputs)`.
        depth: how many blocks.

    Returns:
        A module with the fields of `block`, that maps as it does. Parameters and outputs have an
        axis of blocks before their own; `others` are the same for all blocks.
    """
    others: Any = nn.broadcast
    return nn.scan(
        block,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=others,
        length=depth,
    )
