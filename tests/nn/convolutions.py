"""Convolutions of all shapes, and the reference: XLA's convolution, differentiated by JAX."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax

from jaxgan.nn.convolution.bilinear import Method, same_padding


class Case(NamedTuple):
    size: tuple[int, int]  # of the convolution's input
    kernel: tuple[int, int]
    stride: int
    padding: tuple[tuple[int, int], tuple[int, int]]


def reference(case: Case):
    """XLA's convolution and its adjoints by its input and its kernel."""

    def conv(x, kernel):
        dimensions = ("NHWC", "HWIO", "NHWC")
        strides = (case.stride, case.stride)
        return lax.conv_general_dilated(
            x, kernel, strides, case.padding, dimension_numbers=dimensions
        )

    def by_input(y, kernel):
        x = jnp.zeros((y.shape[0], *case.size, kernel.shape[2]), y.dtype)
        return jax.linear_transpose(lambda x: conv(x, kernel), x)(y)[0]

    def by_kernel(x, y):
        kernel = jnp.zeros((*case.kernel, x.shape[3], y.shape[3]), y.dtype)
        return jax.linear_transpose(lambda kernel: conv(x, kernel), kernel)(y)[0]

    return conv, by_input, by_kernel


def functions(method: Method, case: Case):
    """The three functions of a method, for a case."""
    convolve, transpose, correlate = method
    return (
        partial(convolve, stride=case.stride, padding=case.padding),
        partial(transpose, stride=case.stride, padding=case.padding, size=case.size),
        partial(correlate, stride=case.stride, padding=case.padding, size=case.kernel),
    )


def check_equal(method: Method, case: Case, channels: int):
    """All three functions of a method equal XLA's convolution and its adjoints."""

    @jax.jit
    def all_three(x, kernel, y):
        inputs = (x, kernel), (y, kernel), (x, y)
        both = functions(method, case), reference(case)
        return [[f(*two) for f, two in zip(three, inputs, strict=True)] for three in both]

    with jax.enable_x64(True):
        found, expected = all_three(*arrays(case, channels=channels))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-11)


def check_rounding(method: Method, case: Case, channels: int, features: int):
    """In float32, a method's error is at most four times that of XLA's convolution."""
    key = jax.random.key(0)
    x = jax.random.normal(key, (8, *case.size, channels))
    kernel = jax.random.normal(key, (*case.kernel, channels, features))
    y = reference(case)[0](x, kernel)
    for which, inputs in enumerate([(x, kernel), (y, kernel), (x, y)]):
        with jax.enable_x64(True):
            exact = reference(case)[which](*(a.astype("float64") for a in inputs))
        exact = np.asarray(exact).ravel()
        errors = [
            np.linalg.norm(np.asarray(three[which](*inputs)).ravel() - exact)
            for three in (functions(method, case), reference(case))
        ]
        assert errors[0] < 4 * errors[1]
        assert errors[0] < 1e-6 * np.linalg.norm(exact)


def arrays(case: Case, batch: int = 2, channels: int = 3, features: int = 2):
    """An input, a kernel and an output of the convolution, of integers, so that sums are exact."""
    x = np.zeros((batch, *case.size, channels))
    kernel = np.zeros((*case.kernel, channels, features))
    y = jax.eval_shape(reference(case)[0], x, kernel)
    draw = np.random.default_rng(sum(case.size)).integers
    return [jnp.asarray(draw(-3, 4, like.shape), float) for like in (x, kernel, y)]


@st.composite
def cases(draw) -> Case:
    side = st.integers(1, 8)
    size, kernel = draw(st.tuples(side, side)), draw(st.tuples(*[st.integers(1, 5)] * 2))
    stride = draw(st.integers(1, 4))
    if draw(st.booleans()):
        return Case(size, kernel, stride, same_padding(size, kernel, stride))
    padding = []
    for axis in (0, 1):
        before = draw(st.integers(0, 2))
        least = max(kernel[axis] - size[axis] - before, 0)  # so that the kernel fits once
        padding.append((before, draw(st.integers(least, least + 2))))
    return Case(size, kernel, stride, (padding[0], padding[1]))


SHAPES = [
    Case((1, 1), (1, 1), 3, ((0, 0), (0, 0))),
    Case((5, 4), (1, 1), 2, ((0, 0), (0, 0))),  # a kernel smaller than the stride
    Case((5, 7), (2, 1), 3, ((0, 0), (0, 0))),  # the same, and pixels that no kernel sees
    Case((3, 3), (1, 1), 1, ((2, 2), (2, 1))),  # outputs that see nothing but zeros
    Case((5, 6), (4, 4), 2, ((1, 2), (1, 1))),  # SAME, the size not divisible by the stride
]


def check_bilinear(found, expected, left, right):
    """Values, both gradients, and the gradients of a function of the gradients."""

    @partial(jax.jit, static_argnums=0)
    def all_orders(function, left, right):
        value, pull = jax.vjp(function, left, right)
        cotangent = jnp.cos(value)

        def size_of_gradients(left, right, cotangent):
            a, b = jax.vjp(function, left, right)[1](cotangent)
            return (a**2).sum() + jnp.sin(b).sum()

        second = jax.grad(size_of_gradients, (0, 1, 2))(left, right, cotangent)
        return value, pull(cotangent), second

    found, expected = all_orders(found, left, right), all_orders(expected, left, right)

    def check(one, other):
        atol = 1e-11 * max(1, np.abs(other).max())  # rounding is that of the largest numbers
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=atol)

    jax.tree.map(check, found, expected)
