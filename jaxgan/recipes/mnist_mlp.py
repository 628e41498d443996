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
from jaxgan.recipes.recipe import ImageRecipe
from jaxgan.types import DataSpec


@dataclass(frozen=True, kw_only=True)
class MnistMlp(ImageRecipe):
    """A fully connected GAN on MNIST, the quickest to readable digits; takes any image shape.

    Source: the MindSpore GAN tutorial. One latent batch serves both updates. The source trains for
    200 epochs (`--epochs 200`); digits are readable long before. Its prose gives G's first layer a
    batch norm, its code does not; the code stands.

    Command: `jaxgan train mnist_mlp`
    Expect: digits, most of them readable, after 20 epochs: 90 seconds on 2 CPU cores. Losses end
    near 1.3 (D) and 1.0 (G).
    """

    name: ClassVar[str] = "mnist_mlp"
    default_length: ClassVar = {"epochs": 20}

    batch_size: int = 128  # real examples in one update
    log_every: int = 117  # steps between two lines of metrics; a quarter of an epoch
    sample_every: int = 468  # steps between two pictures of samples; an epoch of MNIST
    checkpoint_every: int = 2340  # steps between two checkpoints; five epochs
    grid: tuple[int, int] = (5, 5)  # rows and columns of a picture of samples
    latent_size: int = 100  # numbers in one latent, from N(0, 1)
    generator_widths: tuple[int, ...] = (128, 256, 512, 1024)  # hidden units of G
    discriminator_widths: tuple[int, ...] = (512, 256)  # hidden units of D
    slope: float = 0.2  # of D's leaky ReLU below zero
    momentum: float = 0.9  # of batch norm's running averages
    epsilon: float = 1e-5  # of batch norm
    learning_rate: float = 2e-4  # of Adam, both networks
    beta1: float = 0.5  # of Adam
    beta2: float = 0.999  # of Adam

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
