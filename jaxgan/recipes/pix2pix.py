"""Pix2Pix: a picture made from another, learned from pairs or from degraded pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import jax.numpy as jnp
from msgspec import Meta

from jaxgan import augment, degradations, losses, restoration
from jaxgan.core.gan import GAN, Play
from jaxgan.core.networks import always_training, linen
from jaxgan.core.updates import Update, update_both
from jaxgan.data import Feed, Mapped, degraded, jointly, on_images, spec_of
from jaxgan.models import patchgan, unet
from jaxgan.nn import norms
from jaxgan.recipes.recipe import (
    Count,
    CountFrom0,
    NonNegative,
    require_patches,
    require_size,
    require_source,
)
from jaxgan.recipes.translating import TranslatingRecipe, weighted
from jaxgan.types import DataSpec, PerSample
from jaxgan.util.errors import UserError

DEGRADATIONS: Mapping[str, augment.Augmentation] = {
    "mask": degradations.mask(restoration.center()),
    "blur": degradations.blur(),
    "downscale": degradations.downscale(),
    "noise": degradations.noise(),
    "gray": degradations.gray(),
    "edges": degradations.edges(),
}
Halvings = Annotated[int, Meta(ge=1, le=16)]
Degradation = Literal["mask", "blur", "downscale", "noise", "gray", "edges"]


@dataclass(frozen=True, kw_only=True)
class Pix2pix(TranslatingRecipe):
    """Pix2Pix: one picture made from another, such as an emoji from a drawing.

    With `--degrade`, it learns to restore the pictures of any data set. Norms look at one picture
    at a time, as the source's do at its batches of 1. Dropout stays on in sampling.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017),
    and its code, whose schedule is that of its PyTorch version. The preset `paper` has its networks
    and the length of its facades: 200 epochs of 400 pairs. Otherwise, width, batch size and length
    are our own, for a laptop.

    Command: `jaxgan train pix2pix`; `--preset paper --data halves:PATH#right,left` on a GPU
    Expect: no run of it has been taken to its end here.
    """

    name: ClassVar[str] = "pix2pix"
    default_length: ClassVar = {"steps": 40_000}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            "image_size": 256,
            "batch_size": 1,
            "steps": 80_000,
            "decay_from": 40_000,
            "decay_steps": 40_000,
            "generator_width": unet.Generator.width,
            "dropouts": unet.Generator.dropouts,
            "discriminator_layers": patchgan.Discriminator.layers,
            "discriminator_width": patchgan.Discriminator.width,
        }
    }

    data: str = "openmoji-pairs"  # openmoji-pairs, faces-pairs, folder:PATH#A,B, halves:PATH, ...
    degrade: Degradation | None = None  # make the pairs of pictures and of what this leaves of them
    batch_size: Count = 8  # pairs in one update
    log_every: Count = 50  # steps between two lines of metrics
    sample_every: Count = 500  # steps between two pictures of samples
    checkpoint_every: Count = 1000  # steps between two checkpoints
    grid: tuple[Count, Count] = (8, 8)  # rows and columns of a picture of samples
    decay_from: Count = 20_000  # step from which the learning rate falls
    decay_steps: Count = 20_000  # steps in which it falls to 0
    downs: Halvings | None = None  # how often U-Net halves the size; by default down to a pixel
    generator_width: Count = 32  # of U-Net: channels at half of the size
    dropouts: CountFrom0 = 1  # layers of U-Net with dropout, from the innermost on
    discriminator_layers: CountFrom0 = 2  # of PatchGAN that halve the size; 0: it judges pixels
    discriminator_width: Count = 32  # of PatchGAN: channels of its first layer
    l1_weight: NonNegative = 100.0  # of the distance to the target
    adversarial_weight: NonNegative = 1.0  # of the adversarial loss of G

    def paired(self, feed: Feed) -> Feed:
        """Degrades the pictures of a feed, if they are to be."""
        if self.degrade is None:
            return feed
        if spec_of(feed).source is not None:
            raise UserError(
                f"{self.data} has pairs already: leave out degrade, or choose single pictures"
            )
        return Mapped(feed, degraded(augment.of_batch(DEGRADATIONS[self.degrade])))

    def open(self, data: str, seed: int | None, data_dir: str | None = None) -> Feed:
        """Opens any pairs, or any pictures to degrade (see `ImageRecipe.open`)."""
        return self.paired(super().open(data, seed, data_dir))

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens the pairs, with the same jitter for both of a pair (see `Recipe.feed`)."""
        if self.degrade is None:
            pairs = self.open(self.data, seed, data_dir)
            require_source(spec_of(pairs))
            return self.jittered(pairs, jointly)
        pictures = super().open(self.data, seed, data_dir)
        return self.paired(self.jittered(pictures, on_images))

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        require_source(spec)
        height, width, colors = require_size(spec.shape, multiple=1, least=2)
        require_patches(spec.shape, self.discriminator_layers)
        most = (min(height, width) - 1).bit_length()
        downs = self.downs or most
        if downs > most:
            raise UserError(
                f"downs must be at most {most} for pictures of {height} x {width}, not {downs}"
            )
        generator = unet.Generator(colors, downs, self.generator_width, norms.single, self.dropouts)
        discriminator = patchgan.Discriminator(
            self.discriminator_layers, self.discriminator_width, norms.single
        )

        def distance(play: Play) -> PerSample:
            return self.l1_weight * jnp.abs(play.fake - play.real).mean((1, 2, 3))

        return GAN(
            generator=self.network(always_training(linen(generator))),
            discriminator=self.network(discriminator),
            generator_optimizer=self.adam(),
            discriminator_optimizer=self.adam(),
            loss=weighted(losses.non_saturating, self.adversarial_weight),
            inputs=lambda key, n, batch: batch["source"],
            view=lambda example, batch, key, state: (batch["source"], example),
            generator_terms=distance,
        )

    def update(self, gan: GAN) -> Update:
        """Makes D's step, then G's on the same fakes (see `Recipe.update`)."""
        return update_both(gan)
