"""Positions on a grid: additive (sines and cosines) and rotary encodings of a transformer's tokens.

Both are fixed, and of row-major grids: token `width * row + column` is at (row, column).
"""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

BASE = 10_000.0  # wavelengths are from 2 pi to nearly this many times as much


def sine_cosine(height: int, width: int, size: int) -> Float[np.ndarray, "T D"]:
    """Computes an embedding of places: sines and cosines of column and row.

    Source: Vaswani et al., "Attention Is All You Need" (2017), section 3.5; for grids, He et al.,
    "Masked Autoencoders Are Scalable Vision Learners" (2022), in whose code columns come first.

    Args:
        height: rows of the grid.
        width: columns of the grid.
        size: numbers of an embedding; 4 divides it.

    Returns:
        `[height * width, size]`, in [-1, 1]: sines and cosines of columns, then of rows.

    Raises:
        ValueError: if 4 does not divide `size`.
    """
    rows, columns = (x[:, None] * _frequencies(size) for x in _places(height, width))
    return np.concatenate([np.sin(columns), np.cos(columns), np.sin(rows), np.cos(rows)], 1)


def rotary_angles(height: int, width: int, size: int) -> Float[np.ndarray, "T P"]:
    """Computes the angles by which `rotate` turns the queries and keys of a grid.

    Half of the pairs of channels turn with the row, the others with the column.

    Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021),
    equation 15; for grids, Fang et al., "EVA-02: A Visual Representation for Neon Genesis" (2023).

    Args:
        height: rows of the grid.
        width: columns of the grid.
        size: channels of a head; 4 divides it.

    Returns:
        `[height * width, size / 2]`, in radians.

    Raises:
        ValueError: if 4 does not divide `size`.
    """
    turns = [x[:, None] * _frequencies(size) for x in _places(height, width)]
    return np.concatenate(turns, 1)


def rotate(x: Float[Array, "B T N H"], angles: Float[Array, "T P"]) -> Float[Array, "B T N H"]:
    """Turns each pair of neighboring channels in its plane.

    The product of two tokens that are turned depends on the difference of their angles.

    Args:
        x: queries or keys of N heads, `[B, T, N, H]`.
        angles: `[T, H / 2]`, in radians.

    Returns:
        `[B, T, N, H]`.
    """
    angles = jnp.asarray(angles)[None, :, None]
    cosines, sines = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)
    first, second = x[..., 0::2], x[..., 1::2]
    turned = [first * cosines - second * sines, second * cosines + first * sines]
    return jnp.stack(turned, -1).reshape(x.shape)


def _places(height: int, width: int) -> Float[np.ndarray, "2 T"]:
    """Rows and columns of all tokens."""
    return np.indices((height, width), float).reshape(2, -1)


def _frequencies(size: int) -> Float[np.ndarray, "1 Q"]:
    if size % 4:
        raise ValueError(f"places on a grid take a multiple of 4 channels, not {size}")
    return BASE ** -(np.arange(size // 4)[None] / (size // 4))
