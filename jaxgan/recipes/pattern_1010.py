"""Learn the pattern 1-0-1-0: the smallest GAN there is.

Source: the PyTorch tutorial after T. Rashid, "Make Your First GAN with PyTorch" (2020), chapter 2.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax

from jaxgan import losses
from jaxgan.core.combinators import chain
from jaxgan.core.gan import GAN
from jaxgan.core.updates import Update, update_discriminator, update_generator
from jaxgan.data import Drawn, Feed
from jaxgan.models import sigmoid_mlp
from jaxgan.recipes.recipe import Count, Positive, Recipe
from jaxgan.types import Batch, DataSpec, Images, Latents, PRNGKey
from jaxgan.util.errors import UserError

LOW = (0.8, 0.0, 0.8, 0.0)
HIGH = (1.0, 0.2, 1.0, 0.2)


def draw_real(key: PRNGKey, n: int) -> Images:
    """Draws real patterns: U(0.8, 1), U(0, 0.2), U(0.8, 1), U(0, 0.2).

    Args:
        key: a typed key.
        n: how many.

    Returns:
        `[n, 4]`, float32.
    """
    return jax.random.uniform(key, (n, 4), minval=jnp.array(LOW), maxval=jnp.array(HIGH))


def constant_latents(key: PRNGKey, n: int, batch: Batch | None = None) -> Latents:
    """Makes the generator's only input, the constant 0.5.

    Args:
        key: not used.
        n: how many.
        batch: not used.

    Returns:
        `[n, 1]`, float32.
    """
    return jnp.full((n, 1), 0.5)


@dataclass(frozen=True, kw_only=True)
class Pattern1010(Recipe):
    """Learns to write 1-0-1-0: four numbers, two tiny networks, plain SGD on squared errors.

    Source: the PyTorch tutorial after "Make Your First GAN with PyTorch". One step trains D on a
    real pattern, then D on G(0.5), then G through the updated D. As in the source, the loss is
    logged every 10th time that D is trained, which is every 5th step.

    Command: `jaxgan train pattern_1010`
    Expect: both losses near 0.25 (D cannot tell and answers 0.5), G's output near
    (0.92, 0.06, 0.92, 0.06), in 5 seconds on 2 CPU cores.
    """

    name: ClassVar[str] = "pattern_1010"
    default_length: ClassVar = {"steps": 10_000}

    batch_size: Count = 1  # real examples in one update
    log_every: Count = 5  # steps between two lines of metrics
    sample_every: Count = 1000  # steps between two records of the pattern
    checkpoint_every: Count = 10_000  # steps between two checkpoints
    grid: tuple[Count, Count] = (1, 1)  # rows and columns of a picture of samples
    width: Count = sigmoid_mlp.Generator.width  # hidden units of both networks
    learning_rate: Positive = 0.01  # of SGD, both networks

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Makes the source of patterns (see `Recipe.feed`)."""
        return Drawn(draw_real, (4,), self.batch_size)

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        if len(spec.shape) != 1:
            raise UserError(f"{self.name} learns vectors, not examples of shape {spec.shape}")
        return GAN(
            generator=self.network(sigmoid_mlp.Generator(spec.shape[0], self.width)),
            discriminator=self.network(sigmoid_mlp.Discriminator(self.width)),
            generator_optimizer=optax.sgd(self.learning_rate),
            discriminator_optimizer=optax.sgd(self.learning_rate),
            loss=losses.from_logits(losses.least_squares),
            inputs=constant_latents,
        )

    def update(self, gan: GAN) -> Update:
        """Makes D's step on reals, D's step on fakes and G's step (see `Recipe.update`)."""
        return chain(
            update_discriminator(gan, on="real"),
            update_discriminator(gan, on="fake"),
            update_generator(gan),
        )
