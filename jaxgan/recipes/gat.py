"""What the recipes of GAT share: transformers, noise on levels, and penalties of small changes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Key

from jaxgan import latents, losses, penalties, terms
from jaxgan.augment import (
    Augmentation,
    color,
    compose,
    cutout,
    level_noise,
    of_batch,
    on_levels,
    translation,
)
from jaxgan.core.combinators import chain, update_average
from jaxgan.core.gan import GAN, Play
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update, update_discriminator, update_generator
from jaxgan.keys import stream
from jaxgan.models import gat
from jaxgan.penalties import Penalty
from jaxgan.recipes.labels import beside_labels, labeled, without_labels
from jaxgan.recipes.recipe import (
    Count,
    ImageRecipe,
    NonNegative,
    Positive,
    Share,
    require_size,
)
from jaxgan.types import Batch, DataSpec, Images, PerSample, PRNGKey, PyTree, Scalar, Scores
from jaxgan.util.errors import UserError

REFERENCE = 768  # the width that learning rates are for


class Representation(NamedTuple):
    """What another network sees in real examples."""

    size: int  # F
    # "whole" [B, F], "patches" [B, h, w, F], or both; patches are those of D
    features: Callable[[Batch], dict[str, Array]]


@dataclass(frozen=True, kw_only=True)
class GatRecipe(ImageRecipe):
    """A GAT: D steps, then G on the same reals. Conditional where the data has labels.

    The learning rate falls as the width grows, which is what lets networks of all sizes train with
    the same settings.

    Source: Hyun et al., "Scalable GANs with Transformers" (2025), and its code. Penalties look at
    scores of their own, with other augmentations and noise than the loss.
    """

    log_every: Count = 100  # steps between two lines of metrics
    sample_every: Count = 1000  # steps between two pictures of samples
    checkpoint_every: Count = 1000  # steps between two checkpoints
    grid: tuple[Count, Count] = (10, 10)  # rows and columns of a picture of samples
    latent_size: Count = 64  # dimensions of a latent, from N(0, 1), and of a label's code in G
    code_size: Count = gat.Discriminator.code_size  # dimensions of a label's code in D
    depth: Count  # blocks of either player; 4 divides them
    width: Count  # width of a token
    heads: Count  # of attention; the channels of each are a multiple of 4
    patch: Count  # side of the square of pixels that a token stands for
    style_gain: Positive = gat.Generator.gain  # how much first pictures depend on styles
    truncation: NonNegative = 1.0  # psi of samples: 0 makes those of a class alike
    learning_rate: Positive = 2e-4  # of Adam, at a width of 768; G's is a multiple of it
    generator_rate: Positive = 1.0  # G's learning rate as a multiple of D's
    beta1: Share = 0.0  # of Adam
    beta2: Share = 0.99  # of Adam
    clip: Positive = 1.0  # norm of a gradient, at most
    gamma: NonNegative = 0.1  # of the approximate R1 and R2
    representation_weight: NonNegative = 0.0  # of what D's features of reals are drawn towards
    average_decay: Share = 0.999  # of the moving average of G

    def __post_init__(self):
        super().__post_init__()
        if self.depth % gat.LEVELS:
            raise UserError(f"depth must be a multiple of {gat.LEVELS}, not {self.depth}")
        if self.width % (4 * self.heads):
            raise UserError(
                f"width must be a multiple of 4 for each of the {self.heads} heads, not "
                f"{self.width}"
            )

    def augment(self) -> Augmentation:
        """Makes what all levels of an example are augmented by: here DiffAugment."""
        return compose(color(), translation(), cutout())

    def show(self, levels: Float[Array, "B #L H W C"], key: PRNGKey, state: GANState) -> gat.Levels:
        """Returns what D sees of levels, or of a picture that is all of them: augmented, hidden."""
        changed = of_batch(on_levels(self.augment()))(levels, stream(key, "augmentation"))
        return of_batch(level_noise())(changed, stream(key, "noise"))

    def example(self, made: PyTree) -> Images:
        """Picks the last level (see `Recipe.example`)."""
        return last_level(made)

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        return self.game("image", spec.shape, spec)

    def game(self, name: str, shape: tuple[int, ...], spec: DataSpec) -> GAN:
        """Makes the GAN of the examples that batches have by a name.

        Args:
            name: "image" or "latent".
            shape: of such an example.
            spec: of the data set.

        Returns:
            The GAN.

        Raises:
            UserError: if the networks cannot take such examples.
        """
        shape = require_size(shape, multiple=self.patch, least=self.patch)
        size = gat.Size(self.depth, self.width, self.heads)
        generator = gat.Generator(
            size,
            shape,
            self.patch,
            spec.classes,
            self.latent_size,
            truncation=self.truncation,
            gain=self.style_gain,
        )
        wanted = self.representation(spec) if self.representation_weight else None
        discriminator = gat.Discriminator(
            size, self.patch, spec.classes, self.code_size, wanted.size if wanted else None
        )

        def optimizer(speed: Scalar) -> optax.GradientTransformation:
            rate = speed * self.learning_rate * REFERENCE / self.width
            return optax.chain(optax.clip_by_global_norm(self.clip), self.adam(rate))

        draw = latents.normal(self.latent_size)
        penalty = penalties.total(
            penalties.approximate_r1(self.gamma), penalties.approximate_r2(self.gamma)
        )
        loss, represent = losses.relativistic, None
        if wanted is not None:
            loss = losses.map_outputs(_score, loss)
            penalty = _on_scores(penalty)
            represent = partial(_represent, wanted, self.representation_weight)
        return GAN(
            generator=self.network(generator),
            discriminator=self.network(discriminator),
            generator_optimizer=optimizer(self.generator_rate),
            discriminator_optimizer=optimizer(1.0),
            loss=loss,
            inputs=draw if spec.classes is None else labeled(draw),
            real=lambda batch: batch[name][:, None],  # a picture is the same at all levels
            view=(without_labels if spec.classes is None else beside_labels)(self.show),
            penalty=penalty,
            discriminator_terms=represent,
        )

    def adam(self, rate: Scalar) -> optax.GradientTransformation:
        """Makes the optimizer of clipped gradients: here with a constant learning rate."""
        return optax.adam(rate, self.beta1, self.beta2)

    def representation(self, spec: DataSpec) -> Representation:
        """Returns what D's features of reals are to resemble, if `representation_weight` is not 0.

        Args:
            spec: what the examples look like.

        Raises:
            UserError: if the recipe has no such features for these examples, as here.
        """
        raise UserError(
            f"{self.name} has no features of real examples: leave representation_weight at 0"
        )

    def update(self, gan: GAN) -> Update:
        """Makes D's step, G's step, and moves the average of G (see `Recipe.update`)."""
        return chain(
            update_discriminator(gan),
            update_generator(gan),
            update_average(self.average_decay),
        )


def _score(outputs: PyTree) -> Scores:
    return outputs["score"]


def _on_scores(penalty: Penalty) -> Penalty:
    def on_scores(
        critic: Callable[[PyTree], PyTree], real: PyTree, fake: PyTree, keys: Key[Array, "B"]
    ) -> PerSample:
        return penalty(lambda example: _score(critic(example)), real, fake, keys)

    return on_scores


def _represent(wanted: Representation, weight: float, play: Play) -> PerSample:
    """How far D's features of reals are from those of another network."""
    features, found = wanted.features(play.batch), play.real_outputs
    apart = [terms.misalignment(found[name], target) for name, target in features.items()]
    return weight * jnp.stack(apart).sum(0)


def last_level(made: gat.Levels) -> Images:
    """Returns the picture that G ends with, `[B, H, W, C]` of `[B, L, H, W, C]`."""
    return made[:, -1]
