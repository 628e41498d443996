"""DCGAN on MNIST with batch norm in both networks, and two steps of each per iteration.

Source: CNTK tutorial 206B.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import optax

from jaxgan import latents, losses
from jaxgan.core.combinators import on_part, repeat, share_key
from jaxgan.core.gan import GAN
from jaxgan.core.updates import Update, update_discriminator, update_generator
from jaxgan.models import dcgan_bn
from jaxgan.recipes.recipe import (
    Count,
    Counts,
    ImageRecipe,
    NonNegative,
    Positive,
    Share,
    require_size,
)
from jaxgan.types import DataSpec

# The source adds a constant 1 to G's loss, which changes no gradient.
LOSS = losses.binary_cross_entropy._replace(
    generator=lambda fake, real: 1 + losses.binary_cross_entropy.generator(fake, real)
)


@dataclass(frozen=True, kw_only=True)
class MnistDcganBn(ImageRecipe):
    """DCGAN on MNIST, batch norm in both networks, two steps of D and of G per iteration.

    Source: CNTK tutorial 206B. Each of D's steps has its own reals and its own latents; G's steps
    share theirs. Where the source's prose and code differ, this follows the code: G is stepped
    twice, not once, and ends in a sigmoid with images in [0, 1], not in a tanh with [-1, 1]. The
    default is the source's "fast" run of 5,000 iterations; `--preset slow` is its run of 10,000.

    Command: `jaxgan train mnist_dcgan_bn`
    Expect: faint digits on gray after 1,000 iterations of 0.2 s on 2 CPU cores, and at the end
    (seed 0). D's batch norm hides the brightness of a batch, so nothing pushes G towards black and
    white, and D's unpadded strides never see the last three rows and columns, where G leaves noise.
    Both are properties of the source, and so is a Frechet distance of 94.6 (10,000 samples, digit
    network; one GAN).
    """

    name: ClassVar[str] = "mnist_dcgan_bn"
    value_range: ClassVar = (0.0, 1.0)
    default_length: ClassVar = {"steps": 5000}
    presets: ClassVar = {
        "fast": {"steps": 5000, "log_every": 200},
        "slow": {"steps": 10_000, "log_every": 400},
    }

    batch_size: Count = 128  # real examples in one update
    log_every: Count = 200  # steps between two lines of metrics: 25 lines in the default run
    sample_every: Count = 500  # steps between two pictures of samples
    checkpoint_every: Count = 500  # steps between two checkpoints
    grid: tuple[Count, Count] = (6, 6)  # rows and columns of a picture of samples
    discriminator_steps: Count = 2  # of D in one iteration, each on its own batch
    generator_steps: Count = 2  # of G in one iteration, all on the same latents
    latent_size: Count = 100  # dimensions of a latent, from U(-1, 1)
    generator_width: Count = dcgan_bn.Generator.width  # units of G's first dense layer
    generator_channels: tuple[Count, Count] = dcgan_bn.Generator.channels  # at 1/4 and 1/2 size
    discriminator_channels: Counts = dcgan_bn.Discriminator.channels  # of D's convolutions
    discriminator_width: Count = dcgan_bn.Discriminator.width  # units of D's hidden dense layer
    slope: NonNegative = dcgan_bn.Discriminator.slope  # of D's leaky ReLU below zero
    init_deviation: NonNegative = dcgan_bn.Generator.init_deviation  # of the initial kernels
    norm_time: Positive = 5000.0  # time constant of batch norm's running statistics, in examples
    epsilon: NonNegative = dcgan_bn.Generator.epsilon  # of batch norm
    learning_rate: Positive = 2e-4  # of Adam, both networks
    beta1: Share = 0.5  # of Adam
    beta2: Share = 0.999  # of Adam

    @property
    def examples_per_step(self) -> int:
        """Number of real examples that one training step takes: a batch for each step of D."""
        return self.batch_size * self.discriminator_steps

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        adam = optax.adam(self.learning_rate, self.beta1, self.beta2)
        least = 2 ** (len(self.discriminator_channels) + 2) - 3  # leaves D's last convolution 1 x 1
        norm = (math.exp(-self.batch_size / self.norm_time), self.epsilon)
        generator = dcgan_bn.Generator(
            require_size(spec.shape, multiple=4, least=least),
            self.generator_width,
            self.generator_channels,
            self.init_deviation,
            *norm,
        )
        discriminator = dcgan_bn.Discriminator(
            self.discriminator_channels,
            self.discriminator_width,
            self.slope,
            self.init_deviation,
            *norm,
        )
        return GAN(
            generator=self.network(generator),
            discriminator=self.network(discriminator),
            generator_optimizer=adam,
            discriminator_optimizer=adam,
            loss=LOSS,
            inputs=latents.uniform(self.latent_size),
        )

    def update(self, gan: GAN) -> Update:
        """Makes D's steps, then G's, which share their latents (see `Recipe.update`)."""
        generator = on_part(update_generator(gan), 0, self.discriminator_steps)
        return share_key(  # `repeat` gives each of D's steps a key of its own
            repeat(update_discriminator(gan), self.discriminator_steps),
            *[generator] * self.generator_steps,
        )
