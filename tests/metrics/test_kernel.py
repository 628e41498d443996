import jax
import numpy as np
import pytest

from jaxgan.metrics import kernel_distance, squared_mmd
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)


def draw(n: int, size: int, shift: float = 0, scale: float = 1) -> np.ndarray:
    return (shift + scale * RANDOM.normal(size=(n, size))).astype(np.float32)


def double_sum(x: np.ndarray, y: np.ndarray) -> float:
    """The definition, term by term in float64."""

    def kernel(a, b):
        return (float(a.astype(np.float64) @ b.astype(np.float64)) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    total = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    total += sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return total - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


@pytest.mark.parametrize("n, m, size", [(2, 2, 1), (9, 5, 3)])
def test_it_is_the_double_sum(n, m, size):
    x, y = draw(n, size), draw(m, size, 0.5, 2)
    np.testing.assert_allclose(squared_mmd(x, y), double_sum(x, y), rtol=2e-5, atol=1e-5)


def test_large_blocks_lose_no_precision():
    # The kernel's means are about 1, and their sum about 0.001. Without care for rounding in means
    # of a million numbers it would be off by some 3e-7.
    x, y = draw(1000, 64), draw(1000, 64)
    a, b = x.astype(np.float64), y.astype(np.float64)
    kernels = [(p @ q.T / 64 + 1) ** 3 for p, q in ((a, a), (b, b), (a, b))]
    off = ~np.eye(1000, dtype=bool)
    exact = kernels[0][off].mean() + kernels[1][off].mean() - 2 * kernels[2].mean()
    assert abs(squared_mmd(x, y) - exact) < 3e-8


@pytest.mark.parametrize("scale", [1e-12, 1e3, 1e15])
def test_large_and_small_features_are_no_worse(scale):
    x, y = draw(20, 5, 1, scale), draw(20, 5, 1, 2 * scale)
    exact = double_sum(x, y)
    found = squared_mmd(x, y), kernel_distance(x, y, KEY, blocks=2, block_size=20).value
    np.testing.assert_allclose(found, [exact, exact], rtol=2e-5, atol=1e-6)


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    """The estimate by matrices in float64, of differences from a common point."""
    a, b = x.astype(np.longdouble), y.astype(np.longdouble)
    kernels = [(p @ q.T / a.shape[1] + 1) ** 3 for p, q in ((a, a), (b, b), (a, b))]
    n, m = len(a), len(b)
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in kernels[:2]]
    return float(sum(within) - 2 * kernels[2].sum() / (n * m))


@pytest.mark.parametrize("offset", [0.0, 1e2, 1e4])
def test_features_far_from_the_origin_are_no_worse(offset):
    x, y = draw(60, 8, offset), draw(50, 8, offset + 0.5)
    exact = by_definition(x, y)
    found = squared_mmd(x, y), kernel_distance(x[:50], y, KEY, blocks=1, block_size=50).value
    np.testing.assert_allclose(found, [exact, by_definition(x[:50], y)], rtol=2e-5)


def test_constant_features_have_no_distance():
    x = np.full((30, 5), 0.1, np.float32)
    for each in (x, 1e4 * x, np.zeros_like(x)):
        assert squared_mmd(each, each) == 0
        assert kernel_distance(each, each, KEY, blocks=2, block_size=20) == (0, 0)
    far = by_definition(x, 2 * x)
    np.testing.assert_allclose(squared_mmd(x, 2 * x), far, rtol=1e-4)


def test_blocks_of_all_samples_are_all_samples():
    x, y = draw(40, 6), draw(40, 6, 0.4)
    found = kernel_distance(x, y, KEY, blocks=3, block_size=40)
    np.testing.assert_allclose(found.value, squared_mmd(x, y), rtol=1e-4)
    assert found.deviation < 1e-5


@pytest.mark.slow
def test_it_is_unbiased():
    x, y = draw(4000, 4), draw(4000, 4)
    found = kernel_distance(x, y, KEY, blocks=300, block_size=40)
    # By how much it would be off with the kernel of each sample and itself among the means.
    own, others = (((x * z).sum(1) / 4 + 1) ** 3 for z in (x, np.roll(x, 1, 0)))
    bias = 2 * (own.mean() - others.mean()) / 40
    assert abs(found.value) < bias / 5


def test_blocks_are_random_without_repetition_within_them():
    # Where all samples but one are equal, a block without repetition sees that one at most once.
    x = np.zeros((10, 1), np.float32)
    x[3] = 1
    y = np.zeros((10, 1), np.float32)
    values = {
        round(kernel_distance(x, y, jax.random.key(i), blocks=1, block_size=5).value, 4)
        for i in range(20)
    }
    with_it, without = np.zeros((5, 1), np.float32), np.zeros((5, 1), np.float32)
    with_it[0] = 1
    assert values == {0.0, round(squared_mmd(with_it, without), 4)}


def test_symmetry_and_order():
    x, y = draw(60, 5), draw(70, 5, 0.5)
    found = squared_mmd(x, y)
    np.testing.assert_allclose(squared_mmd(y, x), found, rtol=1e-5)
    shuffled = squared_mmd(RANDOM.permutation(x), RANDOM.permutation(y))
    np.testing.assert_allclose(shuffled, found, rtol=1e-5)
    a, b = (kernel_distance(x, y, KEY, blocks=5, block_size=20) for _ in range(2))
    assert a == b
    assert a != kernel_distance(x, y, jax.random.key(1), blocks=5, block_size=20)


def test_bad_input():
    x = draw(30, 4)
    with pytest.raises(UserError, match="30 real features are too few; the metric needs 1000"):
        kernel_distance(x, x, KEY)
    with pytest.raises(UserError, match="not 0 of 10"):
        kernel_distance(x, x, KEY, blocks=0, block_size=10)
    with pytest.raises(UserError, match="not 5 of 1"):
        kernel_distance(x, x, KEY, blocks=5, block_size=1)
    with pytest.raises(UserError, match="take both from the same extractor"):
        squared_mmd(x, x[:, :2])
