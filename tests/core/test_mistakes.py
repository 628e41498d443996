"""What a stranger forgets when wiring a GAN, and what tells them."""

from copy import copy
from dataclasses import replace

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxgan
from jaxgan import latents, losses
from jaxgan.models import mlp

KEY = jax.random.key(0)
BATCH = {"image": jnp.zeros((4, 2))}
GENERATOR = mlp.Generator((2,), widths=(4,))
GAN = jaxgan.GAN(
    generator=jaxgan.linen(GENERATOR),
    discriminator=jaxgan.linen(mlp.Discriminator(widths=(4,))),
    generator_optimizer=optax.sgd(0.1),
    discriminator_optimizer=optax.sgd(0.1),
    loss=losses.non_saturating,
    inputs=latents.normal(3),
)


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_a_module_that_is_no_network(part):
    gan = copy(GAN)
    object.__setattr__(gan, part, GENERATOR)  # past the type checker of these tests
    with pytest.raises(TypeError, match=rf"{part} is a Generator.*wrap a Linen module in jaxgan.l"):
        gan.__post_init__()


def test_init_without_the_update_whose_state_the_view_reads():
    gan = replace(GAN, view=lambda example, batch, key, state: example * state.extra["p"])
    with pytest.raises(KeyError, match="p") as raised:
        jax.eval_shape(lambda: jaxgan.init(gan, KEY, BATCH))
    assert "jaxgan.init(gan, key, batch, update)" in raised.value.__notes__[0]


def test_a_missing_label():
    gan = replace(GAN, view=lambda example, batch, key, state: (example, batch["label"]))
    with pytest.raises(KeyError, match="label"):
        jax.eval_shape(lambda: jaxgan.init(gan, KEY, BATCH, jaxgan.update_both(gan)))
