import numpy as np
import pytest

from jaxgan.metrics import cmmd
from jaxgan.util.errors import UserError

RANDOM = np.random.default_rng(0)


def unit(count: int, shift: float = 0.0) -> np.ndarray:
    drawn = RANDOM.normal(size=(count, 6)) + shift
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def by_definition(x: np.ndarray, y: np.ndarray, sigma: float) -> float:
    def mean(a: np.ndarray, b: np.ndarray) -> float:
        squares = ((a[:, None].astype(float) - b) ** 2).sum(2)
        return float(np.exp(-squares / (2 * sigma**2)).mean())

    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


@pytest.mark.parametrize("sigma", [10.0, 0.5])
def test_it_is_the_biased_estimate_times_a_thousand(sigma):
    x, y = unit(300), unit(70, 0.5)  # 300: more than one chunk of rows
    np.testing.assert_allclose(cmmd(x, y, sigma=sigma), by_definition(x, y, sigma), rtol=2e-4)


def test_the_published_sigma_is_the_default():
    x, y = unit(20), unit(30, 1.0)
    assert cmmd(x, y) == cmmd(x, y, sigma=10)


def test_of_two_points_it_has_a_closed_form():
    x, y = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert cmmd(x, y) == pytest.approx(2000 * (1 - np.exp(-2 / 200)), rel=1e-6)


def test_of_the_same_samples_it_is_0():
    x = unit(500)
    assert abs(cmmd(x, x[::-1])) < 1e-6


def test_small_discrepancies_survive_rounding():
    x = unit(2000)
    y = x + np.float32(1e-3)
    np.testing.assert_allclose(cmmd(x, y), by_definition(x, y, 10), rtol=0.05)


def test_what_are_no_features_is_refused():
    with pytest.raises(UserError, match="take both from the same extractor"):
        cmmd(unit(3), unit(3)[:, :4])
    with pytest.raises(UserError, match="must be finite"):
        cmmd(unit(3), np.full((3, 6), np.nan))
