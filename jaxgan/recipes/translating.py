"""What the recipes share whose G makes pictures from pictures: jitter, held-out pictures, Adam."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import jax
import optax

from jaxgan import augment
from jaxgan.data import Feed, Mapped, first_examples, held_out
from jaxgan.data.mapped import BatchChange, Change
from jaxgan.keys import from_seed
from jaxgan.losses import Loss
from jaxgan.recipes.recipe import (
    Count,
    ImageRecipe,
    NonNegative,
    Positive,
    Share,
    require_learning,
)
from jaxgan.types import Batch, DataSpec, Scalar


@dataclass(frozen=True, kw_only=True)
class TranslatingRecipe(ImageRecipe):
    """A recipe whose G makes pictures from pictures.

    Samples are made from held-out pictures. The learning rate is constant at first, then falls to 0
    in a straight line.
    """

    of_data: ClassVar = ("jitter",)

    held_out: str | None = None  # data set to make samples from; by default a split test like data
    jitter: NonNegative = 30 / 256  # enlarge by this share, crop, mirror; 0: leave as they are
    learning_rate: Positive = 2e-4  # initial rate of Adam, both networks
    beta1: Share = 0.5  # of Adam
    decay_from: Count  # step from which the learning rate falls
    decay_steps: Count  # steps in which it falls to 0

    def total_steps(self, examples: int | None) -> int:
        """Computes the length of the run, which ends with the decay (see `Recipe.total_steps`)."""
        end = self.decay_from + self.decay_steps
        return require_learning(super().total_steps(examples), end)

    @property
    def origin(self) -> str:
        """The data set of the pictures that others are made from."""
        return self.data

    def jittered(self, feed: Feed, on: Callable[[Change], BatchChange]) -> Feed:
        """Adds jitter, if there is to be any, to images, `on_images`, or to pairs, `jointly`."""
        if not self.jitter:
            return feed
        return Mapped(feed, on(augment.of_batch(augment.jitter(self.jitter))))

    def examples(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens real examples without jitter (see `Recipe.examples`)."""
        return self.open(self.data, seed, data_dir)

    def conditions(self, count: int, spec: DataSpec, data_dir: str | None = None) -> Batch:
        """Returns held-out pictures as "source" (see `Recipe.conditions`)."""
        one_by_one = self.one_by_one()
        with jax.ensure_compile_time_eval():  # where samples are traced, these are constants
            feed = one_by_one.open(self.held_out or held_out(self.origin), 0, data_dir)
            batch = first_examples(feed, count, from_seed(0))
        return {"source": batch.get("source", batch["image"])}

    def adam(self) -> optax.GradientTransformation:
        """Makes the optimizer of either player."""
        rate = optax.linear_schedule(self.learning_rate, 0.0, self.decay_steps, self.decay_from)
        return optax.adam(rate, self.beta1)


def weighted(loss: Loss, weight: Scalar) -> Loss:
    """Makes a loss whose generator part counts several times, beside what else G pays.

    Args:
        loss: the loss.
        weight: of G's part; 0 leaves only the rest.

    Returns:
        The loss, with the same discriminator part.
    """
    return loss._replace(generator=lambda fake, real: weight * loss.generator(fake, real))
