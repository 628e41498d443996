"""The three functions against XLA's own convolution and what JAX differentiates out of it."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convolutions import SHAPES, Case, arrays, cases, check_bilinear, functions, reference
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export, lax

from jaxgan.nn.convolution.bilinear import (
    BY_DEFINITION,
    Method,
    convolve,
    correlate,
    same_padding,
    transpose,
)

OURS = Method(convolve, transpose, correlate)


@pytest.mark.slow
@pytest.mark.parametrize("case", SHAPES, ids=str)
@pytest.mark.parametrize("which", [0, 1, 2], ids=["convolve", "transpose", "correlate"])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_and_gradients_of_two_orders_at_the_corners(case, which, channels):
    with jax.enable_x64(True):
        x, kernel, y = arrays(case, channels=channels)
        inputs = [(x, kernel), (y, kernel), (x, y)][which]
        check_bilinear(functions(OURS, case)[which], reference(case)[which], *inputs)


@settings(derandomize=True, deadline=None, max_examples=6)
@given(cases(), st.sampled_from([0, 1, 2]), st.sampled_from([1, 3]))
def test_values_and_gradients_of_two_orders(case, which, channels):
    with jax.enable_x64(True):
        x, kernel, y = arrays(case, channels=channels)
        inputs = [(x, kernel), (y, kernel), (x, y)][which]
        check_bilinear(functions(OURS, case)[which], reference(case)[which], *inputs)


@settings(derandomize=True, deadline=None, max_examples=8)
@given(cases())
def test_the_three_are_one_trilinear_form(case):
    @jax.jit
    def forms(x, kernel, y):
        conv, by_input, by_kernel = functions(OURS, case)
        pairs = [
            (reference(case)[0](x, kernel), y),
            (conv(x, kernel), y),
            (x, by_input(y, kernel)),
            (kernel, by_kernel(x, y)),
        ]
        return [(a * b).sum() for a, b in pairs]

    with jax.enable_x64(True):
        expected, *found = forms(*arrays(case))
    assert found == [expected] * 3  # exactly, for the numbers are integers


# The Fourier transform is the fastest method on a CPU.
DEEP = Case((6, 5), (5, 5), 1, ((2, 2), (2, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1, 2], ids=["convolve", "transpose", "correlate"])
def test_values_and_gradients_of_two_orders_of_a_deep_layer(which):
    with jax.enable_x64(True):
        x, kernel, y = arrays(DEEP, 16, 64, 64)
        inputs = [(x, kernel), (y, kernel), (x, y)][which]
        check_bilinear(functions(OURS, DEEP)[which], reference(DEEP)[which], *inputs)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize(("channels", "features"), [(1, 2), (2, 2), (64, 64)])
def test_the_method_depends_on_depth_type_and_platform(platform, dtype, channels, features):
    x, kernel, y = (a.astype(dtype) for a in arrays(DEEP, 16, channels, features))
    by_definition = platform != "cpu" or dtype != "float32" or channels == 2

    def operations(function, *inputs) -> float:
        lowered = jax.jit(function).trace(*inputs).lower(lowering_platforms=(platform,))
        costs: Any = lowered.cost_analysis()
        return costs["flops"]

    for ours, definition, inputs in zip(
        functions(OURS, DEEP),
        functions(BY_DEFINITION, DEEP),
        [(x, kernel), (y, kernel), (x, y)],
        strict=True,
    ):
        same = operations(ours, *inputs) == operations(definition, *inputs)
        assert same == by_definition


CASE = Case((6, 5), (3, 2), 2, ((1, 1), (0, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1, 2], ids=["convolve", "transpose", "correlate"])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_under_vmap_and_scan(which, channels):
    x, kernel, y = arrays(CASE, channels=channels)
    left, right = [(x, kernel), (y, kernel), (x, y)][which]
    lefts, rights = (jnp.stack([one, -2 * one, one[::-1]]) for one in (left, right))

    def gradients(function):
        return jax.grad(lambda a, b: (function(a, b) ** 2).sum(), (0, 1))

    found, expected = gradients(functions(OURS, CASE)[which]), gradients(reference(CASE)[which])
    each = [expected(lefts[i], rights[i]) for i in range(3)]
    stacked = jax.tree.map(lambda *rows: jnp.stack(rows), *each)
    check = partial(np.testing.assert_allclose, rtol=1e-5)
    jax.tree.map(check, jax.vmap(found)(lefts, rights), stacked)
    scanned = jax.jit(lambda: lax.scan(lambda c, ab: (c, found(*ab)), 0, (lefts, rights))[1])()
    jax.tree.map(check, scanned, stacked)
    shared = jax.vmap(found, in_axes=(0, None))(lefts, right)
    each = [expected(lefts[i], right) for i in range(3)]
    jax.tree.map(check, shared, jax.tree.map(lambda *rows: jnp.stack(rows), *each))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_the_type_of_numbers_is_kept(dtype):
    with jax.enable_x64(True):
        for function, inputs in zip(functions(OURS, CASE), [(0, 1), (2, 1), (0, 2)], strict=True):
            some = [arrays(CASE)[index].astype(dtype) for index in inputs]
            value, pull = jax.vjp(function, *some)
            assert [a.dtype for a in (value, *pull(value))] == [jnp.dtype(dtype)] * 3


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        ((28, 28), (5, 5), 1, ((2, 2), (2, 2))),
        ((28, 28), (4, 4), 2, ((1, 1), (1, 1))),
        ((28, 14), (5, 5), 2, ((1, 2), (1, 2))),  # odd: one more after than before
        ((7, 8), (3, 3), 2, ((1, 1), (0, 1))),
        ((5, 5), (1, 1), 2, ((0, 0), (0, 0))),
        ((5, 5), (1, 2), 3, ((0, 0), (0, 0))),
    ],
)
def test_same_padding(size, kernel, stride, expected):
    assert same_padding(size, kernel, stride) == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_a_program_for_batches_of_any_size(channels):
    padding = ((1, 1), (1, 1))
    kernel = jax.random.normal(jax.random.key(0), (4, 4, channels, 2))
    x = jax.random.normal(jax.random.key(1), (3, 8, 8, channels))

    def there_and_back(x):
        return transpose(convolve(x, kernel, 2, padding), kernel, 2, padding, (8, 8))

    (batch,) = export.symbolic_shape("b")
    shape = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    exported = export.export(jax.jit(there_and_back))(shape)
    for some in (x, x[:1]):
        np.testing.assert_allclose(exported.call(some), there_and_back(some), rtol=1e-4, atol=1e-4)
