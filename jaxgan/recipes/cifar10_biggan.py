"""BigGAN on CIFAR-10.

Source: Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (2019).
"""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn

from jaxgan import latents, losses
from jaxgan.core.combinators import chain, update_average
from jaxgan.core.gan import GAN
from jaxgan.core.updates import Update
from jaxgan.models import biggan
from jaxgan.nn import heads
from jaxgan.recipes.labels import labeled, with_labels
from jaxgan.recipes.recipe import Count, Counts, Share, require_classes
from jaxgan.recipes.resnet import AttentiveRecipe
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

SMALL = {
    "steps": 5000,
    "discriminator_steps": 2,
    "latent_size": 60,
    "generator_widths": (64, 64, 32),
    "generator_attention": (1,),
    "discriminator_widths": (32, 64, 64),
    "average_decay": 0.999,
}


@dataclass(frozen=True, kw_only=True)
class Cifar10Biggan(AttentiveRecipe):
    """BigGAN on CIFAR-10: labels and parts of the latent in each block of an averaged G.

    Source: Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis"
    (2019), with StudioGAN's settings for CIFAR-10. Its flips of reals are left out.

    Command: `jaxgan train cifar10_biggan`
    Expect: StudioGAN reports an Inception score of 9.96 and an FID of 4.16, of its best checkpoint
    and 50,000 fakes against 50,000 training images. For a GPU: its 100,000 steps have not been run
    here. `--preset small --data mnist` fits a laptop.
    """

    name: ClassVar[str] = "cifar10_biggan"
    presets: ClassVar = {"small": SMALL}

    latent_size: Count = 80  # dimensions of a latent, from N(0, 1): a part for each width of G
    generator_widths: Counts = biggan.Generator.widths  # channels of G: smallest size, each block
    discriminator_widths: Counts = biggan.Discriminator.widths  # channels of D's blocks
    label_size: Count = biggan.Generator.label_size  # dimensions of a label's code
    generator_attention: Counts = biggan.Generator.attention  # blocks followed by attention, from 1
    discriminator_attention: Counts = biggan.Discriminator.attention  # likewise of D
    average_decay: Share = 0.9999  # of the moving average of G
    average_start: Count = 1000  # step before which the average is G itself

    def __post_init__(self):
        super().__post_init__()
        parts = len(self.generator_widths)
        if self.latent_size % parts:
            raise UserError(
                f"latent_size must be a multiple of {parts}, as G's first layer and blocks have a "
                f"part each, not {self.latent_size}"
            )

    def head(self, classes: int) -> nn.Module:
        """Makes D's head."""
        return heads.Projection(classes, nn.initializers.orthogonal())

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        classes = require_classes(spec)
        generator = biggan.Generator(
            classes,
            self.shape(spec),
            self.generator_widths,
            self.label_size,
            self.generator_attention,
            momentum=self.momentum,
            epsilon=self.epsilon,
        )
        discriminator = biggan.Discriminator(
            self.discriminator_widths,
            head=self.head(classes),
            attention=self.discriminator_attention,
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

    def update(self, gan: GAN) -> Update:
        """Makes D's steps, G's, and moves the average of G (see `Recipe.update`)."""
        average = update_average(
            lambda step: jnp.where(step < self.average_start, 0.0, self.average_decay)
        )
        return chain(super().update(gan), average)
