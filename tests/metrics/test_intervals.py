import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxgan.metrics import bootstrap, estimate, of_draws
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=9).filter(lambda x: np.std(x) > 1e-6),
    st.floats(0.5, 0.99),
)
def test_draws_have_students_interval(values, level):
    found = of_draws(values, level)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-6, atol=1e-9)
    assert found.level == level and found.how == f"t of {len(values)} draws"


def test_equal_draws_have_an_interval_of_no_length():
    found = of_draws([3.0, 3.0, 3.0])
    assert (found.low, found.high) == (3, 3)


def test_scipys_bootstrap_agrees():
    x = RANDOM.exponential(size=200).astype(np.float32)
    found = bootstrap(jnp.mean, x, KEY, resamples=4000, level=0.9)
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=4000, confidence_level=0.9, method="percentile", rng=RANDOM
    ).confidence_interval
    np.testing.assert_allclose((found.low, found.high), theirs, atol=0.01)
    assert found.how == "bootstrap of 200 samples"


def test_of_a_bootstraps_intervals_the_level_holds_the_mean():
    keys = jax.random.split(KEY, 60)
    held = 0
    for key in keys:
        x = np.asarray(jax.random.normal(key, (50,)))
        found = bootstrap(jnp.mean, x, key, resamples=200, level=0.8)
        held += found.low <= 0 <= found.high
    assert 38 <= held <= 56  # 48 expected, with a deviation of 3


def test_a_bootstrap_depends_on_its_key_alone():
    x = RANDOM.normal(size=(30, 2)).astype(np.float32)
    spread = lambda rows: rows.std(axis=0).sum()  # noqa: E731
    a, b, c = (bootstrap(spread, x, jax.random.key(i), resamples=50) for i in (0, 0, 1))
    assert a == b and a != c


def test_an_estimate_is_mean_and_deviation():
    np.testing.assert_allclose(estimate(np.array([1.0, 2.0, 6.0])), (3, np.sqrt(14 / 3)))


def test_bad_input():
    with pytest.raises(UserError, match="2 draws or more, not 1"):
        of_draws([1.0])
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(UserError, match="between 0 and 1"):
            of_draws([1.0, 2.0], level)
        with pytest.raises(UserError, match="between 0 and 1"):
            bootstrap(jnp.mean, np.ones(3), KEY, level=level)
    with pytest.raises(UserError, match="not 1 and 1000"):
        bootstrap(jnp.mean, np.ones(1), KEY)
    with pytest.raises(UserError, match="not 3 and 0"):
        bootstrap(jnp.mean, np.ones(3), KEY, resamples=0)
