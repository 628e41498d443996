"""Convolutions by Fourier transform against XLA's, and how many operations they take."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convolutions import SHAPES, Case, arrays, cases, reference
from hypothesis import example, given, settings

from jaxgan import fourier
from jaxgan.convolution import same_padding


def by_fourier(case: Case):
    stride, padding = case.stride, case.padding
    return (
        lambda x, kernel: fourier.convolve(x, kernel, stride, padding),
        lambda y, kernel: fourier.transpose(y, kernel, stride, padding, case.size),
        lambda x, y: fourier.correlate(x, y, stride, padding, case.kernel),
    )


def check_equal(case: Case):
    @jax.jit
    def all_three(functions_inputs):
        x, kernel, y = functions_inputs
        inputs = (x, kernel), (y, kernel), (x, y)
        ways = by_fourier(case), reference(case)
        return [[f(*two) for f, two in zip(way, inputs, strict=True)] for way in ways]

    with jax.enable_x64(True):
        found, expected = all_three(arrays(case))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_all_three_at_the_corners(case):
    check_equal(case)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(cases())
@example(Case((9, 4), (2, 3), 2, ((5, 0), (0, 4))))  # more zeros than pixels see
def test_all_three(case):
    check_equal(case)


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

    expected = operations(reference(case)[0]) / operations(by_fourier(case)[0])
    saving = fourier.saving(x.shape, kernel.shape, case.stride, case.padding)
    assert saving == pytest.approx(expected, rel=0.02)
    assert (saving > 1) == (name != "gray")


@pytest.mark.parametrize("name", ["mnist_dcgan", "mnist_conv", "mnist_dcgan_bn"])
def test_rounding_is_that_of_a_sum(name):
    (_, channels, features), case = LAYERS[name]
    key = jax.random.key(0)
    x = jax.random.normal(key, (8, *case.size, channels))
    kernel = jax.random.normal(key, (*case.kernel, channels, features))
    y = reference(case)[0](x, kernel)
    for which, inputs in enumerate([(x, kernel), (y, kernel), (x, y)]):
        with jax.enable_x64(True):
            exact = reference(case)[which](*(a.astype("float64") for a in inputs))
        exact = np.asarray(exact).ravel()
        errors = [
            np.linalg.norm(np.asarray(way(case)[which](*inputs)).ravel() - exact)
            for way in (by_fourier, reference)
        ]
        assert errors[0] < 4 * errors[1]
        assert errors[0] < 1e-6 * np.linalg.norm(exact)
