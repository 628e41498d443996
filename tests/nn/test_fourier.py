"""Convolutions by Fourier transform against XLA's, and how many operations they take."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from convolutions import SHAPES, Case, cases, check_equal, check_rounding, functions, reference
from hypothesis import example, given, settings

from jaxgan.nn.convolution import fourier
from jaxgan.nn.convolution.bilinear import Method, same_padding

FOURIER = Method(fourier.convolve, fourier.transpose, fourier.correlate)


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_all_three_at_the_corners(case):
    check_equal(FOURIER, case, channels=3)


@settings(derandomize=True, deadline=None, max_examples=8)
@given(cases())
@example(Case((9, 4), (2, 3), 2, ((5, 0), (0, 4))))  # more zeros than pixels see
def test_all_three(case):
    check_equal(FOURIER, case, channels=3)


# The layers of the reference systems: depths (B, C, F), and the case.
LAYERS = {
    "mnist_dcgan": ((128, 256, 128), Case((7, 7), (5, 5), 1, ((2, 2), (2, 2)))),
    "mnist_conv": ((128, 32, 64), Case((12, 12), (5, 5), 1, ((0, 0), (0, 0)))),
    "mnist_dcgan_bn": ((128, 128, 128), Case((14, 14), (5, 5), 2, ((1, 2), (1, 2)))),
    "gray": ((128, 1, 64), Case((28, 28), (4, 4), 2, same_padding((28, 28), (4, 4), 2))),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_saving_is_that_of_operations_as_xla_counts_them(name):
    (batch, channels, features), case = LAYERS[name]
    x = jax.ShapeDtypeStruct((batch, *case.size, channels), jnp.float32)
    kernel = jax.ShapeDtypeStruct((*case.kernel, channels, features), jnp.float32)

    def operations(function) -> float:
        costs: Any = jax.jit(function).lower(x, kernel).compile().cost_analysis()
        return costs["flops"]

    expected = operations(reference(case)[0]) / operations(functions(FOURIER, case)[0])
    saving = fourier.saving(x.shape, kernel.shape, case.stride, case.padding)
    assert saving == pytest.approx(expected, rel=0.02)
    assert (saving > 1) == (name != "gray")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist_dcgan", "mnist_conv", "mnist_dcgan_bn"])
def test_rounding_is_that_of_a_sum(name):
    (_, channels, features), case = LAYERS[name]
    check_rounding(FOURIER, case, channels, features)
