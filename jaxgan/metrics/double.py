"""Numbers of twice float32's precision, for devices without float64: pairs of float32.

A `Double` is the unevaluated sum of two float32, `low` at most half a unit in the last place of
`high`: 48 bits. The algorithms are those of Dekker, "A floating-point technique for extending the
available precision" (1971), and Knuth, "The Art of Computer Programming", volume 2, section 4.2.2.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax


class Double(NamedTuple):
    """Numbers as sums `high + low` of two float32 arrays of one shape."""

    high: Array
    low: Array


def zeros(shape: tuple[int, ...]) -> Double:
    """Makes zeros.

    Args:
        shape: of the array.
    """
    return Double(jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.float32))


def from_int(n: Array) -> Double:
    """Converts whole numbers exactly.

    Args:
        n: int32, any shape, less than 2^31 in size.
    """
    upper = n & ~0xFFF  # no more than 19 bits are left of it
    return sum_of(upper.astype(jnp.float32), (n - upper).astype(jnp.float32))


def sum_of(a: Array, b: Array) -> Double:
    """Adds two float32 arrays without any error.

    Args:
        a: float32.
        b: float32.
    """
    total = a + b
    of_b = total - a
    return Double(total, (a - (total - of_b)) + (b - of_b))


def add(x: Double, y: Double) -> Double:
    """Adds, with a relative error of about 2^-47 of the larger number.

    Args:
        x: one array.
        y: the other.
    """
    high, low = sum_of(x.high, y.high)
    return _renormalize(high, low + (x.low + y.low))


def multiply(x: Double, y: Double) -> Double:
    """Multiplies, with a relative error of about 2^-46.

    Args:
        x: one array.
        y: the other.
    """
    (a1, a2), (b1, b2) = _halves(x.high), _halves(y.high)
    # Exact products alone: whether the compiler fuses one with a sum then makes no difference.
    middle, rest = sum_of(a1 * b2, a2 * b1)
    high, low = sum_of(a1 * b1, middle)
    return _renormalize(high, low + (rest + a2 * b2 + (x.high * y.low + x.low * y.high)))


def to_float64(x: Double) -> np.ndarray:
    """Brings numbers to the host without any error.

    Args:
        x: of any shape.

    Returns:
        float64 of this shape.
    """
    return np.asarray(x.high, np.float64) + np.asarray(x.low, np.float64)


def _renormalize(high: Array, low: Array) -> Double:
    """Moves what it can of `low`, the smaller one, to `high`."""
    total = high + low
    return Double(total, low - (total - high))


def _halves(a: Array) -> tuple[Array, Array]:
    """Splits float32 into two of 12 bits, whose products are exact."""
    upper = lax.reduce_precision(a, exponent_bits=8, mantissa_bits=11)
    return upper, a - upper
