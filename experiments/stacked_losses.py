"""Which losses keep a thousand modes: R1 and R2 with plain and with relativistic scores.

    for recipe in stacked_relativistic stacked_plain stacked_relativistic_r1 stacked_plain_r1; do
        jaxgan population $recipe --import experiments/stacked_losses.py --members 3 \\
            --out runs/$recipe
        jaxgan evaluate runs/$recipe --import experiments/stacked_losses.py --num 26000 \\
            --metrics modes
    done

The data, the optimizer and the settings that burn in are those of `stacked_mnist_r3gan`; the
networks are small residual ones without normalization, for a CPU. docs/evaluation.md has
what came of the first two.

Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline" (2024), section
2.2: of 1,000 modes its small ResNet finds all with relativistic scores, R1 and R2, and 693 with
plain ones. With R1 alone, both diverge.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan import GAN, losses, penalties
from jaxgan.nn.layers import Conv, ConvTranspose
from jaxgan.penalties import Penalty
from jaxgan.recipes.recipe import Count, NonNegative, Positive
from jaxgan.recipes.stacked_mnist_r3gan import StackedMnistR3gan
from jaxgan.types import DataSpec, Images, Latents, Scalar, Scores

SLOPE = 0.2  # of leaky ReLU below zero

_he = nn.initializers.he_normal()


class Block(nn.Module):
    """A residual block, which begins as the identity."""

    @nn.compact
    def __call__(self, inputs: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Maps `[B, H, W, C]` to the same shape."""
        channels = inputs.shape[-1]
        x = Conv(channels, 3, kernel_init=_he)(nn.leaky_relu(inputs, SLOPE))
        zeros = nn.initializers.zeros
        return inputs + Conv(channels, 3, kernel_init=zeros)(nn.leaky_relu(x, SLOPE))


class Generator(nn.Module):
    """A dense layer, and residual blocks between transposed convolutions of stride 2."""

    shape: tuple[int, ...]  # of one image, (H, W, C); H and W divisible by 4
    channels: tuple[int, int] = (32, 16)  # at a quarter and at half of the size

    @nn.compact
    def __call__(self, latents: Latents, train: bool) -> Images:
        """Maps latents `[B, Z]` to images."""
        height, width, colors = self.shape
        low, middle = self.channels
        x = nn.Dense(height // 4 * (width // 4) * low, kernel_init=_he)(latents)
        x = Block()(x.reshape(-1, height // 4, width // 4, low))
        x = ConvTranspose(middle, 4, 2, kernel_init=_he)(nn.leaky_relu(x, SLOPE))
        x = ConvTranspose(colors, 4, 2, kernel_init=_he)(nn.leaky_relu(Block()(x), SLOPE))
        return jnp.tanh(x)


class Discriminator(nn.Module):
    """The same the other way around."""

    channels: tuple[int, int] = (16, 32)  # at half and at a quarter of the size

    @nn.compact
    def __call__(self, images: Images, train: bool) -> Scores:
        """Maps images `[B, H, W, C]` to logits `[B]`."""
        x = images
        for channels in self.channels:
            x = Block()(Conv(channels, 4, 2, kernel_init=_he)(x))
            x = nn.leaky_relu(x, SLOPE)
        return nn.Dense(1)(x.reshape(len(x), -1))[:, 0]


@dataclass(frozen=True, kw_only=True)
class Relativistic(StackedMnistR3gan):
    """R3GAN's losses with small networks: relativistic scores, R1 and R2."""

    name: ClassVar[str] = "stacked_relativistic"
    default_length: ClassVar = {"steps": 3000}
    presets: ClassVar = {}

    image_size: Count | None = None  # height and width of images; None for 28, those of MNIST
    batch_size: Count = 64  # real examples in one update of either player
    burn_in: Count = 150_000  # images that D sees until the settings have their last values
    learning_rate: tuple[Positive, Positive] = (1e-3, 1e-3)  # of Adam, both networks
    half_life: tuple[NonNegative, NonNegative] = (0.0, 16_000.0)  # of the average of G, in images

    def networks(self, spec: DataSpec) -> tuple[nn.Module, nn.Module]:
        """Makes G and D (see `R3ganRecipe.networks`)."""
        return Generator(spec.shape), Discriminator()


@dataclass(frozen=True, kw_only=True)
class RelativisticR1(Relativistic):
    """Relativistic scores with R1 alone."""

    name: ClassVar[str] = "stacked_relativistic_r1"

    def penalty(self, gamma: Scalar) -> Penalty:
        """Makes R1 (see `R3ganRecipe.penalty`)."""
        return penalties.r1(gamma)


@dataclass(frozen=True, kw_only=True)
class Plain(Relativistic):
    """Each score by itself, with R1 and R2."""

    name: ClassVar[str] = "stacked_plain"

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        return replace(super().gan(spec), loss=losses.non_saturating)


@dataclass(frozen=True, kw_only=True)
class PlainR1(Plain, RelativisticR1):
    """Each score by itself, with R1 alone."""

    name: ClassVar[str] = "stacked_plain_r1"
