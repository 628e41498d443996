import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxgan.metrics import estimate, t_interval
from jaxgan.util.errors import UserError


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=9).filter(lambda x: np.std(x) > 1e-6),
    st.floats(0.5, 0.99),
)
def test_draws_have_students_interval(values, level):
    found = t_interval(values, level)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-6, atol=1e-9)
    assert found.level == level and found.how == f"t of {len(values)} draws of samples"


def test_equal_draws_have_an_interval_of_no_length():
    found = t_interval([3.0, 3.0, 3.0])
    assert (found.low, found.high) == (3, 3)


def test_an_estimate_is_mean_and_deviation():
    np.testing.assert_allclose(estimate(np.array([1.0, 2.0, 6.0])), (3, np.sqrt(14 / 3)))


def test_bad_input():
    with pytest.raises(UserError, match="2 draws or more, not 1"):
        t_interval([1.0])
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(UserError, match="between 0 and 1"):
            t_interval([1.0, 2.0], level)
