"""StyleGAN2 with adaptive augmentation on CIFAR-10."""

from dataclasses import dataclass
from typing import ClassVar

from jaxgan.augment import bgc, of_batch
from jaxgan.core.combinators import chain
from jaxgan.core.gan import GAN
from jaxgan.core.overfitting import adapt_probability
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update
from jaxgan.models import stylegan2
from jaxgan.recipes.recipe import Count, Counts, NonNegative, Share, require_classes
from jaxgan.recipes.stylegan2 import StyleGan2Recipe
from jaxgan.types import DataSpec, Images, PRNGKey


@dataclass(frozen=True, kw_only=True)
class Cifar10StyleGan2(StyleGan2Recipe):
    """StyleGAN2 with ADA on CIFAR-10: conditional, D sees augmented images.

    Source: Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020), and
    its code's setting `cifar`. Networks compute in float32, and flips of reals are left out.

    Command: `jaxgan train cifar10_stylegan2`
    Expect: the source reports an Inception score of 10.14 and an FID of 2.42. For a GPU: its 100
    million images have not been run here. `--preset small --data mnist` fits a laptop: after
    1,500 of its 4,000 steps, of 0.4 s on one CPU core, most digits can be read, and those of a
    class vary (seed 0).
    """

    name: ClassVar[str] = "cifar10_stylegan2"
    default_length: ClassVar = {"steps": 100_000_000 // 64}
    default_size: ClassVar = 32
    block: ClassVar = stylegan2.CIFAR.discriminator.block
    presets: ClassVar = {
        "small": {
            "steps": 4000,
            "latent_size": 64,
            "style_size": 64,
            "widths": (64, 32, 16),
            "gamma": 5.0,
            "half_life": 16_000.0,
        }
    }

    data: str = "tfds:cifar10"  # mnist, openmoji, faces, tfds:NAME, folder:PATH; @SPLIT may follow
    latent_size: Count = 512  # dimensions of a latent, from N(0, 1)
    style_size: Count = stylegan2.CIFAR.generator.style_size  # of a style, and of mapping's layers
    mapping_depth: Count = stylegan2.CIFAR.generator.mapping_depth  # layers of the mapping
    widths: Counts = stylegan2.CIFAR.generator.widths  # channels of each size, smallest first
    mixing: Share = 0.0  # probability that a batch of training has styles of two latents
    group: Count = stylegan2.CIFAR.discriminator.group  # examples whose standard deviation D sees
    gamma: NonNegative = 0.01  # of R1
    half_life: NonNegative = 500_000.0  # of the average of G, in images
    target: Share = 0.6  # mean sign of D's scores of reals, which augmentation is to keep

    def classes(self, spec: DataSpec) -> int | None:
        """Returns the number of classes (see `StyleGan2Recipe.classes`)."""
        return require_classes(spec)

    def show(self, images: Images, key: PRNGKey, state: GANState) -> Images:
        """Returns augmented images (see `StyleGan2Recipe.show`)."""
        return of_batch(bgc(state.extra["p"]))(images, key)

    def update(self, gan: GAN) -> Update:
        """Makes the steps of StyleGAN2, and moves the probability (see `Recipe.update`)."""
        return chain(super().update(gan), adapt_probability(gan, self.target))
