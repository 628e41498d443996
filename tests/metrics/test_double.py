from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgan.metrics import double
from jaxgan.metrics.double import Double

SETTINGS = settings(derandomize=True, deadline=None, max_examples=100)
# Neither so large nor so small that a product leaves float32's range. As many as fill the vectors
# of a processor, whose instructions compilers choose otherwise than those for single numbers.
MODERATE = st.floats(2.0**-30, 2.0**30, width=32) | st.floats(-(2.0**30), -(2.0**-30), width=32)
MANY = st.lists(st.tuples(*[MODERATE] * 4), min_size=32, max_size=32)


def values(x: Double) -> list[Fraction]:
    pairs = zip(np.atleast_1d(x.high), np.atleast_1d(x.low), strict=True)
    return [Fraction(float(high)) + Fraction(float(low)) for high, low in pairs]


def pairs(a: np.ndarray, b: np.ndarray) -> Double:
    """The closest pairs to `a + b / 2^24`, made by other means."""
    exact = a.astype(np.float64) + b.astype(np.float64) / 2**24
    high = exact.astype(np.float32)
    return Double(jnp.asarray(high), jnp.asarray((exact - high).astype(np.float32)))


@SETTINGS
@given(MANY)
def test_sums_of_two_float32_are_exact(rows):
    a, b, *_ = np.array(rows, np.float32).T
    exact = [Fraction(float(x)) + Fraction(float(y)) for x, y in zip(a, b, strict=True)]
    assert values(jax.jit(double.sum_of)(a, b)) == exact


@SETTINGS
@given(MANY)
def test_sums_and_products_have_46_bits(rows):
    a, b, c, d = np.array(rows, np.float32).T
    x, y = pairs(a, b), pairs(c, d)
    sums, products = (values(jax.jit(f)(x, y)) for f in (double.add, double.multiply))
    for u, v, sum_, product in zip(values(x), values(y), sums, products, strict=True):
        assert abs(sum_ - (u + v)) <= max(abs(u), abs(v)) / 2**46
        assert abs(product - u * v) <= abs(u * v) / 2**45


def test_products_keep_their_bits_within_larger_programs():
    # A compiler may fuse a product with the sum that it is part of, and round once less.
    x, y = np.random.default_rng(0).normal(0, 1000, (2, 64)).astype(np.float32)
    zero = jnp.zeros(64)

    @jax.jit
    def outer(x, y):
        of_x, of_y = Double(x[:, None], zero[:, None]), Double(y[None], zero[None])
        return double.add(double.multiply(of_x, of_y), double.multiply(of_x, of_y))

    exact = 2 * np.outer(x.astype(np.float64), y)
    np.testing.assert_allclose(double.to_float64(outer(x, y)), exact, rtol=2**-45, atol=0)


@pytest.mark.parametrize("n", [0, 1, 2**24 + 1, 50_000 * 641 + 7, 2**31 - 1])
def test_whole_numbers_are_exact(n):
    assert values(double.from_int(jnp.int32(n))) == [n]


def test_long_sums_stay_exact_where_float32_does_not():
    x = np.random.default_rng(0).normal(1, 1, (20_000, 3)).astype(np.float32)
    zero = jnp.float32(0)
    add = lambda total, row: (double.add(total, Double(row, zero)), None)  # noqa: E731
    found, _ = jax.jit(lambda x: jax.lax.scan(add, double.zeros((3,)), x))(x)
    exact = x.astype(np.float64).sum(0)
    np.testing.assert_allclose(double.to_float64(found), exact, rtol=1e-12)
    plain, _ = jax.lax.scan(lambda total, row: (total + row, None), jnp.zeros(3), x)
    assert np.abs(np.asarray(plain) / exact - 1).max() > 1e-7
