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
    def __call__(self, latents: Latents, train: bool) -> Images:
        """Maps latents `[B, Z]` to vectors `[B, size]` in [0, 1]."""
        hidden = jax.nn.sigmoid(FanInDense(self.width)(latents))
        return jax.nn.sigmoid(FanInDense(self.size)(hidden))


class Discriminator(nn.Module):
    """Vector -> hidden sigmoids -> score."""

    width: int = 3  # hidden units

    @nn.compact
    def __call__(self, images: Images, train: bool) -> Scores:
        """Maps vectors `[B, D]` to logits `[B]`."""
        hidden = jax.nn.sigmoid(FanInDense(self.width)(images))
        return FanInDense(1)(hidden)[:, 0]
