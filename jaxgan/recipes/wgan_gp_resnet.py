"""WGAN-GP with residual networks on CIFAR-10.

Source: Gulrajani et al., "Improved Training of Wasserstein GANs" (2017).
"""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from jaxgan import latents, losses, penalties
from jaxgan.core.gan import GAN
from jaxgan.models import resnet
from jaxgan.nn.spectral import plain
from jaxgan.recipes.cifar10_sngan import Cifar10Sngan
from jaxgan.recipes.recipe import Counts, NonNegative
from jaxgan.recipes.resnet import DecayingRecipe
from jaxgan.types import DataSpec


@dataclass(frozen=True, kw_only=True)
class WganGpResnet(DecayingRecipe):
    """WGAN-GP on CIFAR-10: residual networks, no normalization in D, a gradient penalty.

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs" (2017), and its code, without
    labels. G's step has twice as many latents as a batch of D. The code adds noise of up to a gray
    level to reals, which is left out.

    Command: `jaxgan train wgan_gp_resnet`
    Expect: the mimicry library, with SNGAN's wider G, reports an Inception score of 7.33 and an FID
    of 22.29, of 50,000 fakes against 50,000 training images. For a GPU: its 100,000 steps have not
    been run here. `--preset small --data mnist` fits a laptop.
    """

    name: ClassVar[str] = "wgan_gp_resnet"
    generator_batches: ClassVar = 2
    presets: ClassVar = Cifar10Sngan.presets

    generator_widths: Counts = (128,) * 4  # channels of G: smallest size, each block
    epsilon: NonNegative = 1e-5  # of batch norm
    penalty_weight: NonNegative = 10.0  # of the gradient penalty

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        generator = resnet.Generator(
            self.shape(spec), self.generator_widths, momentum=self.momentum, epsilon=self.epsilon
        )
        discriminator = resnet.Discriminator(
            self.discriminator_widths, hidden=min, pool=jnp.mean, wrap=plain
        )
        return GAN(
            generator=self.network(generator),
            discriminator=self.network(discriminator),
            generator_optimizer=self.adam(1),
            discriminator_optimizer=self.adam(self.discriminator_steps),
            loss=losses.wasserstein,
            inputs=latents.normal(self.latent_size),
            penalty=penalties.gradient_penalty(self.penalty_weight),
        )
