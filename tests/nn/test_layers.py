from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgan import axes
from jaxgan.nn.layers import (
    Conv,
    ConvTranspose,
    Dropout,
    FanInDense,
    batch_norm,
    max_pool,
    normalize_second_moment,
    uniform,
)

KEY = jax.random.key(0)
TWO = jax.devices()[:2]


def test_uniform_fills_its_interval():
    x = uniform(0.25)(KEY, (100, 100), jnp.float32)
    assert -0.25 <= x.min() < -0.249 and 0.249 < x.max() <= 0.25
    assert abs(float(x.mean())) < 0.005 and x.dtype == jnp.float32


def test_vectors_are_scaled_to_a_mean_square_of_1():
    x = jnp.asarray([[3.0, -4.0], [0.0, 0.0], [1e3, 0.0]])
    expected = [[3 / 12.5**0.5, -4 / 12.5**0.5], [0, 0], [2**0.5, 0]]
    np.testing.assert_allclose(normalize_second_moment(x), expected, rtol=1e-6)
    assert jnp.isfinite(jax.grad(lambda x: normalize_second_moment(x).sum())(x)).all()


@pytest.mark.parametrize("fan_in", [1, 16, 400])
def test_a_fan_in_dense_layer_draws_kernel_and_bias_by_its_inputs(fan_in):
    variables = FanInDense(1000).init(KEY, jnp.zeros((2, fan_in)))
    assert jax.tree.map(jnp.shape, variables) == {
        "params": {"kernel": (fan_in, 1000), "bias": (1000,)}
    }
    bound = 1 / np.sqrt(fan_in)
    for name in ("kernel", "bias"):
        values = np.asarray(variables["params"][name])
        assert 0.98 * bound < np.abs(values).max() <= bound * (1 + 1e-6)
        np.testing.assert_allclose(values.std(), bound / np.sqrt(3), rtol=0.1)
        assert abs(values.mean()) < 0.1 * bound
    kernel, bias = (
        np.asarray(variables["params"][name]).ravel()[:1000] for name in ("kernel", "bias")
    )
    assert not np.allclose(kernel, bias)  # drawn apart


def test_a_fan_in_dense_layer_is_affine():
    params = {"kernel": jnp.array([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]]), "bias": jnp.arange(3.0)}
    outputs: Any = FanInDense(3).apply({"params": params}, jnp.array([[2.0, 1.0]]))
    np.testing.assert_allclose(outputs, [[2, 4, 5]])


def check_same_function(our: nn.Module, their: nn.Module, shape: tuple[int, ...]):
    """Same parameters, values and gradients as a layer of Flax's."""
    with jax.enable_x64(True):
        draw = np.random.default_rng(0).normal
        x = draw(size=shape)
        shapes = jax.eval_shape(their.init, KEY, x)
        ours = jax.eval_shape(our.init, KEY, x)
        assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, shapes)
        params = jax.tree.map(lambda like: draw(size=like.shape), shapes)

        def loss(params, x, module):
            outputs = module.apply(params, x)
            return jnp.sin(outputs).sum(), outputs

        @jax.jit
        def both(params, x):
            gradients = jax.grad(loss, (0, 1), has_aux=True)
            return gradients(params, x, our), gradients(params, x, their)

        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), *both(params, x))


def test_conv_may_have_no_bias():
    check_same_function(
        Conv(4, 3, use_bias=False), nn.Conv(4, (3, 3), use_bias=False), (2, 5, 4, 3)
    )


SETTINGS = settings(derandomize=True, deadline=None, max_examples=8)
SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7))


@SETTINGS
@given(
    SIZES, st.integers(1, 5), st.integers(1, 3),
    st.sampled_from(["SAME", "VALID", "REFLECT", ((2, 0), (1, 3))]),
)  # fmt: skip
def test_conv_is_flax_conv(size, kernel, stride, padding):
    if padding != "SAME":
        size = (size[0] + kernel - 1, size[1] + kernel - 1)
    their = nn.Conv(4, (kernel, kernel), (stride, stride), padding)
    check_same_function(Conv(4, kernel, stride, padding), their, (2, *size, 3))


@SETTINGS
@given(SIZES, st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_conv_transpose_is_flax_conv_transpose_with_the_kernel_transposed(
    size, kernel, stride, use_bias
):
    their = nn.ConvTranspose(
        4, (kernel, kernel), (stride, stride), use_bias=use_bias, transpose_kernel=True
    )
    our = ConvTranspose(4, kernel, stride, use_bias)
    x = jnp.zeros((2, *size, 3))
    assert jax.eval_shape(our.init_with_output, KEY, x)[0].shape == (
        2,
        size[0] * stride,
        size[1] * stride,
        4,
    )
    check_same_function(our, their, x.shape)


def test_reflected_pixels_are_those_of_a_mirror():
    x = jnp.arange(1.0, 5).reshape(1, 1, 4, 1).repeat(4, 1)
    params = {"kernel": jnp.zeros((5, 5, 1, 1)).at[2, 0].set(1), "bias": jnp.zeros(1)}
    y: Any = Conv(1, 5, padding="REFLECT").apply({"params": params}, x)
    np.testing.assert_array_equal(y[0, 0, :, 0], [3, 2, 1, 2])


@pytest.mark.parametrize(
    "kernel, stride, padding", [(3, 2, ((1, 1), (0, 1))), (4, 2, ((1, 1), (2, 0)))]
)
def test_conv_transpose_of_any_padding_is_the_adjoint_of_conv(kernel, stride, padding):
    x, y = (jax.random.normal(KEY, shape) for shape in ((2, 6, 8, 3), (2, 3, 4, 5)))
    params = {"kernel": jax.random.normal(KEY, (kernel, kernel, 3, 5)), "bias": jnp.zeros(5)}
    conv = Conv(5, kernel, stride, padding)
    transposed = ConvTranspose(3, kernel, stride, use_bias=False, padding=padding)

    @jax.jit
    def products(params):
        there: Any = conv.apply({"params": params}, x)
        back: Any = transposed.apply({"params": {"kernel": params["kernel"]}}, y)
        return jnp.vdot(there, y), jnp.vdot(x, back)

    np.testing.assert_allclose(*products(params), rtol=1e-4)


def test_conv_transpose_refuses_a_padding_that_leads_to_other_sizes():
    for padding in (((0, 0), (1, 1)), ((1, 1), (2, 1))):
        with pytest.raises(ValueError, match="zeros around it, a convolution of kernels of 3"):
            layer = ConvTranspose(4, 3, 2, padding=padding)
            jax.eval_shape(layer.init, KEY, jnp.zeros((1, 4, 4, 2)))


def test_convolutions_start_with_the_kernel_they_are_told_and_no_bias():
    x = jnp.ones((1, 4, 4, 2))
    for layer in (Conv, ConvTranspose):
        params = layer(3, 3, kernel_init=nn.initializers.constant(0.5)).init(KEY, x)["params"]
        np.testing.assert_array_equal(params["kernel"], 0.5)
        np.testing.assert_array_equal(params["bias"], 0)
        default = layer(64, 3).init(KEY, jnp.ones((1, 4, 4, 64)))["params"]["kernel"]
        bound = np.sqrt(6 / (2 * 9 * 64))  # Glorot's, of 9 * 64 inputs and as many outputs
        assert 0.99 * bound < np.abs(np.asarray(default)).max() <= bound


def drop(x, key=KEY, train=True, rate=0.3) -> Any:
    return Dropout(rate).apply({}, x, train, rngs={"dropout": key})


def over_two_devices(function):
    """Maps over two devices a function that knows that its batch is spread."""

    def mapped(x):
        with axes.spread(axis_name="devices"):
            return function(x)

    return jax.pmap(mapped, "devices", devices=TWO)


def test_dropout_drops_at_its_rate_and_scales_the_rest():
    y = np.asarray(drop(jnp.full((100, 200), 3.0)))
    assert set(np.unique(y)) == {np.float32(0), np.float32(3) / np.float32(0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.02
    assert abs(y.mean() - 3) < 0.1


def test_each_example_and_each_key_has_its_own_mask():
    x = jnp.ones((4, 100))
    masks = [row.tobytes() for key in (KEY, jax.random.key(1)) for row in np.asarray(drop(x, key))]
    assert len(set(masks)) == 8
    np.testing.assert_array_equal(drop(x), drop(x))
    np.testing.assert_array_equal(drop(x)[:2], drop(x[:2]))


def test_dropout_does_nothing_outside_training_or_at_rate_0():
    x = jax.random.normal(KEY, (3, 4))
    np.testing.assert_array_equal(drop(x, train=False), x)
    np.testing.assert_array_equal(drop(x, rate=0.0), x)
    np.testing.assert_array_equal(Dropout(0.5).apply({}, x, False), x)  # without a key


def test_the_gradient_of_dropout_is_its_mask():
    x = jnp.ones((3, 50))
    np.testing.assert_array_equal(jax.grad(lambda x: drop(x).sum())(x), drop(x))


def test_dropout_on_two_devices_is_dropout_on_one():
    x = jax.random.normal(KEY, (6, 5, 4))
    shares = x.reshape(2, 3, 5, 4)
    mapped = over_two_devices(drop)(shares)
    np.testing.assert_array_equal(mapped.reshape(x.shape), drop(x))


X = np.random.default_rng(0).normal(3, 2, (8, 4)).astype(np.float32)


def test_batch_norm_in_training_uses_the_batch_and_moves_the_averages():
    layer = batch_norm(0.9, 1e-2, True)()
    stats = {"mean": jnp.full(4, 10.0), "var": jnp.full(4, 5.0)}
    params = {"scale": jnp.full(4, 2.0), "bias": jnp.full(4, 1.0)}
    variables = {"params": params, "batch_stats": stats}
    outputs, moved = layer.apply(variables, X, mutable=["batch_stats"])
    mean, var = X.mean(0), X.var(0)
    np.testing.assert_allclose(
        np.asarray(outputs), 2 * (X - mean) / np.sqrt(var + 1e-2) + 1, rtol=1e-4
    )
    moved: Any = moved["batch_stats"]
    np.testing.assert_allclose(moved["mean"], 0.9 * 10 + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(moved["var"], 0.9 * 5 + 0.1 * var, rtol=1e-5)


def test_batch_norm_outside_training_uses_the_averages_and_leaves_them():
    layer = batch_norm(0.9, 1e-2, False)()
    variables = layer.init(KEY, X)
    stats = {"mean": jnp.full(4, 10.0), "var": jnp.full(4, 5.0)}
    variables = {"params": variables["params"], "batch_stats": stats}
    outputs, moved = layer.apply(variables, X, mutable=["batch_stats"])
    np.testing.assert_allclose(outputs, (X - 10) / np.sqrt(5 + 1e-2), rtol=1e-5)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), moved["batch_stats"], stats))


def test_batch_norm_over_two_devices_is_batch_norm_over_all():
    variables = batch_norm(0.9, 1e-5, True)().init(KEY, X)

    def normalize(x):
        layer = batch_norm(0.9, 1e-5, True)()
        return layer.apply(variables, x, mutable=["batch_stats"])

    found = over_two_devices(normalize)(X.reshape(2, 4, 4))
    outputs, moved = normalize(X)
    np.testing.assert_allclose(found[0].reshape(8, 4), outputs, atol=1e-5)
    for device in (0, 1):
        own = jax.tree.map(lambda x, device=device: x[device], found[1])
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), own, moved)
    apart = normalize(X[:4])[0]
    assert not np.allclose(apart, outputs[:4], atol=1e-2)  # or this test could not fail


# Numbers of few values, so that many windows have their largest more than once.
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9),
    st.integers(1, 3),
)  # fmt: skip
@settings(max_examples=8, deadline=None)
def test_max_pool_is_flaxs_and_so_is_its_gradient(seed, size, height, width, channels):
    height, width = max(height, size), max(width, size)
    random = np.random.default_rng(seed)
    x = jnp.asarray(random.integers(-1, 2, (2, height, width, channels)).astype(np.float32))

    def flaxs(x):
        return nn.max_pool(x, (size, size), (size, size))

    expected, theirs = jax.vjp(flaxs, x)
    found, ours = jax.vjp(lambda x: max_pool(x, size), x)
    np.testing.assert_array_equal(found, expected)
    cotangent = jnp.asarray(random.normal(size=found.shape).astype(np.float32))
    np.testing.assert_array_equal(ours(cotangent)[0], theirs(cotangent)[0])


def test_max_pool_passes_nan_on():
    for place in np.ndindex(2, 2):
        x = np.arange(8.0).reshape(1, 2, 4, 1)
        x[0, *place, 0] = np.nan
        np.testing.assert_array_equal(max_pool(jnp.asarray(x), 2).ravel(), [np.nan, 7])
