"""Gradients of gradients: every network has them, and they cost at most twice the step again."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import optax
import pytest

from jaxgan import latents, losses, penalties
from jaxgan.core.combinators import chain
from jaxgan.core.gan import GAN, init
from jaxgan.core.networks import linen
from jaxgan.core.steps import make_step
from jaxgan.core.updates import Update, update_both
from jaxgan.models import (
    conv,
    dcgan,
    mlp,
    r3gan,
    resnet,
    sagan,
    stylegan2,
)
from jaxgan.regularizers import path_length

pytestmark = pytest.mark.slow

KEY = jax.random.key(0)
SHAPE = (16, 16, 3)
SIZES: dict[str, Any] = {"widths": (8, 8), "smallest": 8}
GENERATORS: dict[str, Any] = {
    "mlp": mlp.Generator(SHAPE),
    "conv": conv.Generator(SHAPE, 8, (8, 8)),
    "dcgan": dcgan.Generator(SHAPE, (8, 8, 8)),
    "resnet": resnet.Generator(SHAPE, (8, 8, 8)),
    "sagan": sagan.Generator(SHAPE, (8, 8, 8), attention=(1,)),
    "stylegan2": stylegan2.Generator(**SIZES, style_size=8, mapping_depth=2),
    "r3gan": r3gan.Generator(**SIZES, group_size=4),
}
DISCRIMINATORS: dict[str, Any] = {
    "mlp": mlp.Discriminator(),
    "conv": conv.Discriminator((8, 8), 8),
    "dcgan": dcgan.Discriminator((8, 8), dropout=0.0),
    "resnet": resnet.Discriminator((8, 8)),
    "sagan": sagan.Discriminator((8, 8), attention=(1,)),
    "stylegan2": stylegan2.Discriminator(**SIZES, group=4),
    "r3gan": r3gan.Discriminator(**SIZES, group_size=4),
}


def make_gan(name: str) -> GAN:
    adam = optax.adam(1e-3)
    return GAN(
        generator=linen(GENERATORS[name]),
        discriminator=linen(DISCRIMINATORS[name]),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        loss=losses.non_saturating,
        inputs=latents.normal(8),
    )


BATCH = {"image": jax.random.normal(KEY, (8, *SHAPE))}


def operations(gan: GAN, update: Update) -> float:
    """Of a training step, as it is written."""
    state = jax.eval_shape(lambda: init(gan, KEY, BATCH, update))
    costs: Any = jax.jit(make_step(update)).lower(state, BATCH, KEY).cost_analysis()
    return costs["flops"]


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_r1_and_r2_cost_at_most_twice_the_step(name):
    gan = make_gan(name)
    penalty = penalties.total(penalties.r1(1.0), penalties.r2(1.0))
    plain = operations(gan, update_both(gan))
    steep = operations(gan, update_both(replace(gan, penalty=penalty)))
    assert plain < steep <= 3 * plain


@pytest.mark.parametrize("name", GENERATORS)
def test_path_lengths_cost_at_most_twice_the_step(name):
    gan = make_gan(name)
    plain = operations(gan, update_both(gan))
    even = operations(gan, chain(update_both(gan), path_length(gan)))
    assert plain < even <= 3 * plain


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_both_are_finite_and_move_parameters(name):
    gan = make_gan(name)
    penalty = penalties.total(penalties.r1(1.0), penalties.r2(1.0))
    steep = replace(gan, penalty=penalty)
    update = chain(update_both(steep), path_length(gan))
    before = init(gan, KEY, BATCH, update)
    after, metrics = jax.jit(make_step(update))(before, BATCH, KEY)
    assert all(np.isfinite(x) for x in metrics.values())
    assert metrics["penalty"] > 0 and metrics["path_penalty"] > 0
    for player in ("generator", "discriminator"):
        old, new = (jax.tree.leaves(getattr(state, player).params) for state in (before, after))
        assert all(np.isfinite(x).all() for x in new)
        assert any((x != y).any() for x, y in zip(old, new, strict=True))
