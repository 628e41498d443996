"""CycleGAN: translates between two sets of pictures without pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxgan import losses
from jaxgan.core.gan import GAN, Play
from jaxgan.core.pool import update_discriminator_from_pool
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update, update_generator
from jaxgan.data import Feed, Unpaired, on_images
from jaxgan.models import cyclegan, patchgan
from jaxgan.nn import norms
from jaxgan.recipes.recipe import (
    Count,
    CountFrom0,
    NonNegative,
    Positive,
    require_patches,
    require_size,
    require_source,
)
from jaxgan.recipes.translating import TranslatingRecipe
from jaxgan.types import Batch, DataSpec, Images, Metrics, PerSample, PRNGKey, PyTree
from jaxgan.util.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Cyclegan(TranslatingRecipe):
    """CycleGAN: two sets without pairs, such as faces without and with glasses.

    The pictures of a are those of `--source`, those of b those of `--data`; samples are of b.

    Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks" (2017), and its PyTorch code: G's step, then D's on fakes of before, each
    discriminator with a pool of its own. Losses are means over both ways, where the source has
    sums, which makes no difference to Adam. The preset `paper` is the source's horse2zebra. All
    else is our own, for faces of 16 x 16 pixels, of which every one counts: there is no jitter, and
    generators neither halve the size nor have norms.

    Command: `jaxgan train cyclegan`, then `jaxgan translate RUN data:faces-pairs@test --to a`
    Expect: glasses on all held-out faces or on none, as asked; an L1 distance of 0.040 to hidden
    faces without glasses, where nothing done has 0.078, and of 0.019 beside the glasses (seed 0);
    19 minutes of processor time, on one of two CPU cores. The preset has not been run here.
    """

    name: ClassVar[str] = "cyclegan"
    default_length: ClassVar = {"steps": 8000}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {
            "source": "tfds:cycle_gan/horse2zebra@trainA",
            "data": "tfds:cycle_gan/horse2zebra@trainB",
            "held_out": "tfds:cycle_gan/horse2zebra@testA",
            "image_size": 256,
            "batch_size": 1,
            "epochs": 200,
            "decay_from": 133_400,
            "decay_steps": 133_400,
            "jitter": 30 / 256,
            "learning_rate": 2e-4,
            "halvings": cyclegan.Generator.halvings,
            "generator_norm": True,
            "blocks": cyclegan.Generator.blocks,
            "generator_width": cyclegan.Generator.width,
            "discriminator_layers": patchgan.Discriminator.layers,
            "discriminator_width": patchgan.Discriminator.width,
        }
    }

    source: str = "faces"  # pictures of a
    data: str = "faces#glasses"  # pictures of b: as source
    batch_size: Count = 8  # pictures of a, and of b, in one update
    log_every: Count = 50  # steps between two lines of metrics
    sample_every: Count = 500  # steps between two pictures of samples
    checkpoint_every: Count = 1000  # steps between two checkpoints
    grid: tuple[Count, Count] = (10, 10)  # rows and columns of a picture of samples
    jitter: NonNegative = 0.0  # enlarge by this share, crop, mirror; 0: leave as they are
    learning_rate: Positive = 1e-3  # initial rate of Adam, both networks
    decay_from: Count = 4000  # step from which the learning rate falls
    decay_steps: Count = 4000  # steps in which it falls to 0
    halvings: CountFrom0 = 0  # of the size, before the residual blocks of each generator
    generator_norm: bool = False  # instance norm in generators, which hides a picture's own colors
    blocks: Count = 3  # residual blocks of each generator
    generator_width: Count = 32  # channels of a generator at the full size
    discriminator_layers: CountFrom0 = 1  # of PatchGAN that halve the size; 0: it judges pixels
    discriminator_width: Count = 32  # of PatchGAN: channels of its first layer
    cycle_weight: NonNegative = 10.0  # of the distance to a picture that was translated and back
    identity_weight: NonNegative = 5.0  # of the distance to one that was translated to its own set
    pool_size: Count = 50  # earlier fakes that each discriminator may be shown

    @property
    def origin(self) -> str:
        """The data set of the pictures that others are made from."""
        return self.source

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens both sets, each in its order and with its jitter (see `Recipe.feed`)."""
        target, source = (
            self.jittered(self.open(data, seed, data_dir), on_images)
            for data in (self.data, self.source)
        )
        return Unpaired(target, source, seed)

    def example(self, made: PyTree) -> Images:
        """Picks the one set that was made in sampling (see `Recipe.example`)."""
        (images,) = made.values()
        return images

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        source = require_source(spec)
        shape = require_size(spec.shape, multiple=2**self.halvings, least=8)
        require_patches(shape, self.discriminator_layers)
        same_colors = source[-1] == shape[2]
        if not same_colors and self.identity_weight:
            raise UserError(
                f"pictures of {source[-1]} and of {shape[2]} channels have no identity term: set "
                "identity_weight to 0"
            )

        def generator(colors: int) -> cyclegan.Generator:
            norm = norms.instance if self.generator_norm else norms.none
            return cyclegan.Generator(
                colors, self.blocks, self.generator_width, norm, self.halvings
            )

        judge = patchgan.Discriminator(
            self.discriminator_layers, self.discriminator_width, norms.instance
        )

        def cycle_and_identity(play: Play) -> PerSample:
            def apart(pictures: PyTree) -> PerSample:
                errors = jax.tree.map(
                    lambda x, y: jnp.abs(x - y).mean((1, 2, 3)), pictures, play.real
                )
                return (errors["a"] + errors["b"]) / 2

            terms = self.cycle_weight * apart(play.generate(play.fake))
            if same_colors:
                swapped = {"a": play.real["b"], "b": play.real["a"]}
                terms += self.identity_weight * apart(play.generate(swapped))
            return terms

        return GAN(
            generator=self.network(cyclegan.Generators(generator(source[-1]), generator(shape[2]))),
            discriminator=self.network(cyclegan.Discriminators(judge, judge.clone())),
            generator_optimizer=self.adam(),
            discriminator_optimizer=self.adam(),
            loss=losses.least_squares,
            inputs=lambda key, n, batch: _pictures(batch),
            real=_pictures,
            generator_terms=cycle_and_identity,
        )

    def update(self, gan: GAN) -> Update:
        """Makes G's and D's steps, both on the fakes of before (see `Recipe.update`)."""
        of_generator = update_generator(gan)
        of_discriminator = update_discriminator_from_pool(gan, self.pool_size, apart=True)

        def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
            # The same key, so that the compiler makes the fakes of both once.
            first, metrics = of_generator.apply(state, batch, key)
            second, others = of_discriminator.apply(state, batch, key)
            return second.replace(generator=first.generator), metrics | others

        return Update(of_discriminator.init, apply)


def _pictures(batch: Batch) -> dict[str, Images]:
    """Returns the pictures of both sets; in sampling, of the one that there is."""
    names = {"a": "source", "b": "image"}
    return {domain: batch[name] for domain, name in names.items() if name in batch}
