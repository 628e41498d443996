"""What the recipes of StyleGAN2 share: R1 now and then, and an average with a ramp."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array

from jaxgan import latents, losses, penalties
from jaxgan.core.combinators import chain, every, half_life, update_average
from jaxgan.core.gan import GAN
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update, minimize_penalty, update_discriminator, update_generator
from jaxgan.models import stylegan2
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
from jaxgan.regularizers import lazy_adam
from jaxgan.types import DataSpec, Images, PRNGKey
from jaxgan.util.errors import UserError

GENERATOR_PERIOD = 4  # steps from one regularization of G to the next
DISCRIMINATOR_PERIOD = 16  # likewise of D


@dataclass(frozen=True, kw_only=True)
class StyleGan2Recipe(ImageRecipe):
    """A StyleGAN2: G steps, then D on the same reals, which pays R1 in every 16th step.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), and the
    code of Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020),
    which scales G's learning rate for lazy regularization even where G has none.
    """

    block: ClassVar[Callable[..., nn.Module]] = stylegan2.Discriminator.block  # of D

    batch_size: Count = 64  # real examples in one update
    log_every: Count = 100  # steps between two lines of metrics
    sample_every: Count = 1000  # steps between two pictures of samples
    checkpoint_every: Count = 1000  # steps between two checkpoints
    grid: tuple[Count, Count] = (10, 10)  # rows and columns of a picture of samples
    latent_size: Count  # dimensions of a latent, from N(0, 1)
    style_size: Count  # dimensions of a style, and units of the mapping's layers
    mapping_depth: Count  # layers of the mapping
    widths: Counts  # channels of each size, from the smallest up
    in_bfloat16: Count | None = None  # largest sizes that compute in bfloat16; 4 in the source
    mixing: Share  # probability that a batch of training has styles of two latents
    truncation: NonNegative = 1.0  # psi of samples: 0 makes all alike, 1 leaves them as they are
    group: Count  # examples whose standard deviation D sees
    learning_rate: Positive = 2.5e-3  # of Adam, both networks, without regularization
    beta1: Share = 0.0  # of Adam, likewise
    beta2: Share = 0.99  # of Adam, likewise
    gamma: NonNegative  # of R1
    half_life: NonNegative  # of the average of G, in images
    ramp: NonNegative = 0.05  # of the images so far: the half-life of an average that is young

    def __post_init__(self):
        super().__post_init__()
        if self.batch_size % self.group:
            raise UserError(f"group must divide the batch size {self.batch_size}, not {self.group}")
        if self.microbatch is not None and self.microbatch % self.group:
            raise UserError(f"group must divide microbatch {self.microbatch}, not {self.group}")
        require_sizes(self.in_bfloat16, self.widths)

    def adam(self, period: int) -> optax.GradientTransformation:
        """Makes the optimizer of a player that is regularized in every `period`-th step."""
        return lazy_adam(period, self.learning_rate, self.beta1, self.beta2)

    def classes(self, spec: DataSpec) -> int | None:
        """Returns the number of classes of a conditional GAN; None of an unconditional one."""
        return None

    def show(self, images: Images, key: PRNGKey, state: GANState) -> Images:
        """Returns what D sees of images: here the images themselves."""
        return images

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        side, colors = require_side(spec.shape, 2 ** (len(self.widths) - 1))
        smallest = side >> (len(self.widths) - 1)
        classes = self.classes(spec)
        generator = stylegan2.Generator(
            self.widths,
            colors,
            classes,
            self.style_size,
            self.mapping_depth,
            self.mixing,
            truncation=self.truncation,
            smallest=smallest,
            in_bfloat16=self.in_bfloat16 or 0,
        )
        discriminator = stylegan2.Discriminator(
            self.widths, self.block, self.group, classes, smallest, self.in_bfloat16 or 0
        )
        draw = latents.normal(self.latent_size)
        return GAN(
            generator=self.network(generator),
            discriminator=self.network(discriminator),
            generator_optimizer=self.adam(GENERATOR_PERIOD),
            discriminator_optimizer=self.adam(DISCRIMINATOR_PERIOD),
            loss=losses.non_saturating,
            inputs=draw if classes is None else labeled(draw),
            view=without_labels(self.show) if classes is None else beside_labels(self.show),
        )

    def train_generator(self, gan: GAN) -> Update:
        """Makes G's step."""
        return update_generator(gan)

    def update(self, gan: GAN) -> Update:
        """Makes G's step, D's, what regularizes them, and the average (see `Recipe.update`)."""
        lazy = replace(gan, penalty=penalties.r1(DISCRIMINATOR_PERIOD * self.gamma))

        def memory(step: Array) -> Array:
            return jnp.minimum(self.half_life / self.batch_size, self.ramp * step)

        return chain(
            self.train_generator(gan),
            update_discriminator(gan),
            every(DISCRIMINATOR_PERIOD, minimize_penalty(lazy)),
            update_average(half_life(memory)),
        )
