"""Generative adversarial networks as small pure JAX functions.

What a training step is made of:

    gan = jaxgan.GAN(generator, discriminator, ..., loss=losses.non_saturating)
    update = jaxgan.chain(jaxgan.update_discriminator(gan), jaxgan.update_generator(gan))
    step = jax.jit(jaxgan.make_step(update), donate_argnums=0)
    state, metrics = step(jaxgan.init(gan, key, batch), batch, key)

Whole runs are in `jaxgan.training`, ready systems in `jaxgan.recipes`.
"""

from jaxgan.core.combinators import (
    chain,
    every,
    half_life,
    on_part,
    repeat,
    scheduled,
    share_key,
    update_average,
)
from jaxgan.core.first_layer import first_layer
from jaxgan.core.gan import GAN, Play, generate, init, sample
from jaxgan.core.networks import (
    Network,
    always_training,
    in_dtype,
    in_microbatches,
    in_packs,
    linen,
    nnx,
)
from jaxgan.core.overfitting import adapt_probability, with_pseudo_reals
from jaxgan.core.pool import update_discriminator_from_pool
from jaxgan.core.standing import standing_statistics
from jaxgan.core.state import GANState, TrainState
from jaxgan.core.steps import Step, make_step, run_steps
from jaxgan.core.updates import (
    Update,
    discriminator_objective,
    draw_inputs,
    generator_objective,
    minimize,
    minimize_penalty,
    stateless,
    update_both,
    update_discriminator,
    update_generator,
)
from jaxgan.losses import Loss
from jaxgan.pretrained import load_pretrained

__all__ = [
    "GAN",
    "GANState",
    "Loss",
    "Network",
    "Play",
    "Step",
    "TrainState",
    "Update",
    "adapt_probability",
    "always_training",
    "chain",
    "discriminator_objective",
    "draw_inputs",
    "every",
    "first_layer",
    "generate",
    "generator_objective",
    "half_life",
    "in_dtype",
    "in_microbatches",
    "in_packs",
    "init",
    "linen",
    "load_pretrained",
    "make_step",
    "minimize",
    "minimize_penalty",
    "nnx",
    "on_part",
    "repeat",
    "run_steps",
    "sample",
    "scheduled",
    "share_key",
    "standing_statistics",
    "stateless",
    "update_average",
    "update_both",
    "update_discriminator",
    "update_discriminator_from_pool",
    "update_generator",
    "with_pseudo_reals",
]
