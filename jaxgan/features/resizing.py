"""Resizing, and what else makes images fit a network, as in the programs that papers use.

Pixels have values in 0..255, so that rounding to whole numbers means something.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int32

from jaxgan.types import Images
from jaxgan.util.errors import UserError

Pixels = Float[Array, "B _ _ C"]  # 0..255
Kernel = Callable[[np.ndarray], np.ndarray]  # from distances in pixels to weights
_BITS = 22  # after the point in Pillow's weights


def tensorflow(pixels: Pixels, size: int) -> Pixels:
    """Resizes as `tf.image.resize_bilinear` of TensorFlow 1 does by default.

    Output pixel i is sampled at `i * H / size`, not at `(i + 1/2) * H / size - 1/2` as in newer
    libraries, and interpolates its two neighbors, without antialiasing when shrinking.

    Args:
        pixels: `[B, H, W, C]`.
        size: of the result, S.

    Returns:
        `[B, S, S, C]`.
    """
    return _interpolate(_interpolate(pixels, 2, size), 1, size)


def _interpolate(pixels: Pixels, axis: int, size: int) -> Pixels:
    length = pixels.shape[axis]
    # In float32, as in TensorFlow: rounding may decide which the neighbors are.
    places = np.arange(size, dtype=np.float32) * np.float32(length / size)
    before = places.astype(int)
    after = np.minimum(before + 1, length - 1)
    shape = [1] * pixels.ndim
    shape[axis] = size
    part = jnp.asarray(places - before.astype(np.float32), pixels.dtype).reshape(shape)
    low, high = jnp.take(pixels, before, axis), jnp.take(pixels, after, axis)
    return low + (high - low) * part


def pillow(pixels: Pixels, size: int, kernel: Kernel) -> Pixels:
    """Resizes as Pillow does images of floats (mode F): antialiased, without rounding.

    Args:
        pixels: `[B, H, W, C]`.
        size: of the result, S.
        kernel: `linear` or `cubic`.

    Returns:
        `[B, S, S, C]`, clipped to 0..255, which bicubic interpolation may exceed.
    """
    height, width = (
        jnp.asarray(_weights(length, size, kernel), pixels.dtype) for length in pixels.shape[1:3]
    )
    rows = jnp.einsum("xw,bhwc->bhxc", width, pixels, precision="highest")
    return jnp.clip(jnp.einsum("yh,bhxc->byxc", height, rows, precision="highest"), 0, 255)


def pillow_bytes(pixels: Pixels, size: int, kernel: Kernel) -> Pixels:
    """Resizes as Pillow does images of bytes, bit by bit, with its integer weights.

    Rows come first, as up to Pillow 12.1, which papers used. Newer ones begin with the columns of
    tall images, which rounds other numbers.

    Args:
        pixels: `[B, H, W, C]`, whole numbers but for rounding errors.
        size: of the result, S.
        kernel: `linear` or `cubic`.

    Returns:
        `[B, S, S, C]`, whole numbers in 0..255.
    """

    def interpolate(product: str, length: int, numbers: Int32[Array, "..."]) -> Array:
        weights = np.round(_weights(length, size, kernel) * 2**_BITS).astype(np.int32)
        sums = jnp.einsum(product, weights, numbers)
        return jnp.clip((sums + 2 ** (_BITS - 1)) >> _BITS, 0, 255)

    numbers = jnp.round(pixels).astype(jnp.int32)
    rows = interpolate("xw,bhwc->bhxc", pixels.shape[2], numbers)
    return interpolate("yh,bhxc->byxc", pixels.shape[1], rows).astype(pixels.dtype)


def linear(x: np.ndarray) -> np.ndarray:
    """The triangle, by the distance in pixels."""
    return np.maximum(1 - abs(x), 0)


def cubic(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Keys's kernel, by the distance in pixels; Pillow has a = -0.5, PyTorch -0.75."""
    x = abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _weights(length: int, size: int, kernel: Kernel) -> Float64[np.ndarray, "{size} {length}"]:
    """Weighs the old pixels of a row for each new one; the kernel widens when shrinking."""
    scale = length / size
    centers = (np.arange(size)[:, None] + 0.5) * scale
    weights = kernel((np.arange(length)[None] + 0.5 - centers) / max(scale, 1))
    return weights / weights.sum(axis=1, keepdims=True)


def center_square(images: Images) -> Images:
    """Cuts out the largest square around the center.

    Args:
        images: `[B, H, W, C]`.

    Returns:
        `[B, S, S, C]`, S being the smaller side.
    """
    height, width = images.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, top : top + side, left : left + side]


def in_colors(images: Images, who: str) -> Float[Array, "B _ _ 3"]:
    """Repeats the channel of gray images.

    Args:
        images: `[B, H, W, C]`.
        who: what an error message calls the network.

    Returns:
        `[B, H, W, 3]`.

    Raises:
        UserError: if C is neither 1 nor 3.
    """
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise UserError(f"{who} takes images of 1 or 3 channels, not {channels}")
    return jnp.broadcast_to(images, (*images.shape[:-1], 3))


def normalize_colors(
    images: Float[Array, "B _ _ 3"],
    mean: tuple[float, float, float],
    deviation: tuple[float, float, float],
) -> Float[Array, "B _ _ 3"]:
    """Subtracts a mean from each channel, then divides by a deviation.

    Args:
        images: `[B, H, W, 3]` in [0, 1].
        mean: of each channel.
        deviation: of each channel.

    Returns:
        `[B, H, W, 3]`.
    """
    shape = 1, 1, 1, 3
    return (images - jnp.array(mean).reshape(shape)) / jnp.array(deviation).reshape(shape)
