"""Conversion between uint8 pixels and the value range of a recipe."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Float32, UInt8

from jaxgan.types import Batch


def scale(
    images: UInt8[Array | np.ndarray, "..."], low: float, high: float
) -> Float32[Array, "..."]:
    """Maps pixels to a value range: 0 to `low`, 255 to `high`.

    Args:
        images: uint8, any shape.
        low: the value of black.
        high: the value of white.

    Returns:
        float32 of the same shape, in low..high.
    """
    return low + (high - low) * (jnp.asarray(images, jnp.float32) / 255)


def scaled(low: float, high: float) -> Callable[[Batch], Batch]:
    """Makes the function that scales the images of a batch; see `scale`.

    Args:
        low: the value of black.
        high: the value of white.

    Returns:
        `(batch) -> batch`, of which all but the images stay as they are.
    """
    return lambda batch: {**batch, "image": scale(batch["image"], low, high)}


def unscale(
    images: Float[Array | np.ndarray, "..."], low: float, high: float
) -> UInt8[Array, "..."]:
    """Maps values back to pixels, the inverse of `scale`; values out of range are clipped.

    Args:
        images: floating point, any shape.
        low: the value of black.
        high: the value of white.

    Returns:
        uint8 of the same shape, rounded to the nearest pixel value.
    """
    pixels = (jnp.asarray(images, jnp.float32) - low) / (high - low) * 255
    return jnp.clip(jnp.round(pixels), 0, 255).astype(jnp.uint8)
