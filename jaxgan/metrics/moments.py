"""Mean and covariance of a stream of features, on the device and as exact as float64.

    update = jax.jit(lambda state, images: moments.update(state, extract(images)))
    state = moments.init(size)
    for images in batches:
        state = update(state, images)
    statistics = moments.result(state)

float32 sums do not do: the square root in the Frechet distance turns an error of 1e-7 in an
eigenvalue near 0 into 3e-4, a thousand times over. So features are cut into slices of 8 bits (Ozaki
et al., "Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication", 2012), whose products a float32 matrix product adds up without any rounding, at the
lowest precision that a device has; and the products are summed as pairs of float32.

Sums are taken about the mean of the first batch, so that a mean far from 0 costs no precision.
"""

from itertools import combinations_with_replacement
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Float64, Int32

from jaxgan.metrics import double
from jaxgan.metrics.double import Double
from jaxgan.metrics.inputs import Numbers, check_features
from jaxgan.util.errors import UserError

# Slices are whole numbers of up to 2^7 in size, which bfloat16 has too. 1024 products of them sum
# to 2^24 at most, up to which float32 has every whole number.
_ROWS = 1024
_SLICES = 4


class Moments(NamedTuple):
    """Sums over the features seen so far; two of them can be merged."""

    count: Int32[Array, ""]
    center: Float[Array, "D"]  # what the sums are taken about
    total: Double  # [D], the sum of the deviations from the center
    products: Double  # [D, D], its symmetric part is the sum of their outer products


class Statistics(NamedTuple):
    """Mean and covariance of features."""

    count: int
    mean: Float64[np.ndarray, "D"]
    covariance: Float64[np.ndarray, "D D"]  # divided by count - 1


def init(size: int) -> Moments:
    """Makes the state that has seen nothing.

    Args:
        size: numbers in one sample's features.

    Returns:
        A state.
    """
    return Moments(
        jnp.int32(0),
        jnp.zeros(size, jnp.float32),
        double.zeros((size,)),
        double.zeros((size, size)),
    )


def update(state: Moments, features: Float[Array | np.ndarray, "B D"]) -> Moments:
    """Takes in a batch of features. Can be jitted, mapped and scanned over.

    Args:
        state: the state so far.
        features: float32 [B, D], B at least 1. What is not finite shows in `result`.

    Returns:
        The state that has seen them too.
    """
    batch = len(features)
    features = jnp.asarray(features, jnp.float32)
    center = jnp.where(state.count > 0, state.center, _middle(features))
    rows = min(batch, _ROWS)
    padding = ((0, -batch % rows), (0, 0))
    deviations = jax.tree.map(  # exact; those of the padding are 0
        lambda x: jnp.pad(x, padding).reshape(-1, rows, features.shape[1]),
        double.sum_of(features, -center[None]),
    )

    def add(sums: tuple[Double, Double], block: Double) -> tuple[tuple[Double, Double], None]:
        return _add_block(*sums, block), None

    (total, products), _ = lax.scan(add, (state.total, state.products), deviations)
    return Moments(state.count + batch, center, total, products)


def merge(a: Moments, b: Moments) -> Moments:
    """Combines the states of two parts of a stream.

    Args:
        a: a state.
        b: a state of features of the same size.

    Returns:
        The state that has seen what both have.
    """
    center = jnp.where(a.count > 0, a.center, b.center)
    shift = double.sum_of(b.center, -center)
    total = double.add(b.total, double.multiply(double.from_int(b.count), shift))
    # The symmetric part of sum (d + s)(d + s)' is that of sum d d' + s (sum d + sum (d + s))'.
    products = double.add(b.products, _outer(shift, double.add(b.total, total)))
    return Moments(
        a.count + b.count,
        center,
        double.add(a.total, total),
        double.add(a.products, products),
    )


def result(state: Moments) -> Statistics:
    """Computes mean and covariance, on the host in float64.

    Args:
        state: that has seen two samples or more.

    Returns:
        The statistics.

    Raises:
        UserError: if it has seen fewer, or features that are not finite.
    """
    count = int(state.count)
    if count < 2:
        raise UserError(f"a covariance needs 2 samples or more, not {count}")
    offset = double.to_float64(state.total) / count
    mean = np.asarray(state.center, np.float64) + offset
    products = double.to_float64(state.products)
    covariance = (products - count * np.outer(offset, offset)) / (count - 1)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise UserError(f"some of the {count} samples' features are NaN, infinite or too large")
    return Statistics(count, mean, (covariance + covariance.T) / 2)


def of(features: Numbers, name: str = "features") -> Statistics:
    """Computes mean and covariance of features that are all at hand.

    Args:
        features: float32 [N, D], N at least 2.
        name: what an error calls them.

    Returns:
        The statistics.

    Raises:
        UserError: if the features are not such.
    """
    checked = check_features(features, name, at_least=2)
    return result(_update(init(checked.shape[1]), checked))


_update = jax.jit(update)


def _middle(features: Array) -> Array:
    """The mean [D] of features [B, D], rounded to the last place of the largest in each column.

    So deviations from it have no bits below those of the features. Else all of a column would have
    the same there, and what `_cut` rounds off would not average out.
    """
    _, exponents = jnp.frexp(jnp.max(jnp.abs(features), axis=0))
    places = exponents - 24
    return jnp.ldexp(jnp.round(jnp.ldexp(features.mean(axis=0), -places)), places)


def _add_block(total: Double, products: Double, block: Double) -> tuple[Double, Double]:
    """Adds the deviations [R, D] of at most 1024 samples to the sums."""
    slices, units = _cut(block)
    zero = jnp.zeros((), jnp.float32)
    for i, j in combinations_with_replacement(range(_SLICES), 2):
        exact = slices[i].T @ slices[j]
        times = 1 if i == j else 2  # j and i give the transpose
        scaled = times * exact * units[i][:, None] * units[j][None]
        products = double.add(products, Double(scaled, zero))
    for numbers, unit in zip(slices, units, strict=True):
        total = double.add(total, Double(numbers.sum(axis=0) * unit, zero))
    return total, products


def _cut(block: Double) -> tuple[list[Array], list[Array]]:
    """Cuts numbers [R, D] into slices of 8 bits, 31 bits in all of the largest in each column.

    Returns:
        Whole numbers of up to 2^7 in size, [R, D] each; and their columns' units, powers of two
        [D] each.
    """
    _, exponents = jnp.frexp(jnp.max(jnp.abs(block.high), axis=0))
    unit = exponents - 7
    rest, low = (jnp.ldexp(x, -unit[None]) for x in block)
    slices = []
    for _ in range(_SLICES):
        slices.append(jnp.round(rest))
        rest, low = (rest - slices[-1] + low) * 256, jnp.zeros_like(low)
    return slices, [
        jnp.ldexp(jnp.ones(unit.shape, jnp.float32), unit - 8 * i) for i in range(_SLICES)
    ]


def _outer(a: Double, b: Double) -> Double:
    column = Double(a.high[:, None], a.low[:, None])
    return double.multiply(column, Double(b.high[None], b.low[None]))
