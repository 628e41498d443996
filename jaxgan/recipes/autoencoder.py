"""An autoencoder, in whose latents GANs can be trained."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import jax.numpy as jnp
from msgspec import Meta

from jaxgan import losses
from jaxgan.core.gan import GAN, Play
from jaxgan.core.updates import Update, update_both
from jaxgan.data import Feed, Mapped, degraded, jointly, spec_of
from jaxgan.features import digits
from jaxgan.models import autoencoder, patchgan
from jaxgan.nn import norms
from jaxgan.recipes.recipe import Count, CountFrom0, NonNegative, require_patches, require_size
from jaxgan.recipes.translating import TranslatingRecipe, weighted
from jaxgan.types import DataSpec, PerSample
from jaxgan.util.errors import UserError

Width = Annotated[int, Meta(ge=autoencoder.GROUP, multiple_of=autoencoder.GROUP)]
Widths = Annotated[tuple[Width, ...], Meta(min_length=1, max_length=6)]
COLORS: Widths = (64, 128)


@dataclass(frozen=True, kw_only=True)
class Autoencoder(TranslatingRecipe):
    """An autoencoder: pictures to a few numbers and back, against a PatchGAN discriminator.

    `jaxgan encode RUN --out FOLDER` makes a data set of its latents, and `jaxgan translate RUN
    data:openmoji@test` shows reconstructions. G's inputs are the pictures themselves. G adds to its
    loss (`terms_g`) the L1 distance, and of digits, if `feature_weight` is not 0, the squared
    distance of the digit network's features.

    Source: ours, after Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion
    Models" (2022).

    Command: `jaxgan train autoencoder`, then `jaxgan translate RUN data:openmoji@test`
    Expect: held-out emoji at an L1 distance of 0.036 and 27.5 dB, after 6,000 steps (seed 0); 13
    minutes on one CPU core.
    """

    name: ClassVar[str] = "autoencoder"
    default_length: ClassVar = {"steps": 6000}

    data: str = "openmoji"  # mnist, openmoji, faces, tfds:NAME, folder:PATH; @SPLIT may follow
    image_size: Count | None = 32  # resize images to this height and width
    batch_size: Count = 16  # real examples in one update
    log_every: Count = 50  # steps between two lines of metrics
    sample_every: Count = 500  # steps between two pictures of samples
    checkpoint_every: Count = 1000  # steps between two checkpoints
    grid: tuple[Count, Count] = (8, 8)  # rows and columns of a picture of samples
    jitter: NonNegative = 0.0  # enlarge by this share, crop, mirror; 0: leave as they are
    learning_rate: NonNegative = 1e-3  # initial rate of Adam, both networks
    decay_from: Count = 3000  # step from which the learning rate falls
    decay_steps: Count = 3000  # steps in which it falls to 0
    widths: Widths = COLORS  # channels, from the largest size to that of latents; each halves it
    channels: Count = 8  # of latents
    noise: NonNegative = 0.1  # standard deviation of what is added to latents, whose own is 1
    discriminator_layers: CountFrom0 = 1  # of PatchGAN that halve the size; 0: it judges pixels
    discriminator_width: Count = 32  # of PatchGAN: channels of its first layer
    l1_weight: NonNegative = 50.0  # of the distance to the picture
    feature_weight: NonNegative = 0.0  # of the distance of the digit network's features
    adversarial_weight: NonNegative = 1.0  # of the adversarial loss of G

    def open(self, data: str, seed: int | None, data_dir: str | None = None) -> Feed:
        """Opens pictures, which are their own sources (see `ImageRecipe.open`)."""
        feed = super().open(data, seed, data_dir)
        if spec_of(feed).source is not None:
            raise UserError(f"{data} has pairs: choose single pictures, such as openmoji")
        return Mapped(feed, degraded(lambda images, key: images))

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens the pictures, with jitter (see `Recipe.feed`)."""
        return self.jittered(self.open(self.data, seed, data_dir), jointly)

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        factor = 2 ** len(self.widths)
        *_, colors = require_size(spec.shape, multiple=factor, least=factor)
        require_patches(spec.shape, self.discriminator_layers)
        if self.feature_weight and spec.shape != digits.SHAPE:
            raise UserError("feature_weight is for digits of 28 x 28, in gray: leave it at 0")
        network = autoencoder.Autoencoder(self.widths, self.channels, colors, self.noise)
        judge = patchgan.Discriminator(
            self.discriminator_layers, self.discriminator_width, norms.single
        )

        def distance(play: Play) -> PerSample:
            apart = self.l1_weight * jnp.abs(play.fake - play.real).mean((1, 2, 3))
            if not self.feature_weight:
                return apart
            features = digits.load().features
            of_fake, of_real = (features((x + 1) / 2) for x in (play.fake, play.real))
            return apart + self.feature_weight * ((of_fake - of_real) ** 2).mean(1)

        return GAN(
            generator=self.network(network),
            discriminator=self.network(judge),
            generator_optimizer=self.adam(),
            discriminator_optimizer=self.adam(),
            loss=weighted(losses.non_saturating, self.adversarial_weight),
            inputs=lambda key, n, batch: batch["source"],
            generator_terms=distance,
        )

    def update(self, gan: GAN) -> Update:
        """Makes D's step, then G's on the same fakes (see `Recipe.update`)."""
        return update_both(gan)
