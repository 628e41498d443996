"""What the parts of GAT do on MNIST: the small GAT without one of them, over several seeds.

    for recipe in mnist_gat gat_without_guidance gat_exact_penalties; do
        jaxgan population $recipe --import experiments/gat_ablations.py --members 2 --steps 1500 \\
            --representation-weight 0 --cooldown 2147483647 --out runs/$recipe
        jaxgan evaluate runs/$recipe --import experiments/gat_ablations.py --num 2000
    done

The width rule is a setting: the learning rate is that of a width of 768, so twice as much at a
width of 192 is what a width of 96 has.

    jaxgan population mnist_gat --width 192 --sweep learning_rate=2e-4,4e-4 --members 2 \\
        --steps 1500 --representation-weight 0 --cooldown 2147483647

Learning rates stay as they are, with such a cooldown, and D has no features of the digit network,
which measures samples too.

docs/evaluation.md has what came of it.

Source: Hyun et al., "Scalable GANs with Transformers" (2025), whose ablations are of ImageNet.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from jaxgan import GAN, GANState, penalties
from jaxgan.models.gat import Levels
from jaxgan.recipes.mnist_gat import MnistGat
from jaxgan.types import DataSpec, PRNGKey


@dataclass(frozen=True, kw_only=True)
class WithoutGuidance(MnistGat):
    """The small GAT without guidance at several levels: D sees the picture that G ends with."""

    name: ClassVar[str] = "gat_without_guidance"

    def show(self, levels: Levels, key: PRNGKey, state: GANState) -> Levels:
        """Returns the last level of each example, without noise (see `GatRecipe.show`)."""
        return levels[:, -1:]


@dataclass(frozen=True, kw_only=True)
class ExactPenalties(MnistGat):
    """The small GAT with R1 and R2 themselves, which take second derivatives."""

    name: ClassVar[str] = "gat_exact_penalties"

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        exact = penalties.total(penalties.r1(self.gamma), penalties.r2(self.gamma))
        return replace(super().gan(spec), penalty=exact)
