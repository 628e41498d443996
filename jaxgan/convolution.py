"""Two-dimensional convolution and its two adjoints, each the others' gradients.

A convolution is bilinear, so with a cotangent it makes one trilinear form

    <convolve(x, kernel), y> = <x, transpose(y, kernel)> = <kernel, correlate(x, y)>

and the gradients of each of the three functions are the other two. Written out like this rather
than left to automatic differentiation because XLA's CPU backend has fast convolutions for the plain
NHWC/HWIO layout alone: the layouts that differentiation makes are put right at the top level of a
program but not within a loop, where the kernel gradients of a training step run up to 150 times
slower (jax-ml/jax#12868), nor for a strided `lax.conv_transpose`. The functions can be
differentiated in reverse, any number of times.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

Padding = tuple[tuple[int, int], tuple[int, int]]  # (before, after) of height, of width
Size = tuple[int, int]  # height, width


def same_padding(size: Size, kernel: Size, stride: int) -> Padding:
    """Computes the padding with which a convolution's output is the input's size / stride, rounded up.

    Args:
        size: of the input.
        kernel: size of the kernel.
        stride: in both directions.

    Returns:
        The zeros to add on each side; where the sum is odd, one more after than before.
    """
    (top, bottom), (left, right) = lax.padtype_to_pads(size, kernel, (stride, stride), "SAME")
    return (top, bottom), (left, right)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    """Convolves, in the sense of neural networks (the kernel is not flipped).

    Args:
        x: `[B, H, W, C]`.
        kernel: `[h, w, C, F]`.
        stride: in both directions.
        padding: zeros to add around `x`.

    Returns:
        `[B, P, Q, F]`.
    """
    return _conv(x, kernel, padding, stride=stride)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def transpose(y: Array, kernel: Array, stride: int, padding: Padding, size: Size) -> Array:
    """Applies the adjoint of `convolve` by its input: a transposed convolution.

    Args:
        y: `[B, P, Q, F]`.
        kernel: `[h, w, C, F]`.
        stride: of the convolution.
        padding: of the convolution.
        size: height and width of the convolution's input.

    Returns:
        `[B, H, W, C]`, (H, W) being `size`.
    """
    pads = []
    for axis in (0, 1):
        taps = kernel.shape[axis]
        reach = (y.shape[1 + axis] - 1) * stride + 1
        before = taps - 1 - padding[axis][0]
        pads.append((before, size[axis] + taps - 1 - reach - before))
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return _conv(y, flipped, pads, spread=stride)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def correlate(x: Array, y: Array, stride: int, padding: Padding, size: Size) -> Array:
    """Applies the adjoint of `convolve` by its kernel: what a kernel's gradient is.

    Args:
        x: `[B, H, W, C]`.
        y: `[B, P, Q, F]`.
        stride: of the convolution.
        padding: of the convolution.
        size: height and width of the kernel.

    Returns:
        `[h, w, C, F]`, (h, w) being `size`.
    """
    pads = []
    for axis in (0, 1):
        reach = (y.shape[1 + axis] - 1) * stride + 1
        before = padding[axis][0]
        pads.append((before, size[axis] + reach - 1 - x.shape[1 + axis] - before))
    # The batch is what is summed over, so it takes the place of the channels, and those its place.
    kernel = _conv(x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3), pads, dilation=stride)
    return kernel.transpose(1, 2, 0, 3)


def _conv(x: Array, kernel: Array, padding, stride: int = 1, spread: int = 1, dilation: int = 1):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        lhs_dilation=(spread, spread),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _forward(function):
    return lambda a, b, *static: (function(a, b, *static), (a, b))


def _convolve_backward(stride, padding, saved, cotangent):
    x, kernel = saved
    return (
        transpose(cotangent, kernel, stride, padding, x.shape[1:3]),
        correlate(x, cotangent, stride, padding, kernel.shape[:2]),
    )


def _transpose_backward(stride, padding, size, saved, cotangent):
    y, kernel = saved
    return (
        convolve(cotangent, kernel, stride, padding),
        correlate(cotangent, y, stride, padding, kernel.shape[:2]),
    )


def _correlate_backward(stride, padding, size, saved, cotangent):
    x, y = saved
    return (
        transpose(y, cotangent, stride, padding, x.shape[1:3]),
        convolve(x, cotangent, stride, padding),
    )


convolve.defvjp(_forward(convolve), _convolve_backward)
transpose.defvjp(_forward(transpose), _transpose_backward)
correlate.defvjp(_forward(correlate), _correlate_backward)
