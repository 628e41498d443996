from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.nn.equalized import EqualizedConv, EqualizedDense, ModulatedConv, convolve_same
from jaxgan.nn.resampling import convolve_down, convolve_up

KEY = jax.random.key(0)


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_a_dense_layer_keeps_the_variance_and_has_large_parameters(multiplier):
    x = jax.random.normal(KEY, (500, 50))
    layer = EqualizedDense(400, multiplier)
    y, variables = layer.init_with_output(jax.random.key(1), x)
    params: Any = variables["params"]
    np.testing.assert_allclose(params["kernel"].std(), 1 / multiplier, rtol=0.02)
    np.testing.assert_allclose(np.asarray(y).std(), 1, rtol=0.05)
    assert (params["bias"] == 0).all()


def test_a_multiplier_slows_kernel_and_bias_down():
    x = jnp.array([[1.0, 2.0, 3.0, 4.0]])
    params = {"kernel": jnp.ones((4, 1)), "bias": jnp.array([7.0])}
    y: Any = EqualizedDense(1, 0.1).apply({"params": params}, x)
    np.testing.assert_allclose(y, [[0.1 * 10 / 2 + 0.1 * 7]], rtol=1e-6)


def test_a_dense_layer_may_have_no_bias_or_start_from_another():
    x = jnp.ones((1, 2))
    without = EqualizedDense(3, use_bias=False).init(KEY, x)["params"]
    assert set(without) == {"kernel"}
    ones: Any = EqualizedDense(3, bias_init=jax.nn.initializers.ones).init(KEY, x)["params"]
    assert (ones["bias"] == 1).all()


@pytest.mark.parametrize(
    "convolution, rows", [(convolve_same, 4), (convolve_up, 8), (convolve_down, 2)]
)
def test_a_convolution_scales_its_kernel_when_it_is_used(convolution, rows):
    x = jax.random.normal(KEY, (2, 4, 4, 5))
    y, variables = EqualizedConv(3, convolution).init_with_output(KEY, x)
    params: Any = variables["params"]
    assert jax.tree.map(jnp.shape, params) == {"kernel": (3, 3, 5, 3), "bias": (3,)}
    assert (params["bias"] == 0).all() and 0.8 < params["kernel"].std() < 1.2
    np.testing.assert_allclose(
        np.asarray(y), convolution(x, params["kernel"] / np.sqrt(45)), atol=1e-5
    )
    assert y.shape == (2, rows, rows, 3)


def test_a_convolution_keeps_the_variance():
    x = jax.random.normal(KEY, (4, 8, 8, 64))
    y, _ = EqualizedConv(64).init_with_output(jax.random.key(1), x)
    inside = np.asarray(y)[:, 1:-1, 1:-1]
    np.testing.assert_allclose(inside.std(), 1, rtol=0.05)


def modulated(convolution=convolve_same, channels=6, features=4):
    layer = ModulatedConv(features, convolution)
    x = jax.random.normal(KEY, (3, 4, 4, channels))
    styles = jax.random.normal(jax.random.key(1), (3, 5))
    return layer, x, styles, layer.init(jax.random.key(2), x, styles)


def test_a_modulated_convolution_starts_with_scales_around_1():
    params: Any = modulated()[3]["params"]
    assert jax.tree.map(jnp.shape, params) == {
        "kernel": (3, 3, 6, 4),
        "affine": {"kernel": (5, 6), "bias": (6,)},
    }
    assert (params["affine"]["bias"] == 1).all()


@pytest.mark.parametrize("convolution", [convolve_same, convolve_up, convolve_down])
def test_modulating_is_convolving_each_example_with_its_own_kernel_of_norm_1(convolution):
    layer, x, styles, variables = modulated(convolution)
    params: Any = variables["params"]
    scales: Any = EqualizedDense(6).apply({"params": params["affine"]}, styles)
    found: Any = jax.jit(layer.apply)(variables, x, styles)
    own = np.asarray(params["kernel"]) * np.asarray(scales).reshape(3, 1, 1, 6, 1)
    own /= np.sqrt((own**2).sum((1, 2, 3), keepdims=True) + 1e-8)
    np.testing.assert_allclose((own**2).sum((1, 2, 3)), 1, rtol=1e-5)
    each = jax.jit(jax.vmap(lambda x, kernel: convolution(x[None], kernel)[0]))
    np.testing.assert_allclose(found, each(x, own), atol=1e-5)


def test_the_size_of_the_scales_does_not_count():
    layer, x, styles, variables = modulated()
    params: Any = variables["params"]
    larger = params | {"affine": jax.tree.map(lambda p: 8 * p, params["affine"])}
    run = jax.jit(layer.apply)
    outputs, others = (np.asarray(run({"params": p}, x, styles)) for p in (params, larger))
    np.testing.assert_allclose(others, outputs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_layers_compute_in_the_type_of_parameters_and_inputs(dtype):
    with jax.enable_x64(True):
        layer, x, styles, variables = modulated()
        cast = jax.tree.map(lambda a: a.astype(dtype), (variables, x, styles))
        assert jax.eval_shape(layer.apply, *cast).dtype == dtype
        for layer in (EqualizedDense(3), EqualizedConv(3)):
            variables = jax.eval_shape(layer.init, KEY, x)
            params = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, dtype), variables)
            assert jax.eval_shape(layer.apply, params, x.astype(dtype)).dtype == dtype
