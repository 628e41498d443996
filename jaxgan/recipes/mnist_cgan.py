"""A conditional GAN on MNIST: a digit of the class that one asks for."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import optax
from jax import Array

from jaxgan import latents, losses, penalties
from jaxgan.core.combinators import chain, half_life, update_average
from jaxgan.core.gan import GAN
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update, update_both
from jaxgan.models import conv
from jaxgan.recipes.labels import beside_labels, labeled
from jaxgan.recipes.recipe import (
    Count,
    ImageRecipe,
    NonNegative,
    Positive,
    Share,
    require_classes,
    require_size,
)
from jaxgan.types import DataSpec, Images, PRNGKey

RAMP = 0.1  # of the steps so far: the half-life of an average that is young


@dataclass(frozen=True, kw_only=True)
class MnistCgan(ImageRecipe):
    """A conditional GAN on MNIST: small convolutional networks, R1, and a moving average.

    Source: conditional batch norm in G and the projection in D are of Miyato and Koyama, "cGANs
    with Projection Discriminator" (2018), R1 of Mescheder et al., "Which Training Methods for GANs
    do actually Converge?" (2018), the average of G of Karras et al., "Progressive Growing of GANs
    for Improved Quality, Stability, and Variation" (2018). The networks are those of `mnist_conv`,
    with a narrower G. They and the numbers below were chosen to go far in half an hour on 2 CPU
    cores.

    Command: `jaxgan train mnist_cgan`, then `jaxgan sample RUN --label each`
    Expect: digits of their classes after 1,000 steps, and a Frechet distance of 0.18 (10,000
    samples, digit network; 0.11 between real examples) after all 15,000 of 0.1 s on 2 CPU cores.
    """

    name: ClassVar[str] = "mnist_cgan"
    default_length: ClassVar = {"steps": 15_000}

    batch_size: Count = 64  # real examples in one update
    log_every: Count = 100  # steps between two lines of metrics
    sample_every: Count = 1000  # steps between two pictures of samples
    checkpoint_every: Count = 1000  # steps between two checkpoints
    grid: tuple[Count, Count] = (10, 10)  # rows and columns of a picture of samples
    latent_size: Count = 64  # dimensions of a latent, from N(0, 1)
    generator_width: Count = 128  # units of G's first dense layer
    generator_channels: tuple[Count, Count] = conv.Generator.channels  # at 1/4 and 1/2 size
    momentum: Share = 0.9  # of batch norm's running averages
    discriminator_channels: tuple[Count, Count] = conv.Discriminator.channels  # of convolutions
    discriminator_width: Count = conv.Discriminator.width  # units of D's hidden dense layer
    slope: NonNegative = 0.2  # of D's leaky ReLU below zero
    gamma: NonNegative = 1.0  # of R1
    learning_rate: Positive = 1e-3  # initial rate of Adam, both networks
    decay_steps: Count = 15_000  # steps until the learning rate is a tenth, along half a cosine
    beta1: Share = 0.0  # of Adam
    beta2: Share = 0.99  # of Adam
    half_life: NonNegative = 500.0  # of the average of G, in steps; a tenth of all steps before

    def show(self, images: Images, key: PRNGKey, state: GANState) -> Images:
        """Returns what D sees of images: here the images themselves."""
        return images

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        classes = require_classes(spec)
        rate = optax.cosine_decay_schedule(self.learning_rate, self.decay_steps, alpha=0.1)
        adam = optax.adam(rate, self.beta1, self.beta2)
        generator = conv.Generator(
            require_size(spec.shape, multiple=4, least=16),
            self.generator_width,
            self.generator_channels,
            self.momentum,
            classes=classes,
        )
        discriminator = conv.Discriminator(
            self.discriminator_channels, self.discriminator_width, self.slope, classes
        )
        return GAN(
            generator=self.network(generator),
            discriminator=self.network(discriminator),
            generator_optimizer=adam,
            discriminator_optimizer=adam,
            loss=losses.non_saturating,
            inputs=labeled(latents.normal(self.latent_size)),
            view=beside_labels(self.show),
            penalty=penalties.r1(self.gamma),
        )

    def update(self, gan: GAN) -> Update:
        """Makes D's step, G's step on the same fakes, and the average (see `Recipe.update`)."""

        def memory(step: Array) -> Array:
            return jnp.minimum(self.half_life, RAMP * step)

        return chain(update_both(gan), update_average(half_life(memory)))
