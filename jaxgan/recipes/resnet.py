"""What the recipes of residual GANs share: several steps of D for one of G, with Adam."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import optax

from jaxgan.core.combinators import chain, on_part, repeat
from jaxgan.core.gan import GAN
from jaxgan.core.updates import Update, update_discriminator, update_generator
from jaxgan.models import resnet
from jaxgan.recipes.recipe import (
    Count,
    Counts,
    ImageRecipe,
    NonNegative,
    Positive,
    Share,
    require_learning,
    require_size,
)
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ResNetRecipe(ImageRecipe):
    """A residual GAN on images, with several steps of D, each on reals of its own, for one of G.

    Where it is conditional, fakes have the labels of the batch's reals.
    """

    default_length: ClassVar = {"steps": 100_000}
    default_size: ClassVar = 32
    generator_batches: ClassVar[int] = 1  # that G's step takes at once, as far as there are any

    data: str = "tfds:cifar10"  # mnist, openmoji, faces, tfds:NAME, folder:PATH; @SPLIT may follow
    batch_size: Count = 64  # real examples in one update
    log_every: Count = 100  # steps between two lines of metrics
    sample_every: Count = 1000  # steps between two pictures of samples
    checkpoint_every: Count = 1000  # steps between two checkpoints
    grid: tuple[Count, Count] = (10, 10)  # rows and columns of a picture of samples
    discriminator_steps: Count = 5  # of D for one of G; with 1, both have as many latents
    latent_size: Count = 128  # dimensions of a latent, from N(0, 1)
    generator_widths: Counts = resnet.Generator.widths  # channels of G: smallest size, each block
    discriminator_widths: Counts = resnet.Discriminator.widths  # channels of D's blocks
    momentum: Share = resnet.Generator.momentum  # of batch norm's running statistics
    epsilon: NonNegative = resnet.Generator.epsilon  # of batch norm
    learning_rate: Positive = 2e-4  # of Adam, both networks
    beta1: Share = 0.0  # of Adam
    beta2: Share = 0.9  # of Adam

    @property
    def examples_per_step(self) -> int:
        """Number of real examples that one training step takes: a batch for each step of D."""
        return self.batch_size * self.discriminator_steps

    def shape(self, spec: DataSpec) -> tuple[int, int, int]:
        """Returns the shape of images (see `require_size`): each of G's blocks doubles the size."""
        scale = 2 ** (len(self.generator_widths) - 1)
        return require_size(spec.shape, multiple=scale, least=max(scale, 4))

    def train_discriminator(self, gan: GAN) -> Update:
        """Makes D's steps."""
        return repeat(update_discriminator(gan), self.discriminator_steps)

    def train_generator(self, gan: GAN) -> Update:
        """Makes G's step."""
        part = slice(self.generator_batches)
        return on_part(update_generator(gan), part, self.discriminator_steps)

    def update(self, gan: GAN) -> Update:
        """Makes D's steps, then G's (see `Recipe.update`)."""
        return chain(self.train_discriminator(gan), self.train_generator(gan))


@dataclass(frozen=True, kw_only=True)
class DecayingRecipe(ResNetRecipe):
    """A residual GAN whose learning rate falls to 0 along a line."""

    decay_steps: Count = 100_000  # training steps in which the learning rate falls to 0

    def total_steps(self, examples: int | None) -> int:
        """Computes the length of the run, which ends with the decay (see `Recipe.total_steps`)."""
        return require_learning(super().total_steps(examples), self.decay_steps)

    def adam(self, updates: int) -> optax.GradientTransformation:
        """Makes the optimizer of a player that makes `updates` of its steps in a training step."""
        fall = optax.linear_schedule(self.learning_rate, 0.0, self.decay_steps)
        return optax.adam(lambda count: fall(jnp.asarray(count) // updates), self.beta1, self.beta2)


@dataclass(frozen=True, kw_only=True)
class StudioRecipe(ResNetRecipe):
    """A residual GAN with the optimizer and the batch norm of StudioGAN's settings."""

    epsilon: NonNegative = 1e-4  # of batch norm
    beta1: Share = 0.5  # of Adam
    beta2: Share = 0.999  # of Adam
    adam_epsilon: Positive = 1e-6  # of Adam

    def adam(self) -> optax.GradientTransformation:
        """Makes the optimizer of either player."""
        return optax.adam(self.learning_rate, self.beta1, self.beta2, self.adam_epsilon)


@dataclass(frozen=True, kw_only=True)
class AttentiveRecipe(StudioRecipe):
    """A residual GAN with self-attention after some of the blocks."""

    generator_attention: Counts  # indices of the blocks that it follows, from 1
    discriminator_attention: Counts  # likewise of D

    def __post_init__(self):
        super().__post_init__()
        _, *blocks = self.generator_widths
        _check_attention("generator_attention", self.generator_attention, blocks)
        _check_attention(
            "discriminator_attention", self.discriminator_attention, self.discriminator_widths
        )


def _check_attention(name: str, numbers: Sequence[int], widths: Sequence[int]) -> None:
    for number in numbers:
        if number > len(widths):
            raise UserError(f"{name} has indices of blocks, 1 to {len(widths)}, not {number}")
        if widths[number - 1] % 8:
            raise UserError(
                f"{name} is for blocks whose channels are a multiple of 8: block {number} has "
                f"{widths[number - 1]}"
            )
