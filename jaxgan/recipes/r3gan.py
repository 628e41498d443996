"""What the recipes of R3GAN share: the relativistic loss, R1 and R2, and a burn-in."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array

from jaxgan import latents, losses, penalties
from jaxgan.core.combinators import chain, half_life, on_part, scheduled, update_average
from jaxgan.core.gan import GAN
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update, update_discriminator, update_generator
from jaxgan.models import r3gan
from jaxgan.penalties import Penalty
from jaxgan.recipes.labels import beside_labels, labeled, without_labels
from jaxgan.recipes.recipe import (
    Count,
    Counts,
    ImageRecipe,
    NonNegative,
    Positive,
    Share,
    require_side,
    require_sizes,
)
from jaxgan.schedules import cosine
from jaxgan.types import DataSpec, Images, PRNGKey, Scalar
from jaxgan.util.errors import UserError


@dataclass(frozen=True, kw_only=True)
class R3ganRecipe(ImageRecipe):
    """An R3GAN, whose settings move along half a cosine while D sees its first images.

    D's step and G's have reals of their own. Pairs are the first and the last value.

    Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline" (2024),
    appendix D, and its code.
    """

    log_every: Count = 100  # steps between two lines of metrics
    sample_every: Count = 1000  # steps between two pictures of samples
    checkpoint_every: Count = 1000  # steps between two checkpoints
    grid: tuple[Count, Count] = (10, 10)  # rows and columns of a picture of samples
    latent_size: Count = 64  # dimensions of a latent, from N(0, 1)
    widths: Counts = r3gan.Generator.widths  # channels of each size, from the smallest up
    blocks: Count = r3gan.Generator.blocks  # of each size
    group_size: Count = r3gan.Generator.group_size  # channels in a group of a convolution
    in_bfloat16: Count | None = None  # largest sizes that compute in bfloat16; 3 in the source
    burn_in: Count  # images that D sees until the settings have their last values
    learning_rate: tuple[Positive, Positive]  # of Adam, both networks
    beta1: Share = 0.0  # of Adam
    beta2: tuple[Share, Share] = (0.9, 0.99)  # of Adam
    gamma: tuple[NonNegative, NonNegative]  # of R1 and of R2
    half_life: tuple[NonNegative, NonNegative]  # of the average of G, in images

    def __post_init__(self):
        super().__post_init__()
        if any(width * r3gan.EXPANSION % self.group_size for width in self.widths):
            raise UserError(
                f"group_size must divide {r3gan.EXPANSION} times each of the widths {self.widths}, "
                f"not {self.group_size}"
            )
        require_sizes(self.in_bfloat16, self.widths)

    @property
    def examples_per_step(self) -> int:
        """Number of real examples that one training step takes: a batch for each player."""
        return 2 * self.batch_size

    def burning(self, values: tuple[float, float]) -> Callable[[Array], Array]:
        """Makes the schedule of a setting, of the step number."""
        return cosine(*values, self.burn_in / self.batch_size)

    def classes(self, spec: DataSpec) -> int | None:
        """Returns the number of classes of a conditional GAN; None of an unconditional one."""
        return None

    def show(self, images: Images, key: PRNGKey, state: GANState) -> Images:
        """Returns what D sees of images: here the images themselves."""
        return images

    def networks(self, spec: DataSpec) -> tuple[nn.Module, nn.Module]:
        """Makes G and D.

        Args:
            spec: what the examples look like.

        Returns:
            G, which takes latents, and D, which takes images; with labels if conditional.

        Raises:
            UserError: if they cannot make such examples.
        """
        side, colors = require_side(spec.shape, 2 ** (len(self.widths) - 1))
        smallest = side >> (len(self.widths) - 1)
        classes = self.classes(spec)
        generator = r3gan.Generator(
            self.widths,
            colors,
            classes,
            blocks=self.blocks,
            group_size=self.group_size,
            smallest=smallest,
            in_bfloat16=self.in_bfloat16 or 0,
        )
        discriminator = r3gan.Discriminator(
            self.widths,
            classes,
            self.blocks,
            self.group_size,
            smallest,
            self.in_bfloat16 or 0,
        )
        return generator, discriminator

    def penalty(self, gamma: Scalar) -> Penalty:
        """Makes the penalty of D, R1 and R2 of the same strength."""
        return penalties.total(penalties.r1(gamma), penalties.r2(gamma))

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        generator, discriminator = self.networks(spec)
        adam = optax.inject_hyperparams(optax.adam)(
            self.burning(self.learning_rate), self.beta1, self.burning(self.beta2)
        )
        draw = latents.normal(self.latent_size)
        conditional = self.classes(spec) is not None
        return GAN(
            generator=self.network(generator),
            discriminator=self.network(discriminator),
            generator_optimizer=adam,
            discriminator_optimizer=adam,
            loss=losses.relativistic,
            inputs=labeled(draw) if conditional else draw,
            view=(beside_labels if conditional else without_labels)(self.show),
        )

    def update(self, gan: GAN) -> Update:
        """Makes D's step, G's step, and moves the average of G (see `Recipe.update`)."""
        gamma, memory = self.burning(self.gamma), self.burning(self.half_life)

        def penalized(step: Array) -> Update:
            return update_discriminator(replace(gan, penalty=self.penalty(gamma(step))))

        def steps(step: Array) -> Array:
            return jnp.asarray(memory(step)) / self.batch_size

        return chain(
            on_part(scheduled(penalized), 0, 2),
            on_part(update_generator(gan), 1, 2),
            update_average(half_life(steps)),
        )
