"""R3GAN on Stacked MNIST."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from jaxgan.data import Feed
from jaxgan.metrics.modes import Coverage
from jaxgan.recipes.r3gan import R3ganRecipe
from jaxgan.recipes.recipe import Count, NonNegative, Positive
from jaxgan.recipes.stacked_mnist import coverage_of_stacked, stack


@dataclass(frozen=True, kw_only=True)
class StackedMnistR3gan(R3ganRecipe):
    """R3GAN of a random digit in each of three channels: 1,000 modes to find.

    Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline" (2024), table
    9. It does not say how digits become 32 x 32 pixels; here they are resized.

    Command: `jaxgan train stacked_mnist_r3gan`
    Expect: the source reports all 1,000 modes and a reverse KL of 0.029, by a classifier of its
    own. For a GPU: its 10 million images have not been run here. `--preset small` fits a laptop.
    """

    name: ClassVar[str] = "stacked_mnist_r3gan"
    default_length: ClassVar = {"steps": 10_000_000 // 512}
    presets: ClassVar = {
        "small": {
            "steps": 3000,
            "image_size": 28,
            "batch_size": 64,
            "widths": (64, 32, 16),
            "blocks": 1,
            "burn_in": 150_000,
            "learning_rate": (1e-3, 1e-3),
            "half_life": (0.0, 16_000.0),
        }
    }

    image_size: Count | None = 32  # resize images to this height and width
    batch_size: Count = 512  # real examples in one update of either player
    burn_in: Count = 2_000_000  # images that D sees until the settings have their last values
    learning_rate: tuple[Positive, Positive] = (2e-4, 2e-4)  # of Adam, both networks
    gamma: tuple[NonNegative, NonNegative] = (1.0, 0.1)  # of R1 and of R2
    half_life: tuple[NonNegative, NonNegative] = (0.0, 5e5)  # of the average of G, in images

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Stacks the pictures of the data set (see `Recipe.feed`)."""
        return stack(super().feed(seed, data_dir), self)

    def coverage(self, samples: np.ndarray) -> Coverage | None:
        """Measures which combinations of digits the images cover (see `Recipe.coverage`)."""
        return coverage_of_stacked(samples)
