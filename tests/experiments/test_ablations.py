"""Recipes of the experiments that leave a part of a method out: that it is this part."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from runs import script
from tiny_systems import TINY_GAT

from jaxgan import losses
from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.types import DataSpec

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def gats():
    return script("gat_ablations")


@pytest.fixture(scope="module")
def stacked():
    return script("stacked_losses")


def quadratic(images):
    return (images**2).sum((1, 2, 3)) / 2


def slopes(images):
    return (images**2).sum((1, 2, 3))


def test_without_guidance_d_sees_the_last_level_alone(gats):
    recipe = gats.WithoutGuidance(**TINY_GAT)
    gan = recipe.gan(DataSpec((8, 8, 1), 10))
    levels = jax.random.normal(KEY, (4, 4, 8, 8, 1))
    batch: Any = {"image": levels[:, 0], "label": jnp.arange(4)}
    state: Any = None
    for shown, expected in ((levels, levels[:, 3:]), (gan.real(batch), levels[:, :1])):
        seen, labels = gan.view(shown, batch, KEY, state)
        np.testing.assert_array_equal(seen, expected)
        np.testing.assert_array_equal(labels, batch["label"])
    update = recipe.update(gan)
    state = init(gan, KEY, batch, update)
    _, metrics = jax.jit(make_step(update))(state, batch, KEY)
    assert all(np.isfinite(x) for x in metrics.values())


def test_exact_penalties_are_slopes(gats):
    recipe = gats.ExactPenalties(**TINY_GAT, gamma=3.0)
    real, fake = jax.random.normal(KEY, (2, 4, 8, 8, 1))
    found = recipe.gan(DataSpec((8, 8, 1), 10)).penalty(
        quadratic, real, fake, jax.random.split(KEY, 4)
    )
    np.testing.assert_allclose(found, 1.5 * (slopes(real) + slopes(fake)), rtol=1e-5)


@pytest.mark.parametrize(
    "name, loss, of_fakes",
    [
        ("Relativistic", losses.relativistic, 1),
        ("RelativisticR1", losses.relativistic, 0),
        ("Plain", losses.non_saturating, 1),
        ("PlainR1", losses.non_saturating, 0),
    ],
)
def test_stacked_losses_are_what_their_names_say(name, loss, of_fakes, stacked):
    recipe = getattr(stacked, name)(gamma=(2.0, 2.0))
    assert recipe.gan(DataSpec((28, 28, 3), 1000)).loss is loss
    real, fake = jax.random.normal(KEY, (2, 4, 8, 8, 1))
    found = recipe.penalty(2.0)(quadratic, real, fake, jax.random.split(KEY, 4))
    np.testing.assert_allclose(found, slopes(real) + of_fakes * slopes(fake), rtol=1e-5)


def test_small_networks_for_stacked_digits_begin_as_if_without_blocks(stacked):
    latents, images = jax.random.normal(KEY, (2, 8)), jax.random.normal(KEY, (2, 28, 28, 3))
    for network, inputs, shape in (
        (stacked.Generator((28, 28, 3)), latents, (2, 28, 28, 3)),
        (stacked.Discriminator(), images, (2,)),
    ):
        variables = network.init(KEY, inputs, train=True)
        made = network.apply(variables, inputs, train=True)
        assert made.shape == shape and made.std() > 0.01
        blocks = {name: x for name, x in variables["params"].items() if name.startswith("Block")}
        assert len(blocks) == 2
        without = jax.tree.map(jnp.zeros_like, blocks)
        changed = {"params": {**variables["params"], **without}}
        np.testing.assert_array_equal(network.apply(changed, inputs, train=True), made)
