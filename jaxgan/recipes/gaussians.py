"""The GAN of the PacGAN paper's experiments on points, which the recipes of mixtures share.

Source: Lin et al., "PacGAN: The Power of Two Samples in Generative Adversarial Networks" (2018),
section 3.1, and its code, https://github.com/fjxmlzn/PacGAN, `synthetic_data_experiments`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import latents, losses
from jaxgan.core.gan import GAN
from jaxgan.core.networks import in_packs
from jaxgan.core.updates import Update, update_both
from jaxgan.data import Drawn, Feed
from jaxgan.metrics.modes import Coverage, coverage_of_points
from jaxgan.models import maxout
from jaxgan.recipes.recipe import Count, Counts, NonNegative, Positive, Recipe, Share
from jaxgan.types import DataSpec, Images, PRNGKey
from jaxgan.util.errors import UserError

Points = tuple[tuple[float, float], ...]


def mixture(means: Points, deviation: float) -> Callable[[PRNGKey, int], Images]:
    """Makes a sampler of a mixture of equally likely isotropic Gaussians.

    Args:
        means: the mean of each.
        deviation: the standard deviation of each, in each direction.

    Returns:
        `(key, n) -> [n, 2]`, float32.
    """

    def draw(key: PRNGKey, n: int) -> Images:
        which, around = jax.random.split(key)
        modes = jax.random.randint(which, (n,), 0, len(means))
        return jnp.asarray(means)[modes] + deviation * jax.random.normal(around, (n, 2))

    return draw


@dataclass(frozen=True, kw_only=True)
class Gaussians(Recipe):
    """Learns a mixture of Gaussians in the plane: does a GAN find all modes?

    As in the paper's code, with three differences. The code steps both networks at once; here G
    steps after D, on the same latents. The code draws 100,000 points and goes through them 400
    times; here every point is new. Where the code packs, G's batch norm sees as many points at a
    time as there are packs; here it sees all of them.
    """

    default_length: ClassVar = {"steps": 400_000}
    means: ClassVar[Points]  # of the modes
    deviation: ClassVar[float]  # of each mode, in each direction

    batch_size: Count = 100  # packs of real examples in one update
    log_every: Count = 1000  # steps between two lines of metrics: an epoch of the source
    sample_every: Count = 20_000  # steps between two pictures of samples
    checkpoint_every: Count = 20_000  # steps between two checkpoints
    grid: tuple[Count, Count] = (50, 50)  # rows and columns of samples: 2,500 points
    packing: Count = 1  # examples in a pack, which D judges together; 2 to 4 in PacGAN
    latent_size: Count = 2  # dimensions of a latent, from N(0, 1)
    generator_widths: Counts = maxout.Generator.widths  # hidden units of G
    discriminator_widths: Counts = maxout.Discriminator.widths  # hidden units of D
    pieces: Count = maxout.Discriminator.pieces  # linear units in each of D's maxout units
    init_deviation: NonNegative = maxout.Generator.init_deviation  # of the initial kernels
    momentum: Share = maxout.Generator.momentum  # of batch norm's running statistics
    epsilon: NonNegative = maxout.Generator.epsilon  # of batch norm
    learning_rate: Positive = 1e-4  # of Adam, both networks
    beta1: Share = 0.8  # of Adam
    beta2: Share = 0.999  # of Adam

    @property
    def examples_per_step(self) -> int:
        """Number of real examples that one training step takes: a pack for each score."""
        return self.batch_size * self.packing

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Makes the source of points (see `Recipe.feed`)."""
        return Drawn(mixture(self.means, self.deviation), (2,), self.examples_per_step)

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        if len(spec.shape) != 1:
            raise UserError(f"{self.name} learns vectors, not examples of shape {spec.shape}")
        adam = optax.adam(self.learning_rate, self.beta1, self.beta2)
        generator = maxout.Generator(
            spec.shape[0], self.generator_widths, self.init_deviation, self.momentum, self.epsilon
        )
        discriminator = maxout.Discriminator(
            self.discriminator_widths, self.pieces, self.init_deviation
        )
        return GAN(
            generator=self.network(generator),
            discriminator=in_packs(self.network(discriminator), self.packing),
            generator_optimizer=adam,
            discriminator_optimizer=adam,
            loss=losses.non_saturating,
            inputs=latents.normal(self.latent_size),
        )

    def coverage(self, samples: np.ndarray) -> Coverage:
        """Measures which of the Gaussians the points cover (see `Recipe.coverage`)."""
        return coverage_of_points(samples, np.array(self.means, np.float32), self.deviation)

    def update(self, gan: GAN) -> Update:
        """Makes D's step and G's step on the same latents (see `Recipe.update`)."""
        return update_both(gan)
