"""InfoGAN: the codes that G is given, what D reads of them, and how they are drawn as pictures."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_systems import make_recipe

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.types import DataSpec

KEY = jax.random.key(0)
SPEC = DataSpec((8, 8, 1))
TINY: dict[str, Any] = {
    "batch_size": 40,
    "latent_size": 3,
    "generator_width": 8,
    "generator_channels": (4, 3),
    "discriminator_channels": (3, 4),
    "discriminator_width": 8,
    "reading_width": 8,
}


def test_codes_are_drawn_in_training_and_chosen_in_pictures():
    recipe: Any = make_recipe("mnist_infogan", **TINY)
    gan = recipe.gan(SPEC)
    latents, category, codes = gan.inputs(KEY, 4000, {})
    np.testing.assert_allclose(np.bincount(category, minlength=10) / 4000, 0.1, atol=0.02)
    assert codes.shape == (4000, 2) and float(jnp.abs(codes).max()) <= 1
    assert abs(np.corrcoef(codes[:, 0], latents[:, 0])[0, 1]) < 0.05
    _, chosen, _ = gan.inputs(KEY, 25, recipe.conditions(25, SPEC))
    assert chosen.tolist() == [*range(10), *range(10), *range(5)]


@pytest.mark.slow
def test_both_players_learn_to_keep_the_codes_readable():
    # Without continuous codes, the term is what D does not know of the category: log 10 at first.
    rates = {"generator_learning_rate": 3e-3, "discriminator_learning_rate": 3e-3}
    recipe: Any = make_recipe("mnist_infogan", **TINY | rates, codes_weight=0.0)
    gan = recipe.gan(SPEC)
    update = recipe.update(gan)
    batch = {"image": jax.random.uniform(KEY, (40, 8, 8, 1))}
    state = init(gan, KEY, batch, update)
    step, unread = jax.jit(make_step(update)), []
    for number in range(300):
        state, metrics = step(state, batch, jax.random.fold_in(KEY, number))
        unread.append(float(metrics["terms_d"]))
    assert abs(unread[0] - np.log(10)) < 0.3
    assert np.mean(unread[-20:]) < 1.5
