import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgan.metrics import frechet, frechet_distance, moments
from jaxgan.metrics.moments import Statistics
from jaxgan.util.errors import UserError

SETTINGS = settings(derandomize=True, deadline=None, max_examples=30)


def drawn(seed: int, size: int, rank: int) -> Statistics:
    """Statistics with a covariance of this rank."""
    random = np.random.default_rng(seed)
    factor = random.normal(size=(size, rank)) * 10 ** random.uniform(-2, 1, rank)
    return Statistics(100, random.normal(size=size), factor @ factor.T)


@SETTINGS
@given(st.integers(0, 1000), st.integers(1, 12))
def test_it_is_what_a_general_matrix_square_root_gives(seed, size):
    a, b = drawn(seed, size, size), drawn(seed + 1, size, size)
    root = np.real(np.asarray(scipy.linalg.sqrtm(a.covariance @ b.covariance)))
    expected = np.sum((a.mean - b.mean) ** 2)
    expected += np.trace(a.covariance + b.covariance - 2 * root)
    scale = np.trace(a.covariance + b.covariance)
    assert abs(frechet.gaussian_distance(a, b) - expected) < 1e-7 * scale


@SETTINGS
@given(st.integers(0, 1000), st.integers(1, 12))
def test_of_independent_coordinates_it_is_a_sum(seed, size):
    random = np.random.default_rng(seed)
    means, deviations = random.normal(size=(2, size)), random.uniform(0, 3, (2, size))
    a, b = (Statistics(9, m, np.diag(d**2)) for m, d in zip(means, deviations, strict=True))
    expected = ((means[0] - means[1]) ** 2 + (deviations[0] - deviations[1]) ** 2).sum()
    np.testing.assert_allclose(frechet.gaussian_distance(a, b), expected, rtol=1e-10)


@pytest.mark.parametrize("ranks", [(1, 1), (3, 8), (8, 3), (5, 5), (0, 8), (0, 0)])
def test_singular_covariances(ranks):
    # The optimal coupling of singular normal distributions, by another formula:
    # tr((A B)^(1/2)) is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2).
    a, b = drawn(1, 8, ranks[0]), drawn(2, 8, ranks[1])
    values, vectors = np.linalg.eigh(a.covariance)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    roots = np.sqrt(np.linalg.eigvalsh(root @ b.covariance @ root).clip(0))
    scale = np.trace(a.covariance + b.covariance)
    expected = np.sum((a.mean - b.mean) ** 2) + scale - 2 * roots.sum()
    assert abs(frechet.gaussian_distance(a, b) - expected) <= 1e-6 * scale + 1e-12


@SETTINGS
@given(st.integers(0, 1000), st.integers(1, 12), st.integers(0, 12))
def test_it_is_0_on_itself_and_symmetric(seed, size, rank):
    a, b = drawn(seed, size, min(rank, size)), drawn(seed + 1, size, size)
    scale = np.trace(a.covariance) + np.trace(b.covariance)
    assert 0 <= frechet.gaussian_distance(a, a) <= 1e-12 * scale
    assert abs(frechet.gaussian_distance(a, b) - frechet.gaussian_distance(b, a)) <= 1e-12 * scale


def test_constant_features_have_no_distance():
    x = np.full((30, 5), 0.1, np.float32)
    assert frechet_distance(x, x) == frechet_distance(1e4 * x, 1e4 * x[:9]) == 0
    np.testing.assert_allclose(frechet_distance(x, x + 1), 5, rtol=1e-6)


def test_fewer_samples_than_features():
    x, y = np.random.default_rng(0).normal(size=(2, 20, 64)).astype(np.float32)
    # Both live on 19 dimensions; the exact value by singular values of the samples themselves.
    a, b = (z.astype(np.float64) - z.mean(0, dtype=np.float64) for z in (x, y))
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum() / 19
    shift = (x.mean(0, dtype=np.float64) - y.mean(0, dtype=np.float64)) ** 2
    expected = shift.sum() + ((a**2).sum() + (b**2).sum()) / 19 - 2 * overlap
    np.testing.assert_allclose(frechet_distance(x, y), expected, rtol=1e-6)
    assert frechet_distance(x, x) < 1e-9


def test_samples_of_known_normal_distributions_come_close():
    random = np.random.default_rng(3)
    x = random.normal(1, 2, (50_000, 3)).astype(np.float32)
    y = random.normal(0, 1, (50_000, 3)).astype(np.float32)
    np.testing.assert_allclose(frechet_distance(x, y), 3 * (1 + 1), rtol=0.02)


def test_invariances():
    random = np.random.default_rng(7)
    x, y = random.normal(size=(2, 300, 5)).astype(np.float32)
    y = y * 2 + 1
    found = frechet_distance(x, y)
    np.testing.assert_allclose(
        frechet_distance(random.permutation(x), random.permutation(y)), found, rtol=1e-8
    )
    turn, _ = np.linalg.qr(random.normal(size=(5, 5)))
    turned = (x @ turn + 3).astype(np.float32), (y @ turn + 3).astype(np.float32)
    np.testing.assert_allclose(frechet_distance(*turned), found, rtol=1e-5)
    np.testing.assert_allclose(frechet_distance(4 * x, 4 * y), 16 * found, rtol=1e-9)


def test_streams_give_what_arrays_give():
    x, y = np.random.default_rng(9).normal(size=(2, 500, 8)).astype(np.float32)
    states = [moments.init(8), moments.init(8)]
    for start in range(0, 500, 125):
        batches = (z[start : start + 125] for z in (x, y))
        states = [
            moments.update(state, batch) for state, batch in zip(states, batches, strict=True)
        ]
    found = frechet.gaussian_distance(*map(moments.result, states))
    np.testing.assert_allclose(found, frechet_distance(x, y), rtol=1e-9)


def test_bad_input():
    good = np.zeros((3, 4), np.float32)
    with pytest.raises(UserError, match="1 generated features are too few"):
        frechet_distance(good, good[:1])
    with pytest.raises(UserError, match="size 4 and generated ones 3; take both from the same"):
        frechet_distance(good, good[:, :3])
    with pytest.raises(UserError, match="real features must be finite; of 3 samples 3"):
        frechet_distance(good * np.nan, good)
    with pytest.raises(UserError, match="size 4 and of size 3"):
        frechet.gaussian_distance(moments.statistics(good), moments.statistics(good[:, :3]))
