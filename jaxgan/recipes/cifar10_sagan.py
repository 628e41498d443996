"""SAGAN on CIFAR-10.

Source: Zhang et al., "Self-Attention Generative Adversarial Networks" (2019).
"""

from dataclasses import dataclass
from typing import ClassVar

from flax import linen as nn

from jaxgan import latents, losses
from jaxgan.core.gan import GAN
from jaxgan.models import sagan
from jaxgan.nn import heads
from jaxgan.recipes.labels import labeled, with_labels
from jaxgan.recipes.recipe import Counts, require_classes
from jaxgan.recipes.resnet import AttentiveRecipe
from jaxgan.types import DataSpec


@dataclass(frozen=True, kw_only=True)
class Cifar10Sagan(AttentiveRecipe):
    """SAGAN on CIFAR-10: SNGAN with labels, self-attention, spectral normalization in both.

    Source: Zhang et al., "Self-Attention Generative Adversarial Networks" (2019), with StudioGAN's
    settings for CIFAR-10, where each player has a learning rate of 2e-4 and D makes five steps. Its
    flips of reals are left out, and its G normalizes the tables of conditional batch norm too.

    Command: `jaxgan train cifar10_sagan`
    Expect: StudioGAN reports an Inception score of 8.64 and an FID of 10.35, of its best checkpoint
    and 50,000 fakes against 50,000 training images. For a GPU: its 100,000 steps have not been run
    here. `--preset small --data mnist` fits a laptop.
    """

    name: ClassVar[str] = "cifar10_sagan"
    presets: ClassVar = {
        "small": {
            "steps": 5000,
            "discriminator_steps": 2,
            "generator_widths": (64, 64, 32),
            "generator_attention": (1,),
            "discriminator_widths": (32, 64, 64),
        }
    }

    generator_attention: Counts = sagan.Generator.attention  # blocks followed by attention, from 1
    discriminator_attention: Counts = sagan.Discriminator.attention  # likewise of D

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        classes, orthogonal = require_classes(spec), nn.initializers.orthogonal()
        generator = sagan.Generator(
            self.shape(spec),
            self.generator_widths,
            classes,
            self.generator_attention,
            kernel_init=orthogonal,
            inner_init=orthogonal,
            momentum=self.momentum,
            epsilon=self.epsilon,
        )
        discriminator = sagan.Discriminator(
            self.discriminator_widths,
            head=heads.Projection(classes, orthogonal),
            attention=self.discriminator_attention,
            kernel_init=orthogonal,
            inner_init=orthogonal,
        )
        return GAN(
            generator=self.network(generator),
            discriminator=self.network(discriminator),
            generator_optimizer=self.adam(),
            discriminator_optimizer=self.adam(),
            loss=losses.hinge,
            inputs=labeled(latents.normal(self.latent_size)),
            view=with_labels,
        )
