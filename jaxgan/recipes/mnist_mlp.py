"""Fully connected GAN on MNIST.

Source: the MindSpore GAN tutorial.
"""

from dataclasses import dataclass
from typing import ClassVar

import optax

from jaxgan import latents, losses
from jaxgan.core.gan import GAN
from jaxgan.core.updates import Update, update_both
from jaxgan.models import mlp
from jaxgan.recipes.recipe import Count, Counts, ImageRecipe, NonNegative, Positive, Share
from jaxgan.types import DataSpec


@dataclass(frozen=True, kw_only=True)
class MnistMlp(ImageRecipe):
    """A fully connected GAN on MNIST, the quickest to readable digits; takes any image shape.

    Source: the MindSpore GAN tutorial. Both updates use the same latents. The source trains for 200
    epochs (`--epochs 200`); digits are readable long before. Its prose gives G's first layer a
    batch norm, its code does not; this follows the code.

    Command: `jaxgan train mnist_mlp`
    Expect: digits, most of them readable, after 20 epochs: 90 seconds on 2 CPU cores. Losses end
    near 1.3 (D) and 1.0 (G); the Frechet distance is 14.0, with a standard deviation of 1.6 over
    five seeds (10,000 samples, digit network).
    """

    name: ClassVar[str] = "mnist_mlp"
    default_length: ClassVar = {"epochs": 20}

    batch_size: Count = 128  # real examples in one update
    log_every: Count = 117  # steps between two lines of metrics: a quarter of an epoch
    sample_every: Count = 468  # steps between two pictures of samples: an epoch of MNIST
    checkpoint_every: Count = 2340  # steps between two checkpoints: five epochs
    grid: tuple[Count, Count] = (5, 5)  # rows and columns of a picture of samples
    latent_size: Count = 100  # dimensions of a latent, from N(0, 1)
    generator_widths: Counts = mlp.Generator.widths  # hidden units of G
    discriminator_widths: Counts = mlp.Discriminator.widths  # hidden units of D
    slope: NonNegative = mlp.Discriminator.slope  # of D's leaky ReLU below zero
    momentum: Share = mlp.Generator.momentum  # of batch norm's running statistics
    epsilon: NonNegative = mlp.Generator.epsilon  # of batch norm
    learning_rate: Positive = 2e-4  # of Adam, both networks
    beta1: Share = 0.5  # of Adam
    beta2: Share = 0.999  # of Adam

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        adam = optax.adam(self.learning_rate, self.beta1, self.beta2)
        generator = mlp.Generator(spec.shape, self.generator_widths, self.momentum, self.epsilon)
        discriminator = mlp.Discriminator(self.discriminator_widths, self.slope)
        return GAN(
            generator=self.network(generator),
            discriminator=self.network(discriminator),
            generator_optimizer=adam,
            discriminator_optimizer=adam,
            loss=losses.binary_cross_entropy,
            inputs=latents.normal(self.latent_size),
        )

    def update(self, gan: GAN) -> Update:
        """Makes D's step and G's step on the same latents (see `Recipe.update`)."""
        return update_both(gan)
