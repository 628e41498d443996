"""Spectral normalization against singular values, and the iteration by hand."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxgan import latents, losses
from jaxgan.core.gan import GAN, init
from jaxgan.core.networks import in_dtype, linen
from jaxgan.core.steps import make_step
from jaxgan.core.updates import update_both
from jaxgan.nn.layers import Conv, ConvTranspose
from jaxgan.nn.spectral import SpectralNorm, plain

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (2, 5, 5, 3))


def test_three_steps_of_the_iteration_are_those_by_hand():
    kernel = jnp.array([[3.0, 4.0], [0.0, 5.0], [0.0, 0.0]])
    variables: Any = {
        "params": {"kernel": kernel},
        "batch_stats": {"kernel_u": jnp.array([1, 0.0])},
    }
    layer = SpectralNorm(nn.Dense(2, use_bias=False), train=True)
    for sigma in (5, 6.671746, 6.707750):
        outputs, moved = layer.apply(variables, jnp.eye(3), mutable="batch_stats")
        np.testing.assert_allclose(outputs, kernel / sigma, rtol=1e-6)
        variables |= moved
    assert abs(sigma - math.sqrt(45)) < 1e-3  # the largest singular value


LAYERS = {  # layer, axis of the outputs, inputs
    "dense": (nn.Dense(4), -1, X),
    "conv": (Conv(4, 3), -1, X),
    "embed": (nn.Embed(4, 6), -1, jnp.array([0, 3])),
    "conv_transpose": (ConvTranspose(4, 3, 2), -2, X),
}


def converged(layer, axis, inputs) -> tuple[nn.Module, Any]:
    """A normalized layer and its variables, after a hundred steps."""
    normalized = SpectralNorm(layer, train=True, axis=axis)
    variables: Any = normalized.init(KEY, inputs)

    @jax.jit
    def iterate(variables):
        def step(_, stats):
            return normalized.apply(
                variables | {"batch_stats": stats}, inputs, mutable="batch_stats"
            )[1]["batch_stats"]

        return jax.lax.fori_loop(0, 100, step, variables["batch_stats"])

    return normalized, variables | {"batch_stats": iterate(variables)}


@pytest.mark.parametrize("name", LAYERS)
def test_the_iteration_finds_the_largest_singular_value(name):
    layer, axis, inputs = LAYERS[name]
    normalized, variables = converged(layer, axis, inputs)
    params = variables["params"]
    (matrix,) = (np.asarray(leaf) for leaf in params.values() if leaf.ndim > 1)
    matrix = np.moveaxis(matrix, axis, 0).reshape(matrix.shape[axis], -1)
    sigma = np.linalg.svd(matrix, compute_uv=False)[0]
    expected = jax.tree.map(lambda leaf: leaf / sigma if leaf.ndim > 1 else leaf, params)

    @jax.jit
    def both(variables, params):
        found = normalized.clone(train=False).apply(variables, inputs)
        return found, layer.apply({"params": params}, inputs)

    np.testing.assert_allclose(*both(variables, expected), rtol=1e-4, atol=1e-5)


def test_the_size_of_a_kernel_does_not_count_and_has_no_gradient():
    normalized, variables = converged(*LAYERS["conv"])
    params, stats = variables["params"], variables["batch_stats"]

    @jax.jit
    @jax.value_and_grad
    def loss(params):
        layer = normalized.clone(train=False)
        outputs: Any = layer.apply({"params": params, "batch_stats": stats}, X)
        return jnp.sin(outputs).sum()

    value, gradient = loss(params)
    larger, _ = loss(params | {"kernel": 7 * params["kernel"]})
    np.testing.assert_allclose(larger, value, rtol=1e-5)
    along = (gradient["kernel"] * params["kernel"]).sum()
    assert abs(along) < 1e-4 * jnp.linalg.norm(gradient["kernel"]) * jnp.linalg.norm(
        params["kernel"]
    )
    assert jnp.linalg.norm(gradient["kernel"]) > 0.1


def test_biases_and_the_tree_of_parameters_are_those_of_the_layer():
    class Two(nn.Module):
        wrap: Any

        @nn.compact
        def __call__(self, x):
            x = self.wrap(nn.Dense(2, bias_init=nn.initializers.ones), True)(x)
            return self.wrap(nn.Dense(3), True)(x)

    trees = [
        jax.eval_shape(Two(wrap).init, KEY, jnp.ones((1, 4))) for wrap in (plain, SpectralNorm)
    ]
    assert trees[0]["params"] == trees[1]["params"]
    shapes = jax.tree.map(jnp.shape, trees[1]["batch_stats"])
    assert shapes == {"Dense_0": {"kernel_u": (2,)}, "Dense_1": {"kernel_u": (3,)}}
    layer = SpectralNorm(nn.Dense(2, bias_init=nn.initializers.constant(5.0)), train=True)
    outputs, _ = layer.init_with_output(KEY, jnp.zeros((1, 4)))
    np.testing.assert_array_equal(np.asarray(outputs), 5)


def test_outside_training_the_iteration_stays_where_it_is():
    layer = SpectralNorm(nn.Dense(2), train=False)
    variables = layer.init(KEY, X)
    _, moved = layer.apply(variables, X, mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, moved["batch_stats"], variables["batch_stats"])


class Discriminator(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.relu(SpectralNorm(nn.Dense(4), train)(x))
        return SpectralNorm(nn.Dense(1), train)(x)[:, 0]


class Generator(nn.Module):
    @nn.compact
    def __call__(self, z, train: bool):
        return nn.Dense(3)(z)


def test_bfloat16_stays_bfloat16():
    inner = []

    def look(call, args, kwargs, context):
        outputs = call(*args, **kwargs)
        if context.method_name == "__call__":
            inner.append(outputs.dtype)
        return outputs

    network = in_dtype(linen(Discriminator()), jnp.bfloat16)
    params, collections = network.init(KEY, jnp.ones((2, 3)))
    with nn.intercept_methods(look):
        _, moved = network.apply(params, collections, jnp.ones((2, 3)), KEY, True)
    assert set(inner) == {jnp.dtype("bfloat16")}
    assert {leaf.dtype for leaf in jax.tree.leaves(moved)} == {jnp.dtype("float32")}


def test_a_training_step_on_two_devices_is_one_on_all_examples():
    gan = GAN(
        linen(Generator()), linen(Discriminator()), optax.sgd(0.1), optax.sgd(0.1),
        losses.hinge, latents.normal(2),
    )  # fmt: skip
    images = jax.random.normal(KEY, (4, 3))
    update = update_both(gan)
    state = jax.jit(lambda key: init(gan, key, {"image": images}, update))(KEY)
    single, _ = jax.jit(make_step(update))(state, {"image": images}, KEY)
    mapped, _ = jax.pmap(
        make_step(update, axis_name="devices"), "devices", in_axes=(None, 0, None),
        devices=jax.devices()[:2],
    )(state, {"image": images.reshape(2, 2, 3)}, KEY)  # fmt: skip
    before = jax.tree.leaves(state.discriminator.collections)
    after = jax.tree.leaves(single.discriminator.collections)
    assert len(after) == 2 and not np.allclose(after[0], before[0], atol=1e-2)
    for device in (0, 1):
        jax.tree.map(
            lambda x, y, device=device: np.testing.assert_allclose(x[device], y, atol=1e-6),
            mapped, single,
        )  # fmt: skip
