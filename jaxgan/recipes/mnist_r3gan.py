"""A small R3GAN on MNIST."""

from dataclasses import dataclass
from typing import ClassVar

from jaxgan.recipes.r3gan import R3ganRecipe
from jaxgan.recipes.recipe import Count, Counts, NonNegative, Positive


@dataclass(frozen=True, kw_only=True)
class MnistR3gan(R3ganRecipe):
    """A small R3GAN on MNIST: grouped convolutions of 28 x 28 pixels, no normalization.

    Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline" (2024).
    Widths, depth, learning rate, gamma and length are our own, for half an hour on 2 CPU cores.

    Command: `jaxgan train mnist_r3gan`
    Expect: digits of all kinds, a tenth of them illegible, after its 2,000 steps of 1.8 s on
    one CPU core (seed 0): a Frechet distance of 4.9 (10,000 samples, digit network), precision 0.70
    and recall 0.44. After 1,000 steps the distance is 11.
    """

    name: ClassVar[str] = "mnist_r3gan"
    default_length: ClassVar = {"steps": 2000}

    batch_size: Count = 64  # real examples in one update of either player
    log_every: Count = 50  # steps between two lines of metrics
    sample_every: Count = 250  # steps between two pictures of samples
    checkpoint_every: Count = 500  # steps between two checkpoints
    widths: Counts = (64, 32, 16)  # channels of each size, from the smallest up
    blocks: Count = 1  # of each size
    burn_in: Count = 100_000  # images that D sees until the settings have their last values
    learning_rate: tuple[Positive, Positive] = (3e-3, 3e-4)  # of Adam, both networks
    gamma: tuple[NonNegative, NonNegative] = (1.0, 0.1)  # of R1 and of R2
    half_life: tuple[NonNegative, NonNegative] = (0.0, 16_000.0)  # of the average of G, in images
