"""Resampling of images by two with the low-pass filter (1, 3, 3, 1), and convolutions with it.

Images are surrounded by zeros, so what is resampled darkens at its borders, where
`jax.image.resize` repeats the border instead.

The filter is applied to one axis after the other, as a sum of slices: fast on every device and at
every order of differentiation, which depthwise convolutions on CPUs are not.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), after Zhang,
"Making Convolutional Networks Shift-Invariant Again" (2019).
"""

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxgan.nn.convolution import convolve, transpose

_UNPADDED = ((0, 0), (0, 0))


def upsample(images: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Doubles height and width. Each new pixel is 3/4 of the nearest old one and 1/4 of the next.

    Args:
        images: `[B, H, W, C]`.

    Returns:
        `[B, 2 H, 2 W, C]`: four times the adjoint of `downsample`.
    """
    return _double(_double(images, 1), 2)


def downsample(images: Float[Array, "B H W C"]) -> Float[Array, "B P Q C"]:
    """Halves height and width. Each new pixel is a weighted mean of 4 x 4 old ones.

    Args:
        images: `[B, H, W, C]`.

    Returns:
        `[B, H // 2, W // 2, C]`.
    """
    return _smooth(_smooth(images, 1, 1, stride=2), 2, 1, stride=2)


def convolve_up(
    images: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C F"]
) -> Float[Array, "B 2*H 2*W F"]:
    """Convolves images that are enlarged by two first, for a quarter of the work.

    The kernel is that of a transposed convolution: mirrored, as compared with `convolve_down`.

    Args:
        images: `[B, H, W, C]`.
        kernel: `[3, 3, C, F]`.

    Returns:
        `[B, 2 H, 2 W, F]`: four times the adjoint of `convolve_down`.
    """
    _, height, width, _ = images.shape
    size = (2 * height + 1, 2 * width + 1)
    spread = transpose(images, kernel.swapaxes(2, 3), 2, _UNPADDED, size)
    return 4 * _blur(spread, padding=1)


def convolve_down(
    images: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C F"]
) -> Float[Array, "B P Q F"]:
    """Convolves filtered images with stride 2.

    Args:
        images: `[B, H, W, C]`.
        kernel: `[3, 3, C, F]`.

    Returns:
        `[B, H // 2, W // 2, F]`.
    """
    return convolve(_blur(images, padding=2), kernel, 2, _UNPADDED)


def require_sizes(images: Float[Array, "B H W C"], sizes: int, smallest: int) -> None:
    """Checks that images fit a network that sees several sizes, each half of the one before.

    Args:
        images: `[B, H, W, C]`.
        sizes: how many.
        smallest: the side of the smallest of them.

    Raises:
        ValueError: if the images have another size than the largest.
    """
    side = smallest * 2 ** (sizes - 1)
    if images.shape[1:3] != (side, side):
        raise ValueError(
            f"{sizes} widths are for images of {side} x {side}, not {images.shape[1]} x "
            f"{images.shape[2]}: a network has one width for each size, from "
            f"{smallest} x {smallest} up"
        )


def _blur(x: Array, padding: int) -> Array:
    return _smooth(_smooth(x, 1, padding), 2, padding)


def _smooth(x: Array, axis: int, padding: int, stride: int = 1) -> Array:
    """Filters one axis, padded with zeros at both ends."""
    pads = [(0, 0)] * x.ndim
    pads[axis] = (padding, padding)
    x = jnp.pad(x, pads)
    reach = (x.shape[axis] - 4) // stride * stride + 1
    a, b, c, d = (lax.slice_in_dim(x, i, i + reach, stride, axis) for i in range(4))
    return (a + 3 * (b + c) + d) / 8


def _double(x: Array, axis: int) -> Array:
    """Doubles one axis."""
    pads = [(0, 0)] * x.ndim
    pads[axis] = (1, 1)
    size = x.shape[axis]
    padded = jnp.pad(x, pads)
    before, after = (lax.slice_in_dim(padded, i, i + size, axis=axis) for i in (0, 2))
    pairs = jnp.stack([before + 3 * x, 3 * x + after], axis + 1) / 4
    return pairs.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
