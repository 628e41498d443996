"""Generative adversarial networks as small pure JAX functions.

What a training step is made of:

    gan = jaxgan.GAN(generator, discriminator, ..., loss=losses.non_saturating)
    update = jaxgan.chain(jaxgan.update_discriminator(gan), jaxgan.update_generator(gan))
    step = jax.jit(jaxgan.make_step(update), donate_argnums=0)
    state, metrics = step(jaxgan.init(gan, key, batch), batch, key)

Whole runs are in `jaxgan.training`, ready systems in `jaxgan.recipes`.
"""

from jaxgan.core.combinators import chain, every, on_part, repeat
from jaxgan.core.gan import GAN, GANState, TrainState, generate, init, sample
from jaxgan.core.steps import Step, make_step, run_steps
from jaxgan.core.updates import (
    Update,
    update_average,
    update_both,
    update_discriminator,
    update_generator,
)
from jaxgan.losses import Loss

__all__ = [
    "GAN",
    "GANState",
    "Loss",
    "Step",
    "TrainState",
    "Update",
    "chain",
    "every",
    "generate",
    "init",
    "make_step",
    "on_part",
    "repeat",
    "run_steps",
    "sample",
    "update_average",
    "update_both",
    "update_discriminator",
    "update_generator",
]
