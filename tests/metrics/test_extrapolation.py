import jax
import numpy as np
import pytest

from jaxgan.metrics import extrapolation, frechet_distance, frechet_infinity
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
SIZE = 32


def draw(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, SIZE)).astype(np.float32)


def whitened(count: int, seed: int) -> np.ndarray:
    """Samples whose mean is exactly 0 and whose covariance is exactly 1, but for rounding."""
    drawn = draw(count, seed).astype(float)
    drawn -= drawn.mean(0)
    values, vectors = np.linalg.eigh(np.cov(drawn.T))
    return (drawn @ vectors / np.sqrt(values)).astype(np.float32)


def test_a_distance_that_is_a_line_is_extrapolated_exactly(monkeypatch):
    def distance(a, b):
        return 3 + 70 / b.count

    monkeypatch.setattr(extrapolation, "gaussian_distance", distance)
    found = frechet_infinity(draw(10, 0), draw(600, 1), KEY, smallest=100)
    assert found == pytest.approx(3, rel=1e-9)


def test_the_bias_of_normal_features_goes_away():
    # The mean of N samples of a standard normal adds about D / N to the distance from the same one,
    # and their covariance (D^2 + D) / 4 N.
    real, fake = whitened(1000, 0), draw(4000, 1)
    bias = (SIZE + SIZE * (SIZE + 1) / 4) / 4000
    assert frechet_distance(real, fake) > 0.8 * bias
    assert abs(frechet_infinity(real, fake, KEY, smallest=400)) < 0.35 * bias


def test_subsets_are_drawn_without_replacement_by_the_key():
    real, fake = draw(300, 0), draw(300, 1)
    found = [frechet_infinity(real, fake, jax.random.key(s), smallest=50) for s in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_the_sizes_are_those_of_the_source(monkeypatch):
    sizes = []

    def distance(a, b):
        sizes.append(b.count)
        return 1.0

    monkeypatch.setattr(extrapolation, "gaussian_distance", distance)
    frechet_infinity(draw(10, 0), draw(6400, 1), KEY)
    assert sizes == list(range(5000, 6401, 100))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "more than the 5000 samples of the smallest subset, not 20"),
        ({"smallest": 20}, "more than the 20 samples"),
        ({"smallest": 1}, "2 samples or more, not 15 of 1"),
        ({"smallest": 5, "points": 1}, "2 subsets or more.* not 1 of 5"),
    ],
)
def test_too_few_samples_are_refused(settings, told):
    with pytest.raises(UserError, match=told):
        frechet_infinity(draw(20, 0), draw(20, 1), KEY, **settings)
