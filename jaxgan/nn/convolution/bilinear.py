"""Two-dimensional convolution and its two adjoints, which are each other's gradients.

A convolution is bilinear, so together with a cotangent it defines one trilinear form,

    <convolve(x, kernel), y> = <x, transpose(y, kernel)> = <kernel, correlate(x, y)>

and the gradients of each of the three functions are the other two. They are written out rather than
left to automatic differentiation because XLA's CPU backend is fast for the plain NHWC/HWIO layout
only. It converts the layouts that differentiation produces at the top level of a program, but not
inside a loop, where the kernel gradients of a training step run up to 150 times slower
(jax-ml/jax#12868), and not for a strided `lax.conv_transpose`. The functions support reverse-mode
differentiation of any order.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan.nn.convolution import fourier, windows
from jaxgan.types import Padding, Size

F = TypeVar("F", bound=Callable[..., Array])


def same_padding(size: Size, kernel: Size, stride: int) -> Padding:
    """Computes the padding with which a convolution divides the size of an image by its stride.

    Args:
        size: height and width of the input.
        kernel: height and width of the kernel.
        stride: in both directions.

    Returns:
        The number of zeros before and after, for each axis. An odd total puts one more after.
    """
    (top, bottom), (left, right) = lax.padtype_to_pads(size, kernel, (stride, stride), "SAME")
    return (top, bottom), (left, right)


def _bilinear(gradients: Callable[..., tuple[Array, Array]]) -> Callable[[F], F]:
    """Decorates a function of two arrays and static settings with its gradients.

    Args:
        gradients: `(a, b, cotangent, *settings) -> (gradient of a, gradient of b)`.

    Returns:
        The decorator.
    """

    def decorate(function: F) -> F:
        settings = range(2, len(inspect.signature(function).parameters))
        wrapped = jax.custom_vjp(function, nondiff_argnums=tuple(settings))
        wrapped.defvjp(
            lambda a, b, *settings: (function(a, b, *settings), (a, b)),
            lambda *arguments: gradients(*arguments[-2], arguments[-1], *arguments[:-2]),
        )
        return cast(F, wrapped)

    return decorate


def _convolve_gradients(x, kernel, dy, stride, padding) -> tuple[Array, Array]:
    return (
        transpose(dy, kernel, stride, padding, x.shape[1:3]),
        correlate(x, dy, stride, padding, kernel.shape[:2]),
    )


@_bilinear(_convolve_gradients)
def convolve(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    """Convolves, as neural networks do: the kernel is not flipped.

    Args:
        x: `[B, H, W, C]`.
        kernel: `[h, w, C, F]`.
        stride: in both directions.
        padding: zeros to add around `x`, before and after, for each axis.

    Returns:
        `[B, P, Q, F]`.
    """
    method = fastest(x.shape, kernel.shape, stride, padding, x.dtype)
    return _on_cpus(method.convolve, BY_DEFINITION.convolve, (stride, padding), x, kernel)


def _transpose_gradients(y, kernel, dx, stride, padding, size) -> tuple[Array, Array]:
    return (
        convolve(dx, kernel, stride, padding),
        correlate(dx, y, stride, padding, kernel.shape[:2]),
    )


@_bilinear(_transpose_gradients)
def transpose(y: Array, kernel: Array, stride: int, padding: Padding, size: Size) -> Array:
    """Applies the adjoint of `convolve` with respect to its input: a transposed convolution.

    Args:
        y: `[B, P, Q, F]`.
        kernel: `[h, w, C, F]`.
        stride: of the convolution.
        padding: of the convolution.
        size: height and width of the convolution's input.

    Returns:
        `[B, H, W, C]`, where (H, W) is `size`.
    """
    x = (y.shape[0], *size, kernel.shape[2])
    method = fastest(x, kernel.shape, stride, padding, y.dtype)
    return _on_cpus(method.transpose, BY_DEFINITION.transpose, (stride, padding, size), y, kernel)


def _correlate_gradients(x, y, dkernel, stride, padding, size) -> tuple[Array, Array]:
    return (
        transpose(y, dkernel, stride, padding, x.shape[1:3]),
        convolve(x, dkernel, stride, padding),
    )


@_bilinear(_correlate_gradients)
def correlate(x: Array, y: Array, stride: int, padding: Padding, size: Size) -> Array:
    """Applies the adjoint of `convolve` with respect to its kernel: the kernel's gradient.

    Args:
        x: `[B, H, W, C]`.
        y: `[B, P, Q, F]`.
        stride: of the convolution.
        padding: of the convolution.
        size: height and width of the kernel.

    Returns:
        `[h, w, C, F]`, where (h, w) is `size`.
    """
    kernel = (*size, x.shape[3], y.shape[3])
    method = fastest(x.shape, kernel, stride, padding, x.dtype)
    return _on_cpus(method.correlate, BY_DEFINITION.correlate, (stride, padding, size), x, y)


class Method(NamedTuple):
    """A method of computing the three functions."""

    convolve: Callable[..., Array]
    transpose: Callable[..., Array]
    correlate: Callable[..., Array]


def fastest(
    x: tuple[Any, ...], kernel: tuple[int, ...], stride: int, padding: Padding, dtype: jnp.dtype
) -> Method:
    """Chooses the fastest method on a CPU.

    Args:
        x: shape of the input, `(B, H, W, C)`. If B is symbolic (see `jax.export`), nothing is
            known to be faster than the definition.
        kernel: shape of the kernel, `(h, w, C, F)`.
        stride: in both directions.
        padding: zeros around the input.
        dtype: of all arrays.

    Returns:
        The method, the same for all three functions, so that their transforms can be shared.
    """
    if dtype in (jnp.float32, jnp.float64) and isinstance(x[0], int):
        if windows.suits(x, kernel, stride, padding):
            return Method(windows.convolve, windows.transpose, windows.correlate)
        if fourier.saving(x, kernel, stride, padding) >= 1:
            return Method(fourier.convolve, fourier.transpose, fourier.correlate)
    return BY_DEFINITION


@partial(jax.jit, static_argnums=(0, 1, 2), inline=True)  # traced once for layers of one shape
def _on_cpus(
    function: Callable[..., Array],
    elsewhere: Callable[..., Array],
    settings: tuple[Any, ...],
    a: Array,
    b: Array,
) -> Array:
    if function is elsewhere:
        return function(a, b, *settings)
    return lax.platform_dependent(
        a,
        b,
        cpu=lambda a, b: function(a, b, *settings),
        default=lambda a, b: elsewhere(a, b, *settings),
    )


def _convolve(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    return _conv(x, kernel, padding, stride=stride)


def _transpose(y: Array, kernel: Array, stride: int, padding: Padding, size: Size) -> Array:
    pads = []
    for axis in (0, 1):
        taps = kernel.shape[axis]
        reach = (y.shape[1 + axis] - 1) * stride + 1
        before = taps - 1 - padding[axis][0]
        pads.append((before, size[axis] + taps - 1 - reach - before))
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return _conv(y, flipped, pads, spread=stride)


def _correlate(x: Array, y: Array, stride: int, padding: Padding, size: Size) -> Array:
    pads = []
    for axis in (0, 1):
        reach = (y.shape[1 + axis] - 1) * stride + 1
        before = padding[axis][0]
        pads.append((before, size[axis] + reach - 1 - x.shape[1 + axis] - before))
    # The sum is over the batch, so batch and channels trade places.
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


BY_DEFINITION = Method(_convolve, _transpose, _correlate)
