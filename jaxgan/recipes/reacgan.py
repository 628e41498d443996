"""ReACGAN on CIFAR-10.

Source: Kang et al., "Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training" (2021).
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from flax import linen as nn

from jaxgan import losses, terms
from jaxgan.core.gan import GAN, Play
from jaxgan.nn import heads
from jaxgan.recipes.cifar10_biggan import SMALL, Cifar10Biggan
from jaxgan.recipes.recipe import Count, NonNegative, Positive, Share
from jaxgan.types import DataSpec, PerSample, PyTree


@dataclass(frozen=True, kw_only=True)
class ReacGan(Cifar10Biggan):
    """ReACGAN on CIFAR-10: BigGAN's networks; D places images near proxies of their classes.

    Source: Kang et al., "Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training" (2021),
    with StudioGAN's settings for CIFAR-10; the D2D-CE term is the paper's (see
    `jaxgan.terms.data_to_data`). Flips of reals are left out.

    Command: `jaxgan train reacgan`
    Expect: StudioGAN reports an FID of 3.87, of its best checkpoint and 50,000 fakes against 50,000
    training images. For a GPU: its 100,000 steps have not been run here. `--preset small --data
    mnist` fits a laptop.
    """

    name: ClassVar[str] = "reacgan"
    presets: ClassVar = {"small": SMALL | {"batch_size": 64, "learning_rate": 2e-4}}

    batch_size: Count = 128  # real examples in one update
    learning_rate: Positive = 2.8284e-4  # of Adam, both networks
    embedding_size: Count = heads.Contrastive.size  # dimensions of embeddings and proxies
    term_weight: NonNegative = 0.5  # of the D2D-CE term
    temperature: Positive = 0.5  # of the term
    margin: Share = 0.98  # of proxies, in the term

    def head(self, classes: int) -> nn.Module:
        """Makes D's head."""
        return heads.Contrastive(classes, self.embedding_size, nn.initializers.orthogonal())

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""

        def term(outputs: PyTree, play: Play) -> PerSample:
            return self.term_weight * terms.data_to_data(
                outputs["embedding"],
                outputs["proxies"],
                play.batch["label"],
                self.temperature,
                self.margin,
            )

        return replace(
            super().gan(spec),
            loss=losses.map_outputs(lambda outputs: outputs["score"], losses.hinge),
            discriminator_terms=lambda play: term(play.real_outputs, play),
            generator_terms=lambda play: term(play.fake_outputs, play),
        )
