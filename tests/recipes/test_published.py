"""Recipes with the settings of their sources: sizes of networks, order and schedule of steps."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from tiny_systems import make_recipe

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.recipes import find_recipe
from jaxgan.types import DataSpec

KEY = jax.random.key(0)
CIFAR = DataSpec((32, 32, 3), 10)
DIGITS = DataSpec((28, 28, 1), 10)
COUNTS = {  # parameters of G and D (see tests/models/test_resnet.py); reals and fakes in a step
    "cifar10_sngan": (4_276_739, 1_053_825, 320),
    "cifar10_projection": (4_304_387, 1_055_105, 320),
    "wgan_gp_resnet": (1_204_483, 1_053_825, 320),
    "cifar10_sagan": (4_386_308, 1_075_586, 320),
    "cifar10_biggan": (9_416_196, 2_415_170, 320),
    "reacgan": (9_416_196, 2_517_186, 640),
}
TINY: dict[str, Any] = {"batch_size": 4, "generator_widths": (4, 4), "discriminator_widths": (4, 4)}


def batch_of(recipe, spec):
    n = recipe.examples_per_step
    image = jax.random.normal(KEY, (n, *spec.shape))
    return {"image": image, "label": jnp.arange(n, dtype=jnp.int32) % spec.classes}


def tiny(name):
    fields = dict(TINY)
    if name in ("cifar10_sagan", "cifar10_biggan", "reacgan"):  # attention divides channels by 8
        fields |= {"generator_widths": (8, 8), "discriminator_widths": (8, 8)}
        fields |= {"generator_attention": (1,)}
    if name in ("cifar10_biggan", "reacgan"):
        fields |= {"latent_size": 6, "label_size": 4}
    return make_recipe(name, **fields)


def shapes(recipe, spec):
    gan = recipe.gan(spec)
    batch = {
        name: jax.ShapeDtypeStruct((2, *x.shape[1:]), x.dtype)
        for name, x in jax.eval_shape(lambda: batch_of(recipe, spec)).items()
    }
    return jax.eval_shape(lambda key: init(gan, key, batch, recipe.update(gan)), KEY)


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def settings(name):
    return [pytest.param(n, marks=() if n == name else pytest.mark.slow) for n in sorted(COUNTS)]


@pytest.mark.parametrize("name", settings("cifar10_sngan"))
def test_networks_have_the_published_numbers_of_parameters(name):
    recipe = make_recipe(name)
    assert COUNTS[name][2] == recipe.examples_per_step
    # One step of D instead of five is traced sooner.
    state = shapes(dataclasses.replace(recipe, discriminator_steps=1), CIFAR)
    assert count(state.generator.params) == COUNTS[name][0]
    assert count(state.discriminator.params) == COUNTS[name][1]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*sorted(COUNTS), "mnist_sngan"])
def test_small_presets_fit_digits_and_small_pictures(name):
    kind = find_recipe(name)
    assert list(kind.presets) == ([] if name == "mnist_sngan" else ["small"])
    recipe = make_recipe(name, **kind.presets.get("small", {}))
    for spec in (DIGITS, CIFAR):
        # A sixth of SNGAN's; most are in the first layer: 8 x 8 x 64 units for 32 x 32 pixels.
        assert count(shapes(recipe, spec).generator.params) < 4_276_739 // 6


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(COUNTS))
def test_a_step_lowers_for_cuda_and_tpu(name):
    recipe = tiny(name)
    spec = DataSpec((8, 8, 3), 10)
    gan = recipe.gan(spec)
    update, batch = recipe.update(gan), batch_of(recipe, spec)
    state = jax.eval_shape(lambda key: init(gan, key, batch, update), KEY)
    lowered = export.export(jax.jit(make_step(update)), platforms=("cuda", "tpu"))
    assert lowered(state, batch, KEY).platforms == ("cuda", "tpu")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(COUNTS))
def test_a_training_step_moves_both_players_as_often_as_the_source_does(name):
    recipe = tiny(name)
    spec = DataSpec((8, 8, 1), 3)
    gan = recipe.gan(spec)
    update, batch = recipe.update(gan), batch_of(recipe, spec)
    state, metrics = jax.jit(
        lambda key: make_step(update)(init(gan, key, batch, update), batch, key)
    )(KEY)
    assert state.generator.opt_state[0].count == 1
    assert state.discriminator.opt_state[0].count == 5
    assert all(np.isfinite(x) for x in metrics.values())


def test_the_learning_rate_falls_in_training_steps_not_in_steps_of_d():
    recipe: Any = make_recipe("cifar10_sngan", decay_steps=10, learning_rate=1.0)
    sizes = []
    optimizer = recipe.adam(2)
    state = optimizer.init(jnp.zeros(()))
    for _ in range(6):
        change, state = optimizer.update(jnp.ones(()), state)
        sizes.append(-np.asarray(change))
    np.testing.assert_allclose(sizes, [1, 1, 0.9, 0.9, 0.8, 0.8], rtol=1e-3)


@pytest.mark.parametrize("name, fakes", [("cifar10_sngan", 128), ("cifar10_projection", 64)])
def test_generator_batches(name, fakes):
    recipe: Any = make_recipe(name)
    assert recipe.generator_batches * recipe.batch_size == fakes
