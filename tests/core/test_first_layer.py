"""The matrix that latents meet first, in networks of several kinds."""

from typing import Any

import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from tiny_systems import FIELDS, NAMES, SHAPES, make_recipe, small_gan

from jaxgan import latents
from jaxgan.core.combinators import update_average
from jaxgan.core.first_layer import first_layer
from jaxgan.core.gan import generate, init
from jaxgan.core.networks import Network, in_dtype, linen, nnx
from jaxgan.types import DataSpec

KEY = jax.random.key(0)
Z = latents.normal(3)(KEY, 2)
LABELS = jnp.array([4, 1])
BATCH = {"image": jnp.zeros((2, 3))}


def filled(shapes) -> Any:
    """A tree of arrays in which every number is another one."""
    return jax.tree.map(lambda x: jnp.arange(x.size, dtype=x.dtype).reshape(x.shape), shapes)


def state_of(gan, batch=BATCH, update=None) -> Any:
    return filled(jax.eval_shape(lambda: init(gan, KEY, batch, update)))


def found_in(network: Network, inputs: Any = Z) -> tuple[np.ndarray, Any]:
    """The first layer of a generator, and its parameters."""
    gan = small_gan(generator=network, inputs=lambda key, n, batch: inputs)
    state = state_of(gan)
    return np.asarray(first_layer(gan, state, inputs)), state.generator.params


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_has_a_first_layer(name):
    recipe = make_recipe(name, **FIELDS[name])
    gan = recipe.gan(DataSpec(SHAPES[name]))
    batch = {"image": jnp.zeros((recipe.examples_per_step, *SHAPES[name]))}
    state, inputs = state_of(gan, batch), gan.inputs(KEY, 2, batch)
    params = state.generator.params
    first = next(params[layer] for layer in ("FanInDense_0", "Dense_0") if layer in params)
    np.testing.assert_array_equal(first_layer(gan, state, inputs), first["kernel"])


class Spectral(nn.Module):
    @nn.compact
    def __call__(self, latents, train):
        return nn.SpectralNorm(nn.Dense(3))(nn.relu(latents), update_stats=train)


class Transposed(nn.Module):
    @nn.compact
    def __call__(self, latents, train):
        return nn.ConvTranspose(2, (2, 2), padding="VALID")(latents[:, None, None]).sum((1, 2))


class Conditional(nn.Module):
    @nn.compact
    def __call__(self, latents, labels, train):
        embedded = nn.Embed(5, 2, name="embedding")(labels)
        return nn.Dense(3, name="labels")(embedded) + nn.Dense(3, name="latents")(latents)


class Joined(nn.Module):
    @nn.compact
    def __call__(self, latents, train):
        return nn.Dense(3)(jnp.concatenate([latents, latents], 1))


class Newer(flax.nnx.Module):
    def __init__(self, rngs):
        self.layer = flax.nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, latents):
        return self.layer(latents)


def test_the_layer_is_found_within_wrappers():
    found, params = found_in(in_dtype(linen(Spectral()), jnp.bfloat16))
    np.testing.assert_array_equal(found, params["Dense_0"]["kernel"])
    assert found.dtype == jnp.float32


def test_the_layer_is_found_beside_labels():
    found, params = found_in(linen(Conditional()), (Z, LABELS))
    np.testing.assert_array_equal(found, params["latents"]["kernel"])


def test_of_a_transposed_convolution_all_places_count():
    found, params = found_in(linen(Transposed()))
    kernel = np.asarray(params["ConvTranspose_0"]["kernel"])
    np.testing.assert_array_equal(found, np.moveaxis(kernel, 2, 0).reshape(3, 8))


@pytest.mark.parametrize("network", [linen(Joined()), nnx(Newer)])
def test_networks_without_such_a_layer_are_refused(network):
    with pytest.raises(ValueError, match="no first layer on its latents"):
        found_in(network)


def test_the_moving_average_counts_where_there_is_one():
    gan = small_gan()
    state = state_of(gan, update=update_average(0.5))
    average = jax.tree.map(lambda x: x + 1, state.extra["average"])
    found = first_layer(gan, state.with_extra(average=average), gan.inputs(KEY, 1, BATCH))
    np.testing.assert_array_equal(found, average.params["Dense_0"]["kernel"])


class Linear(nn.Module):
    @nn.compact
    def __call__(self, latents, train):
        return nn.Dense(3)(latents)


def test_directions_move_a_linear_generator_in_falling_order():
    gan = small_gan(generator=linen(Linear()), inputs=latents.normal(3))
    state = init(gan, KEY, BATCH)
    directions = latents.sefa(first_layer(gan, state, Z))
    random = jax.random.normal(KEY, (100, 3))
    random /= jnp.linalg.norm(random, axis=1, keepdims=True)

    @jax.jit
    def moves(directions):
        moved = generate(gan, state, Z[:1] + directions) - generate(gan, state, Z[:1])
        return jnp.linalg.norm(moved, axis=1)

    along = moves(directions)
    assert along[0] > along[1] > along[2]
    assert along[2] * 0.9999 <= moves(random).min() <= moves(random).max() <= along[0] * 1.0001
