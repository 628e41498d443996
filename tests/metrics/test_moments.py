import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgan.metrics import moments
from jaxgan.util.errors import UserError

RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.normal(size=(3000, 6))
CASES = {
    "normal": NORMAL,
    "positive": np.maximum(NORMAL, 0),
    "mean far from 0": 1e4 + NORMAL,
    "mean very far from 0": 1e3 + 1e-3 * NORMAL,
    "columns of all scales": NORMAL * 10.0 ** np.arange(-6, 6, 2),
    "sorted": np.sort(NORMAL, axis=0),
    "first batch elsewhere": np.concatenate([1e4 + NORMAL[:100], NORMAL]),
    "linearly dependent": NORMAL[:, [0, 1, 2, 0, 1, 2]] * [1, 1, 1, 2, 2, 2],
    "constant": np.full((300, 6), 0.1),
}


def exact(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance in two passes of extended precision."""
    wide = x.astype(np.longdouble)
    mean = wide.mean(0)
    deviations = wide - mean
    return mean, deviations.T @ deviations / (len(x) - 1)


def seen(x: np.ndarray, *, batch: int) -> moments.Moments:
    state = moments.init(x.shape[1])
    for start in range(0, len(x), batch):
        state = moments.update(state, x[start : start + batch])
    return state


def check(found: moments.Statistics, x: np.ndarray, tolerance: float):
    """Within a tolerance of exact, in units of the features' deviations."""
    mean, covariance = exact(x)
    deviation = np.sqrt(np.diag(covariance))
    unit = np.where(deviation > 0, deviation, 1)
    assert found.count == len(x)
    assert (np.abs(found.mean - mean) / unit).max() < tolerance
    assert (np.abs(found.covariance - covariance) / np.outer(unit, unit)).max() < tolerance
    np.testing.assert_array_equal(found.covariance, found.covariance.T)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("batch", [100, 3000])
def test_they_are_as_exact_as_float64(name, batch):
    x = CASES[name].astype(np.float32)
    check(moments.result(seen(x, batch=batch)), x, 1e-9)
    check(moments.statistics(x), x, 1e-9)


def test_float32_would_not_do():
    x = CASES["mean very far from 0"].astype(np.float32)
    _, covariance = exact(x)
    plain = np.asarray(jnp.cov(x, rowvar=False))
    assert np.abs(plain / covariance - 1).max() > 1e-7


@settings(derandomize=True, deadline=None, max_examples=20)
@given(
    st.sampled_from(sorted(CASES)),
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_any_split_merged_in_any_order_is_all_at_once(name, batches, random):
    rows = CASES[name].astype(np.float32)[:: max(1, len(CASES[name]) // 160)]
    x = rows[: 40 * sum(batches)]
    starts = np.cumsum([0, *batches]) * 40
    # A part of no batches is a state that has seen nothing.
    parts = [seen(x[a:b], batch=40) for a, b in zip(starts, starts[1:], strict=False)]
    while len(parts) > 1:
        a = parts.pop(random.randrange(len(parts)))
        b = parts.pop(random.randrange(len(parts)))
        parts.append(moments.merge(a, b))
    assert parts[0].count == len(x)
    if len(x):
        check(moments.result(parts[0]), x, 1e-8)


def test_merging_with_what_has_seen_nothing_changes_nothing():
    state = seen(CASES["mean very far from 0"].astype(np.float32), batch=1000)
    for pair in ((state, moments.init(6)), (moments.init(6), state)):
        found, expected = moments.result(moments.merge(*pair)), moments.result(state)
        np.testing.assert_array_equal(found.mean, expected.mean)
        np.testing.assert_array_equal(found.covariance, expected.covariance)


def test_the_order_of_samples_does_not_matter():
    x = CASES["positive"].astype(np.float32)
    shuffled = RANDOM.permutation(x)
    a, b = moments.statistics(x), moments.statistics(shuffled)
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-10)
    np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize(
    "features, message",
    [
        (np.zeros((1, 3)), "1 inceptions are too few; the metric needs 2 or more"),
        (np.zeros(3), r"inceptions must have the shape \[N, D\].*, not \[3\]"),
        (np.array([[0.0, 1], [np.nan, 0], [0, np.inf]]), "of 3 samples 2 hold .* number 1 the"),
    ],
)
def test_bad_features_are_named(features, message):
    with pytest.raises(UserError, match=message):
        moments.statistics(features, "inceptions")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_stream_with_bad_features_has_no_result(bad):
    x = NORMAL.astype(np.float32)[:200].copy()
    x[150, 2] = bad
    with pytest.raises(UserError, match="some of the 200 samples"):
        moments.result(seen(x, batch=100))


def test_a_stream_of_one_sample_has_no_result():
    with pytest.raises(UserError, match="2 samples or more, not 1"):
        moments.result(moments.update(moments.init(3), np.ones((1, 3))))
