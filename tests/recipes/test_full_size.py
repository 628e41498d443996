"""A few steps of each recipe with the published networks, on random pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_systems import make_recipe

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.types import DataSpec

KEY = jax.random.key(0)
CIFAR = DataSpec((32, 32, 3), 10)
# The published batches, of 64 to 512, take minutes a step on a CPU (docs/performance.md).
BATCH = 8
SPECS = {
    "cifar10_sngan": CIFAR,
    "cifar10_projection": CIFAR,
    "wgan_gp_resnet": CIFAR,
    "cifar10_sagan": CIFAR,
    "cifar10_biggan": CIFAR,
    "reacgan": CIFAR,
    "cifar10_stylegan2": CIFAR,
    "cifar10_r3gan": CIFAR,
    "stacked_mnist_r3gan": DataSpec((32, 32, 3), 1000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_three_steps_at_full_size_move_both_players_to_finite_numbers(name):
    spec = SPECS[name]
    groups = {"group": BATCH} if name == "cifar10_stylegan2" else {}
    recipe = make_recipe(name, batch_size=BATCH, **groups)
    gan = recipe.gan(spec)
    update, count = recipe.update(gan), recipe.examples_per_step
    batch = {
        "image": jax.random.uniform(KEY, (count, *spec.shape), minval=-1.0),
        "label": jnp.arange(count, dtype=jnp.int32) % (spec.classes or 1),
    }
    state = init(gan, KEY, batch, update)
    before = jax.device_get((state.generator.params, state.discriminator.params))
    step = jax.jit(make_step(update), donate_argnums=0)
    for _ in range(3):
        state, metrics = step(state, batch, KEY)
        assert {"loss_d", "loss_g"} <= metrics.keys()
        assert all(np.isfinite(x) for x in metrics.values())
    after = state.generator.params, state.discriminator.params
    for old, new in zip(before, after, strict=True):
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(new))
        assert not all(jax.tree.leaves(jax.tree.map(np.array_equal, old, new)))
