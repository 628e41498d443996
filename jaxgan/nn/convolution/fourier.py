"""Convolution and its two adjoints by Fourier transform, which takes fewer operations.

After a discrete Fourier transform, a convolution is one matrix product per frequency, of images by
channels with channels by features: fewer multiplications than one for each output and tap. The
transforms are products with small matrices, so everything runs at the speed of the CPU's matrix
products. Images and kernels are real, so only one of two conjugate frequencies is needed, and one
complex product takes three real ones (Gauss). This gives three real matrices X, K and Y, with one
row for each real product r, such that

    <convolve(x, kernel), y> = sum over r of <(X_r x) (K_r kernel), Y_r y>

and all three functions follow from this form. A convolution of stride s is one of stride 1 over
blocks of s x s pixels, whose pixels become channels. Rounding errors are those of a plain sum.

Source: Mathieu et al., "Fast Training of Convolutional Networks through FFTs" (2014), with matrix
products instead of the FFT.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from jaxgan.types import Padding, Size


class _Axis(NamedTuple):
    """One axis of a convolution, in blocks of `stride` pixels."""

    inputs: int
    taps: int
    outputs: int
    before: int  # blocks of zeros before the input
    lead: int  # zero taps (not blocks) before the kernel, which align its blocks with the input's

    @property
    def period(self) -> int:
        """The shortest period for which no output wraps around to a wrong input."""
        return max(self.inputs + self.before, self.outputs + self.taps - 1 - self.before)


class _Algorithm(NamedTuple):
    """The three matrices, [products, places], and the layout of pixels in blocks."""

    x: Array
    kernel: Array
    y: Array
    axes: tuple[_Axis, _Axis]
    stride: int

    def split(self, x: Array) -> Array:
        """Arranges the input `[B, H, W, C]` as `[blocks, B, stride * stride * C]`."""
        counts = [axis.inputs for axis in self.axes]
        return jax.vmap(lambda one: _split(one, self.stride, counts, (0, 0)), 0, 1)(x)

    def join(self, blocks: Array, size: Size) -> Array:
        """Undoes `split`."""
        counts = [axis.inputs for axis in self.axes]
        return jax.vmap(lambda one: _join(one, self.stride, counts, (0, 0), size), 1, 0)(blocks)

    def split_kernel(self, kernel: Array) -> Array:
        """Arranges the kernel `[h, w, C, F]` as `[blocks, stride * stride * C, F]`."""
        counts, leads = [axis.taps for axis in self.axes], [axis.lead for axis in self.axes]
        return jax.vmap(lambda one: _split(one, self.stride, counts, leads), -1, -1)(kernel)

    def join_kernel(self, blocks: Array, size: Size) -> Array:
        """Undoes `split_kernel`."""
        counts, leads = [axis.taps for axis in self.axes], [axis.lead for axis in self.axes]
        return jax.vmap(lambda one: _join(one, self.stride, counts, leads, size), -1, -1)(blocks)

    def split_output(self, y: Array) -> Array:
        """Arranges the output `[B, P, Q, F]` as `[places, B, F]`."""
        return y.reshape(y.shape[0], -1, y.shape[3]).swapaxes(0, 1)

    def join_output(self, places: Array) -> Array:
        """Undoes `split_output`."""
        rows, columns = (axis.outputs for axis in self.axes)
        return places.swapaxes(0, 1).reshape(-1, rows, columns, places.shape[2])


def convolve(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    """Computes `jaxgan.nn.convolution.convolve`.

    `[B, H, W, C]`, `[h, w, C, F]` -> `[B, P, Q, F]`.
    """
    by = _algorithm(x.shape[1:3], kernel.shape[:2], stride, padding, x.dtype)
    products = jnp.einsum(
        "rbc,rcf->rbf",
        _transform(by.x, by.split(x)),
        _transform(by.kernel, by.split_kernel(kernel)),
    )
    return by.join_output(_transform(by.y.T, products))


def transpose(y: Array, kernel: Array, stride: int, padding: Padding, size: Size) -> Array:
    """Computes `jaxgan.nn.convolution.transpose`.

    `[B, P, Q, F]`, `[h, w, C, F]` -> `[B, H, W, C]`.
    """
    by = _algorithm(size, kernel.shape[:2], stride, padding, y.dtype)
    products = jnp.einsum(
        "rbf,rcf->rbc",
        _transform(by.y, by.split_output(y)),
        _transform(by.kernel, by.split_kernel(kernel)),
    )
    return by.join(_transform(by.x.T, products), size)


def correlate(x: Array, y: Array, stride: int, padding: Padding, size: Size) -> Array:
    """Computes `jaxgan.nn.convolution.correlate`.

    `[B, H, W, C]`, `[B, P, Q, F]` -> `[h, w, C, F]`.
    """
    by = _algorithm(x.shape[1:3], size, stride, padding, x.dtype)
    products = jnp.einsum(
        "rbc,rbf->rcf",
        _transform(by.x, by.split(x)),
        _transform(by.y, by.split_output(y)),
    )
    return by.join_kernel(_transform(by.kernel.T, products), size)


def saving(x: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: Padding) -> float:
    """Computes how many times fewer operations this method takes than the definition.

    Args:
        x: shape of the input, `(B, H, W, C)`.
        kernel: shape of the kernel, `(h, w, C, F)`.
        stride: in both directions.
        padding: zeros around the input.

    Returns:
        The ratio, which is the same for all three functions; below 1 where it takes more.
    """
    batch, *size, channels = x
    *tap_counts, _, features = kernel
    axes = _axes(tuple(size), tuple(tap_counts), stride, padding)
    direct = batch * channels * features
    for pixels, taps, (before, _), axis in zip(size, tap_counts, padding, axes, strict=True):
        met = np.arange(axis.outputs)[:, None] * stride + np.arange(taps) - before
        direct *= int(((met >= 0) & (met < pixels)).sum())  # XLA skips padding
    inputs, taps, outputs = (math.prod(counts) for counts in list(zip(*axes, strict=True))[:3])
    deep = stride * stride * channels
    of_each = inputs * batch * deep + taps * deep * features + outputs * batch * features
    return direct / (_products(axes) * (of_each + batch * deep * features))


@lru_cache
def _axes(
    size: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: Padding
) -> tuple[_Axis, _Axis]:
    def axis(pixels: int, taps: int, before: int, after: int) -> _Axis:
        lead = -before % stride
        return _Axis(
            inputs=math.ceil(pixels / stride),
            taps=math.ceil((lead + taps) / stride),
            outputs=(before + pixels + after - taps) // stride + 1,
            before=(before + lead) // stride,
            lead=lead,
        )

    return axis(size[0], kernel[0], *padding[0]), axis(size[1], kernel[1], *padding[1])


def _products(axes: tuple[_Axis, _Axis]) -> int:
    """Counts the real products: the rows of the three matrices."""
    frequencies = math.prod(axis.period for axis in axes)
    own = math.prod(2 - axis.period % 2 for axis in axes)  # those that are their own conjugates
    return own + 3 * (frequencies - own) // 2


def _algorithm(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: int,
    padding: Padding,
    dtype: jnp.dtype,
) -> _Algorithm:
    axes = _axes(size, kernel, stride, padding)
    x, k, y = (jnp.asarray(matrix, dtype) for matrix in _matrices(axes))
    return _Algorithm(x, k, y, axes, stride)


@lru_cache
def _matrices(axes: tuple[_Axis, _Axis]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    periods = np.array([axis.period for axis in axes])
    every = list(product(*(range(period) for period in periods)))
    conjugates = [tuple(-np.array(frequency) % periods) for frequency in every]
    pairs = [pair for pair in zip(every, conjugates, strict=True) if pair[0] <= pair[1]]
    own = np.array([frequency == conjugate for frequency, conjugate in pairs])
    frequencies = np.array([frequency for frequency, _ in pairs]) / periods

    def waves(sign: int, starts: Sequence[int], counts: Sequence[int]) -> NDArray[np.complex128]:
        places = np.indices(counts).reshape(2, -1) + np.array(starts)[:, None]
        return np.exp(2j * np.pi * sign * frequencies @ places)

    x = waves(1, (0, 0), [axis.inputs for axis in axes])
    k = waves(-1, [-axis.before for axis in axes], [axis.taps for axis in axes])
    y = waves(-1, (0, 0), [axis.outputs for axis in axes])
    y *= np.where(own, 1, 2)[:, None] / periods.prod()

    def rows(of_own: np.ndarray, *of_pairs: np.ndarray) -> np.ndarray:
        return np.concatenate([of_own[own], *(of_pair[~own] for of_pair in of_pairs)])

    # Sums to Re(x k y): three real products, or one where all factors are real.
    return (
        rows(x.real, x.real, x.real + x.imag, x.imag),
        rows(k.real, k.real - k.imag, k.real, k.real + k.imag),
        rows(y.real, y.imag, y.real - y.imag, -y.real),
    )


def _transform(matrix: Array, blocks: Array) -> Array:
    return jnp.einsum("rm,mij->rij", matrix, blocks)


def _split(picture: Array, stride: int, counts: Sequence[int], leads: Sequence[int]) -> Array:
    rows, columns = counts
    pads = [
        (lead, count * stride - lead - pixels)
        for count, lead, pixels in zip(counts, leads, picture.shape[:2], strict=True)
    ]
    whole = jnp.pad(picture, (*pads, (0, 0)))
    blocks = whole.reshape(rows, stride, columns, stride, -1).swapaxes(1, 2)
    return blocks.reshape(rows * columns, -1)


def _join(
    blocks: Array, stride: int, counts: Sequence[int], leads: Sequence[int], size: Size
) -> Array:
    rows, columns = counts
    blocks = blocks.reshape(rows, columns, stride, stride, -1).swapaxes(1, 2)
    whole = blocks.reshape(rows * stride, columns * stride, -1)
    (top, left), (height, width) = leads, size
    return whole[top : top + height, left : left + width]
