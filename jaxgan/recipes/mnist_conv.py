"""Convolutional GAN on MNIST.

Source: the TensorFlow 1 tutorial after Stanford's CS231n, assignment 3.
"""

from dataclasses import dataclass
from typing import ClassVar

import optax

from jaxgan import latents, losses
from jaxgan.core.combinators import chain
from jaxgan.core.gan import GAN
from jaxgan.core.networks import always_training, linen
from jaxgan.core.updates import Update, update_discriminator, update_generator
from jaxgan.models import conv
from jaxgan.recipes.recipe import Count, ImageRecipe, NonNegative, Positive, Share, require_size
from jaxgan.types import DataSpec


@dataclass(frozen=True, kw_only=True)
class MnistConv(ImageRecipe):
    """A convolutional GAN on MNIST, max-pooling in D, batch norm after the ReLU in G.

    Source: the TensorFlow 1 tutorial after Stanford's CS231n. It learns from the last 55,000
    training images (TensorFlow's reader kept the first 5,000 for validation), draws fresh latents
    for each of the two updates, and samples with batch statistics. The size and the distribution of
    the latents are those of the assignment; the tutorial does not give them.

    Command: `jaxgan train mnist_conv`
    Expect: digits with clean strokes after 1,000 steps, about 3 minutes on 2 CPU cores; a Frechet
    distance of 4.3 by then, with a standard deviation of 0.8 over five seeds (10,000 samples, digit
    network).
    """

    name: ClassVar[str] = "mnist_conv"
    default_length: ClassVar = {"steps": 4296}  # 55,000 * 10 epochs / 128

    data: str = "mnist@train[5000:]"  # mnist, tfds:NAME or folder:PATH; @SPLIT may follow
    batch_size: Count = 128  # real examples in one update
    log_every: Count = 50  # steps between two lines of metrics
    sample_every: Count = 250  # steps between two pictures of samples
    checkpoint_every: Count = 500  # steps between two checkpoints
    grid: tuple[Count, Count] = (4, 4)  # rows and columns of a picture of samples
    latent_size: Count = 96  # dimensions of a latent, from U(-1, 1)
    generator_width: Count = conv.Generator.width  # units of G's first dense layer
    generator_channels: tuple[Count, Count] = conv.Generator.channels  # at 1/4 and 1/2 size
    discriminator_channels: tuple[Count, Count] = conv.Discriminator.channels  # of D's convolutions
    discriminator_width: Count = conv.Discriminator.width  # units of D's hidden dense layer
    slope: NonNegative = conv.Discriminator.slope  # of D's leaky ReLU below zero
    momentum: Share = conv.Generator.momentum  # of batch norm's averages, which nothing reads
    epsilon: NonNegative = conv.Generator.epsilon  # of batch norm
    learning_rate: Positive = 1e-3  # of Adam, both networks
    beta1: Share = 0.5  # of Adam
    beta2: Share = 0.999  # of Adam

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        adam = optax.adam(self.learning_rate, self.beta1, self.beta2)
        generator = conv.Generator(
            require_size(spec.shape, multiple=4, least=16),
            self.generator_width,
            self.generator_channels,
            self.momentum,
            self.epsilon,
        )
        discriminator = conv.Discriminator(
            self.discriminator_channels, self.discriminator_width, self.slope
        )
        return GAN(
            generator=self.network(always_training(linen(generator))),
            discriminator=self.network(discriminator),
            generator_optimizer=adam,
            discriminator_optimizer=adam,
            loss=losses.non_saturating,
            inputs=latents.uniform(self.latent_size),
        )

    def update(self, gan: GAN) -> Update:
        """Makes D's step and G's step, each on its own latents (see `Recipe.update`)."""
        return chain(update_discriminator(gan), update_generator(gan))
