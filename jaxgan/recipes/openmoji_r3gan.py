"""R3GAN on OpenMoji."""

from dataclasses import dataclass
from typing import ClassVar

from jax import Array

from jaxgan.augment import Augmentation, color, compose, cutout, sometimes, translation
from jaxgan.recipes.cifar10_r3gan import Cifar10R3gan
from jaxgan.recipes.recipe import Count, Counts, NonNegative, Positive, Share


@dataclass(frozen=True, kw_only=True)
class OpenmojiR3gan(Cifar10R3gan):
    """A small R3GAN on emoji in color: conditional, D sees augmented images.

    Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline" (2024). Sizes,
    schedules and the probability of augmentations, for 4,150 images, are our own.

    Command: `jaxgan train openmoji_r3gan`; `--image-size 64` on a GPU
    Expect: people, faces, flags and things in the lines and colors of emoji, few of which one could
    name, after its 4,000 steps of 0.8 s on one idle CPU core (seed 0). In pixels, they have a
    Frechet distance of 70 (4,000 samples; 11 between real emoji; 87 after 2,000 steps), a precision
    of 0.47 and a recall of 0.02, and are no copies: their authenticity is 0.94, that of held-out
    emoji 0.74. At this price `openmoji_cgan` is better: 43.
    """

    name: ClassVar[str] = "openmoji_r3gan"
    default_length: ClassVar = {"steps": 4000}
    presets: ClassVar = {}

    data: str = "openmoji"  # mnist, openmoji, faces, tfds:NAME, folder:PATH; @SPLIT may follow
    image_size: Count | None = 32  # resize images to this height and width
    batch_size: Count = 32  # real examples in one update of either player
    log_every: Count = 50  # steps between two lines of metrics
    sample_every: Count = 250  # steps between two pictures of samples
    checkpoint_every: Count = 500  # steps between two checkpoints
    grid: tuple[Count, Count] = (8, 12)  # rows and columns of a picture of samples
    widths: Counts = (128, 64, 32, 16)  # channels of each size, from the smallest up
    blocks: Count = 1  # of each size
    burn_in: Count = 48_000  # images that D sees until the settings have their last values
    learning_rate: tuple[Positive, Positive] = (3e-3, 3e-4)  # of Adam, both networks
    gamma: tuple[NonNegative, NonNegative] = (1.0, 0.1)  # of R1 and of R2
    half_life: tuple[NonNegative, NonNegative] = (0.0, 8000.0)  # of the average of G, in images
    augmentation: tuple[Share, Share] = (0.0, 0.3)  # probability of each change of what D sees

    def augment(self, p: Array) -> Augmentation:
        """Makes DiffAugment's changes, which cost a CPU less (see `Cifar10R3gan.augment`)."""
        return compose(*(sometimes(change, p) for change in (translation(), color(), cutout())))
