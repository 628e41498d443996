"""The smallest networks that can learn a pattern: one hidden layer of sigmoids.

Source: the PyTorch tutorial after T. Rashid, "Make Your First GAN with PyTorch" (2020), chapter 2.
"""

import jax
from flax import linen as nn

from jaxgan.nn.layers import FanInDense
from jaxgan.types import Images, Latents, Scores


class Generator(nn.Module):
    """Latents -> hidden sigmoids -> sigmoids."""

    size: int  # numbers in one example
    width: int = 3  # hidden units

    @nn.compact
    def __call__(self, latents: Latents, train: bool, axis_name: str | None = None) -> Images:
        """Maps latents `[B, Z]` to vectors `[B, size]` in [0, 1]."""
        hidden = jax.nn.sigmoid(FanInDense(self.width)(latents))
        return jax.nn.sigmoid(FanInDense(self.size)(hidden))


class Discriminator(nn.Module):
    """Vector -> hidden sigmoids -> probability of being real."""

    width: int = 3  # hidden units

    @nn.compact
    def __call__(self, images: Images, train: bool, axis_name: str | None = None) -> Scores:
        """Maps vectors `[B, D]` to probabilities `[B]`."""
        hidden = jax.nn.sigmoid(FanInDense(self.width)(images))
        return jax.nn.sigmoid(FanInDense(1)(hidden))[:, 0]
