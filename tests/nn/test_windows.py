"""Convolutions as one product of matrices against XLA's."""

import pytest
from convolutions import SHAPES, Case, cases, check_equal, check_rounding
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxgan.nn.convolution import windows
from jaxgan.nn.convolution.bilinear import Method

WINDOWS = Method(windows.convolve, windows.transpose, windows.correlate)


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_all_three_at_the_corners(case):
    check_equal(WINDOWS, case, channels=1)


@settings(derandomize=True, deadline=None, max_examples=8)
@given(cases(), st.sampled_from([1, 1, 3]))
@example(Case((9, 12), (2, 3), 1, ((0, 0), (1, 1))), 1)  # 12 columns, 4 in a window
@example(Case((9, 14), (5, 5), 2, ((1, 2), (1, 2))), 1)  # 7 columns: windows of one output
@example(Case((7, 13), (3, 3), 2, ((1, 1), (0, 0))), 1)  # 6 columns, 3 in a window
def test_all_three(case, channels):
    check_equal(WINDOWS, case, channels)


@pytest.mark.parametrize(
    ("columns", "channels", "suits"),
    [(28, 1, True), (32, 1, True), (7, 1, True), (13, 1, False), (64, 1, False), (28, 2, False)],
)
def test_short_lines_of_one_channel_suit(columns, channels, suits):
    x, kernel = (2, 9, columns, channels), (3, 3, channels, 8)
    assert windows.suits(x, kernel, 1, ((1, 1), (1, 1))) == suits
    assert windows.suits((2, 9, 2 * columns, channels), kernel, 2, ((1, 1), (1, 1))) == suits


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "features"),
    [
        (Case((28, 28), (5, 5), 1, ((0, 0), (0, 0))), 32),  # of mnist_conv
        (Case((28, 28), (4, 4), 2, ((1, 1), (1, 1))), 64),  # of mnist_dcgan
    ],
)
def test_rounding_is_that_of_a_sum(case, features):
    check_rounding(WINDOWS, case, 1, features)
