"""Convolution of one channel and its two adjoints as one matrix product, which is faster on CPUs.

Each row of the first matrix is a window: the part of the input that a few neighboring outputs in a
row depend on. The second matrix holds the kernel once per such output, shifted (a Toeplitz matrix).
A row of the product is those outputs. A single output depends on too few numbers for a matrix
product to be fast; several together depend on enough, at the price of some multiplications by zero.
With the windows W and the kernel's layout L,

    <convolve(x, kernel), y> = <W(x) L(kernel), y>

and all three functions follow from this form.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.types import Padding, Size

TOGETHER = 4  # at most so many outputs share a window
MOST = 8  # windows in a row: the adjoint adds each of them to the whole row


def suits(x: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: Padding) -> bool:
    """Tells whether this method is fast: for one channel and short rows.

    Args:
        x: shape of the input, `(B, H, W, C)`.
        kernel: shape of the kernel, `(h, w, C, F)`.
        stride: in both directions.
        padding: zeros around the input.

    Returns:
        Whether to use it.
    """
    _, columns = _outputs(x, kernel, stride, padding)
    return x[3] == 1 and columns // _together(columns) <= MOST


def convolve(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    """Computes `jaxgan.nn.convolution.convolve`.

    `[B, H, W, C]`, `[h, w, C, F]` -> `[B, P, Q, F]`.
    """
    rows, columns = _outputs(x.shape, kernel.shape, stride, padding)
    together = _together(columns)
    seen = _windows(x, kernel.shape[:2], stride, padding, together)
    products = seen @ _layout(kernel, stride, together)
    return products.reshape(len(x), rows, columns, kernel.shape[3])


def transpose(y: Array, kernel: Array, stride: int, padding: Padding, size: Size) -> Array:
    """Computes `jaxgan.nn.convolution.transpose`.

    `[B, P, Q, F]`, `[h, w, C, F]` -> `[B, H, W, C]`.
    """
    together = _together(y.shape[2])
    x = jax.ShapeDtypeStruct((len(y), *size, kernel.shape[2]), y.dtype)
    put_back = jax.linear_transpose(
        lambda x: _windows(x, kernel.shape[:2], stride, padding, together), x
    )
    (x,) = put_back(_rows(y, together) @ _layout(kernel, stride, together).T)
    return x


def correlate(x: Array, y: Array, stride: int, padding: Padding, size: Size) -> Array:
    """Computes `jaxgan.nn.convolution.correlate`.

    `[B, H, W, C]`, `[B, P, Q, F]` -> `[h, w, C, F]`.
    """
    together = _together(y.shape[2])
    kernel = jax.ShapeDtypeStruct((*size, x.shape[3], y.shape[3]), y.dtype)
    put_back = jax.linear_transpose(lambda kernel: _layout(kernel, stride, together), kernel)
    (kernel,) = put_back(_windows(x, size, stride, padding, together).T @ _rows(y, together))
    return kernel


def _outputs(
    x: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: Padding
) -> tuple[int, int]:
    """Counts the rows and columns of the output."""
    rows = (sum(padding[0]) + x[1] - kernel[0]) // stride + 1
    columns = (sum(padding[1]) + x[2] - kernel[1]) // stride + 1
    return rows, columns


def _together(columns: int) -> int:
    """Returns how many outputs share a window: a divisor of the number of columns."""
    return max(count for count in range(1, TOGETHER + 1) if columns % count == 0)


def _windows(
    x: Array, kernel: tuple[int, ...], stride: int, padding: Padding, together: int
) -> Array:
    """The input `[B, H, W, C]` as windows `[B * P * Q / together, h * width * C]`."""
    rows, columns = _outputs(x.shape, kernel, stride, padding)
    step = together * stride
    width = step - stride + kernel[1]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    down = [x[:, top : top + rows * stride : stride] for top in range(kernel[0])]
    lines = jnp.stack(down, axis=2)
    starts = range(0, columns // together * step, step)
    windows = jnp.stack([lines[:, :, :, start : start + width] for start in starts], axis=2)
    return windows.reshape(-1, kernel[0] * width * x.shape[3])


def _layout(kernel: Array, stride: int, together: int) -> Array:
    """The kernel `[h, w, C, F]` as the matrix `[h * width * C, together * F]`."""
    rows, taps, channels, features = kernel.shape
    width = (together - 1) * stride + taps
    places = np.arange(width)[:, None, None]
    places = places == np.arange(taps)[:, None] + stride * np.arange(together)
    laid = jnp.einsum("hwcf,vwt->hvctf", kernel, jnp.asarray(places, kernel.dtype))
    return laid.reshape(rows * width * channels, together * features)


def _rows(y: Array, together: int) -> Array:
    """The output `[B, P, Q, F]` as `[B * P * Q / together, together * F]`."""
    return y.reshape(-1, together * y.shape[3])
