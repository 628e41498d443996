import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from jaxgan.metrics import nearest, prdc, radii
from jaxgan.util.errors import UserError

RANDOM = np.random.default_rng(0)


def draw(n: int, size: int, shift: float = 0, scale: float = 1) -> np.ndarray:
    return (shift + scale * RANDOM.normal(size=(n, size))).astype(np.float32)


def radii_of(x: np.ndarray, k: int) -> np.ndarray:
    return NearestNeighbors(n_neighbors=k).fit(x).kneighbors()[0][:, -1]  # without the point itself


def by_scikit_learn(real: np.ndarray, fake: np.ndarray, k: int, k_density: int):
    distances = pairwise_distances(real.astype(np.float64), fake.astype(np.float64))
    dense = distances <= radii_of(real, k_density)[:, None]
    return (
        (distances <= radii_of(real, k)[:, None]).any(0).mean(),
        (distances <= radii_of(fake, k)[None]).any(1).mean(),
        dense.sum(0).mean() / k_density,
        dense.any(1).mean(),
    )


def squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances by differences, in float64."""
    return ((x[:, None].astype(np.float64) - y[None]) ** 2).sum(axis=2)


def by_differences(real: np.ndarray, fake: np.ndarray, k: int, k_density: int):
    apart = squares(real, fake)
    radii_real, radii_fake = (np.sort(squares(x, x), axis=1) for x in (real, fake))
    dense = apart <= radii_real[:, k_density, None]
    return (
        (apart <= radii_real[:, k, None]).any(0).mean(),
        (apart <= radii_fake[None, :, k]).any(1).mean(),
        dense.sum(0).mean() / k_density,
        dense.any(1).mean(),
    )


# More than the points of a chunk, and fewer.
@pytest.mark.parametrize(
    ("counts", "ks"),
    [
        ((70, 65), (5, 2)),
        pytest.param((6, 9), (1, 1), marks=pytest.mark.slow),
        pytest.param((6, 9), (5, 2), marks=pytest.mark.slow),
        pytest.param((130, 65), (1, 1), marks=pytest.mark.slow),
    ],
)
@settings(derandomize=True, deadline=None, max_examples=5)
@given(st.integers(0, 1000))
def test_scikit_learn_agrees(counts, ks, seed):
    random = np.random.default_rng(seed)
    real = random.normal(size=(counts[0], 40)).astype(np.float32)
    fake = (0.3 + 0.8 * random.normal(size=(counts[1], 40))).astype(np.float32)
    found = prdc(real, fake, k_manifold=ks[0], k_density=ks[1])
    np.testing.assert_allclose(found, by_scikit_learn(real, fake, *ks), rtol=1e-5)


def test_clusters_far_from_the_origin_are_resolved():
    # Here |x|^2 + |y|^2 - 2 x y in float32 is off by more than the squared distances.
    real = np.concatenate([draw(60, 2, c, 1e-3) for c in (100, 101)])
    fake = np.concatenate([draw(60, 2, c, 2e-3) for c in (100, 101)])
    expected = by_scikit_learn(real, fake, 3, 5)
    np.testing.assert_allclose(prdc(real, fake), expected, rtol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e3, 1e5])
def test_distances_are_exact_wherever_the_points_are(offset):
    # Points on a grid, so that distances equal radii again and again, and far from the origin.
    step = np.float32(2**-6)
    real, fake = (
        (offset + step * RANDOM.integers(0, 9, (n, 3))).astype(np.float32) for n in (300, 280)
    )
    np.testing.assert_allclose(prdc(real, fake), by_differences(real, fake, 3, 5), rtol=1e-12)
    expected = np.sort(squares(real, real), axis=1)[:, [1, 4]]
    np.testing.assert_array_equal(radii(real, (1, 4)), expected)


def test_clusters_that_products_cannot_resolve():
    # Two of them, far apart compared with the distances in each.
    real, fake = (
        np.concatenate([draw(90, 4, c, scale) for c in (0, 1)]) for scale in (1e-4, 1.3e-4)
    )
    np.testing.assert_allclose(prdc(real, fake), by_differences(real, fake, 3, 5), rtol=1e-12)
    expected = np.argsort(squares(fake, real), axis=1)[:, :2]
    np.testing.assert_array_equal(nearest(fake, real, 2).indices, expected)


def test_radii_that_are_known_need_not_be_computed():
    x, y = draw(70, 4), draw(60, 4, 0.3)
    known = radii(x, (3, 5))
    assert prdc(x, y, radii_real=known) == prdc(x, y)
    assert prdc(x, y, radii_real=4 * known).precision > prdc(x, y).precision
    with pytest.raises(UserError, match="counted from 1; there is no neighbor 0"):
        radii(x, (0, 3))
    with pytest.raises(UserError, match="too few; the metric needs 6"):
        radii(x[:5], (3, 5))


def test_the_published_behaviour():
    x = draw(200, 8)
    same = prdc(x, x)
    assert same.precision == same.recall == same.coverage == 1
    # In a sample's own ball, and in those of the samples that it is a neighbor of: k on average.
    np.testing.assert_allclose(same.density, (5 + 1) / 5, rtol=1e-5)
    assert prdc(x, draw(200, 8, 100)) == (0, 0, 0, 0)


@pytest.mark.slow
def test_two_sets_of_one_distribution():
    # Density and coverage are about 1 and 1 - 2^-k.
    fresh = prdc(draw(2000, 4), draw(2000, 4))
    np.testing.assert_allclose(fresh.density, 1, atol=0.05)
    np.testing.assert_allclose(fresh.coverage, 1 - 2**-5, atol=0.02)


def test_few_modes_show_in_recall_and_coverage_and_noise_in_precision_and_density():
    modes = np.repeat(np.eye(4, dtype=np.float32) * 10, 50, 0)
    real = modes + draw(200, 4, 0, 0.5)
    dropped = modes[:50].repeat(4, 0) + draw(200, 4, 0, 0.5)
    noisy = modes + draw(200, 4, 0, 3)
    assert prdc(real, dropped).precision > 0.7 and prdc(real, dropped).coverage < 0.3
    assert prdc(real, dropped).recall < 0.3
    assert prdc(real, noisy).precision < 0.3 and prdc(real, noisy).recall > 0.7
    assert prdc(real, noisy).density < 0.3


def test_an_outlier_among_the_reals_moves_precision_but_not_density():
    # As in figure 2 of Naeem et al.: one ball that holds all fakes.
    real = np.concatenate([draw(100, 2, 0, 0.1), [[8, 8]]]).astype(np.float32)
    fake = draw(100, 2, 4, 0.1)
    found = prdc(real, fake)
    assert found.precision == 1 and found.density < 0.25 and found.coverage < 0.05


def test_swapping_sets_swaps_precision_and_recall():
    x, y = draw(80, 3), draw(80, 3, 0.5, 2)
    there, back = prdc(x, y), prdc(y, x)
    assert (there.precision, there.recall) == (back.recall, back.precision)


def test_order_does_not_matter():
    x, y = draw(80, 3), draw(80, 3, 0.5, 2)
    np.testing.assert_allclose(
        prdc(RANDOM.permutation(x), RANDOM.permutation(y)), prdc(x, y), rtol=1e-6
    )


def test_collapsed_fakes_are_no_manifold():
    x = draw(50, 3)
    assert prdc(x, np.zeros_like(x)).recall == 0
    assert prdc(x, x[:1].repeat(50, 0)).recall == 1 / 50  # that one alone


@pytest.mark.slow
def test_50_000_by_50_000_in_bounded_memory():
    x, y = draw(50_000, 8), draw(50_000, 8)
    before = peak()
    found = prdc(x, y)
    assert peak() - before < 1 << 30  # the distances alone would take 10 GB
    np.testing.assert_allclose(found.density, 1, atol=0.02)


def peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_bad_input():
    x = draw(5, 3)
    with pytest.raises(UserError, match="5 real features are too few; the metric needs 6"):
        prdc(x, x)
    with pytest.raises(UserError, match="from the same extractor"):
        prdc(draw(9, 3), draw(9, 2))
    assert np.isfinite(prdc(x, x, k_density=4).density)
    with pytest.raises(UserError, match="counted from 1; there is no neighbor 0"):
        prdc(x, x, k_manifold=0, k_density=4)


@pytest.mark.parametrize("scale", [1e-35, 1e-23, 1e20, 1e37])
def test_the_unit_of_the_features_means_nothing(scale):
    x, y = draw(60, 4), draw(60, 4, 0.5)
    scaled = (np.float32(scale) * x, np.float32(scale) * y)
    np.testing.assert_allclose(prdc(*scaled), prdc(x, y), atol=0.02)
    apart = prdc(scaled[0], scaled[1] + np.float32(scale) * 9)
    assert apart == (0, 0, 0, 0)
