from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxgan import axes
from jaxgan.nn.layers import batch_norm
from jaxgan.nn.normalization import ConditionalBatchNorm, linear, one_plus, table
from jaxgan.nn.spectral import SpectralNorm

KEY = jax.random.key(0)
X = 3 + 2 * jax.random.normal(KEY, (4, 3, 3, 5))
LABELS = jnp.array([0, 2, 2, 1])
CODES = jax.random.normal(jax.random.key(1), (4, 6))
ones, zeros, normal = nn.initializers.ones, nn.initializers.zeros, nn.initializers.normal(0.5)


def wrap(layer):
    return layer


def hidden(init):
    return lambda z, channels: nn.Dense(channels, bias_init=init)(nn.relu(nn.Dense(32)(z)))


def by_table(train: bool = True):
    return ConditionalBatchNorm(table(3, ones), table(3, zeros), train)


def test_at_first_it_is_batch_norm():
    plain: Any = batch_norm(0.9, 1e-5, True)().init_with_output(KEY, X)[0]
    cases = [
        (by_table(), LABELS),
        (ConditionalBatchNorm(one_plus(linear(wrap, zeros)), linear(wrap, zeros), True), CODES),
    ]
    for layer, condition in cases:
        outputs, _ = layer.init_with_output(KEY, X, condition)
        np.testing.assert_allclose(np.asarray(outputs), plain, atol=1e-6)


def test_examples_of_one_label_have_ordinary_batch_norm_with_its_gain_and_bias():
    params = {
        "Embed_0": {"embedding": jax.random.normal(KEY, (3, 5))},
        "Embed_1": {"embedding": jax.random.normal(jax.random.key(1), (3, 5))},
    }
    stats = {"mean": jnp.full(5, 2.0), "var": jnp.full(5, 3.0)}
    variables: Any = {"params": params, "batch_stats": {"BatchNorm_0": stats}}
    own = {"scale": params["Embed_0"]["embedding"][2], "bias": params["Embed_1"]["embedding"][2]}
    for train in (True, False):
        outputs, moved = by_table(train).apply(
            variables, X, jnp.full(4, 2), mutable=["batch_stats"]
        )
        expected, expected_moved = batch_norm(0.9, 1e-5, train)().apply(
            {"params": own, "batch_stats": stats}, X, mutable=["batch_stats"]
        )
        np.testing.assert_allclose(np.asarray(outputs), np.asarray(expected), atol=1e-5)
        jax.tree.map(
            np.testing.assert_array_equal,
            moved["batch_stats"]["BatchNorm_0"], expected_moved["batch_stats"],
        )  # fmt: skip


@pytest.mark.parametrize(
    "gain, bias, condition, shapes",
    [
        (table(3, ones), table(3, zeros), LABELS, {"Embed_0": (3, 5), "Embed_1": (3, 5)}),
        (
            one_plus(linear(wrap, normal)), linear(wrap, normal), CODES,
            {"Dense_0": (6, 5), "Dense_1": (6, 5)},
        ),
        (
            hidden(ones), hidden(zeros), CODES,
            {"Dense_0": (32, 5), "Dense_1": (6, 32), "Dense_2": (32, 5), "Dense_3": (6, 32)},
        ),
    ],
    ids=["tables", "linear", "self-modulation"],
)  # fmt: skip
def test_gains_and_biases_are_of_each_example_and_channel(gain, bias, condition, shapes):
    layer = ConditionalBatchNorm(gain, bias, True)
    outputs, variables = layer.init_with_output(KEY, X, condition)
    params: Any = variables["params"]
    found = {
        name: next(x.shape for x in own.values() if x.ndim > 1) for name, own in params.items()
    }
    assert found == shapes
    same: Any = layer.clone(gain=lambda c, n: jnp.ones((4, n)), bias=lambda c, n: jnp.zeros((4, n)))
    standardized = same.init_with_output(KEY, X, condition)[0]

    class Alone(nn.Module):
        @nn.compact
        def __call__(self, condition):
            return gain(condition, 5), bias(condition, 5)

    gains, biases = (np.asarray(x)[:, None, None] for x in Alone().apply(variables, condition))
    np.testing.assert_allclose(np.asarray(outputs), standardized * gains + biases, atol=1e-5)


def test_linear_maps_may_be_spectrally_normalized():
    layer = linear(lambda layer: SpectralNorm(layer, True), normal)
    variables = ConditionalBatchNorm(one_plus(layer), layer, True).init(KEY, X, CODES)
    assert variables["batch_stats"].keys() == {"BatchNorm_0", "Dense_0", "Dense_1"}


def test_over_two_devices_it_uses_the_whole_batch():
    layer = by_table()
    variables = layer.init(KEY, X, LABELS)

    def run(x, labels):
        return layer.apply(variables, x, labels, mutable=["batch_stats"])

    def mapped(x, labels):
        with axes.spread(axis_name="devices"):
            return run(x, labels)

    shares = X.reshape(2, 2, 3, 3, 5), LABELS.reshape(2, 2)
    found = jax.pmap(mapped, "devices", devices=jax.devices()[:2])(*shares)
    outputs, moved = run(X, LABELS)
    np.testing.assert_allclose(found[0].reshape(X.shape), np.asarray(outputs), atol=1e-5)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x[1], y, rtol=1e-5), found[1], moved)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_it_computes_in_the_type_of_parameters_and_inputs(dtype):
    with jax.enable_x64(True):
        layer = by_table()
        variables = jax.eval_shape(layer.init, KEY, X, LABELS)
        params = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, dtype), variables["params"])
        outputs, _ = jax.eval_shape(
            lambda *args: layer.apply(*args, mutable=["batch_stats"]),
            {"params": params, "batch_stats": variables["batch_stats"]}, X.astype(dtype), LABELS,
        )  # fmt: skip
        assert outputs.dtype == dtype
