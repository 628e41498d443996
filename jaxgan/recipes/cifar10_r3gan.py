"""R3GAN on CIFAR-10."""

from dataclasses import dataclass
from typing import ClassVar

from jax import Array

from jaxgan.augment import Augmentation, ada, compose, cutout, of_batch, sometimes
from jaxgan.core.state import GANState
from jaxgan.recipes.r3gan import R3ganRecipe
from jaxgan.recipes.recipe import Count, NonNegative, Positive, Share, require_classes
from jaxgan.types import DataSpec, Images, PRNGKey

COLOR_SHARE = 0.5  # of the probability, for each change of colors


@dataclass(frozen=True, kw_only=True)
class Cifar10R3gan(R3ganRecipe):
    """R3GAN on CIFAR-10: conditional, grouped convolutions, D sees augmented images.

    Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline" (2024), and
    its code's preset. Both players' networks compute in float32 (`--dtype bfloat16` is not the
    source's, which keeps the smallest size in float32), flips of reals are left out, and the
    squares that are cut out are those of DiffAugment.

    Command: `jaxgan train cifar10_r3gan`
    Expect: the source reports an FID of 1.96, of 50,000 fakes against the training images. For a
    GPU: its 250 million images have not been run here. `--preset small --data mnist
    --image-size 32` fits a laptop.
    """

    name: ClassVar[str] = "cifar10_r3gan"
    default_length: ClassVar = {"steps": 250_000_000 // 512}
    default_size: ClassVar = 32
    presets: ClassVar = {
        "small": {
            "steps": 3000,
            "batch_size": 64,
            "widths": (64, 64, 32, 16),
            "blocks": 1,
            "burn_in": 150_000,
            "learning_rate": (1e-3, 2.5e-4),
            "half_life": (0.0, 16_000.0),
        }
    }

    data: str = "tfds:cifar10"  # mnist, openmoji, faces, tfds:NAME, folder:PATH; @SPLIT may follow
    batch_size: Count = 512  # real examples in one update of either player
    burn_in: Count = 20_000_000  # images that D sees until the settings have their last values
    learning_rate: tuple[Positive, Positive] = (2e-4, 5e-5)  # of Adam, both networks
    gamma: tuple[NonNegative, NonNegative] = (0.05, 0.005)  # of R1 and of R2
    half_life: tuple[NonNegative, NonNegative] = (0.0, 5e6)  # of the average of G, in images
    augmentation: tuple[Share, Share] = (0.0, 0.55)  # probability of each change of what D sees

    def classes(self, spec: DataSpec) -> int | None:
        """Returns the number of classes (see `R3ganRecipe.classes`)."""
        return require_classes(spec)

    def augment(self, p: Array) -> Augmentation:
        """Makes what D's images are augmented by: each change with probability p, a scalar."""
        return compose(ada.geometry(p), ada.color(COLOR_SHARE * p), sometimes(cutout(), p))

    def show(self, images: Images, key: PRNGKey, state: GANState) -> Images:
        """Returns augmented images (see `R3ganRecipe.show`)."""
        p = self.burning(self.augmentation)(state.step)
        return of_batch(self.augment(p))(images, key)
