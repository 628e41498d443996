"""Fully connected networks for images of any shape.

Source: the MindSpore GAN tutorial. Its prose gives G's first layer a batch norm, its code does not;
the code stands.
"""

import math

import jax.numpy as jnp
from flax import linen as nn

from jaxgan.nn.layers import FanInDense, batch_norm
from jaxgan.types import Images, Latents, Scores


class Generator(nn.Module):
    """Dense layers that widen from latents to pixels, batch norm from the second layer on."""

    shape: tuple[int, ...]  # of one image, (H, W, C)
    widths: tuple[int, ...] = (128, 256, 512, 1024)  # hidden units
    momentum: float = 0.9  # of batch norm's running averages
    epsilon: float = 1e-5  # of batch norm

    @nn.compact
    def __call__(self, latents: Latents, train: bool) -> Images:
        """Maps latents `[B, Z]` to images `[B, *shape]` in [-1, 1]."""
        norm = batch_norm(self.momentum, self.epsilon, train)
        first, *rest = self.widths
        x = nn.relu(FanInDense(first)(latents))
        for width in rest:
            x = nn.relu(norm()(FanInDense(width)(x)))
        x = jnp.tanh(FanInDense(math.prod(self.shape))(x))
        return x.reshape(-1, *self.shape)


class Discriminator(nn.Module):
    """Dense layers that narrow from pixels to a score."""

    widths: tuple[int, ...] = (512, 256)  # hidden units
    slope: float = 0.2  # of leaky ReLU below zero

    @nn.compact
    def __call__(self, images: Images, train: bool) -> Scores:
        """Maps images `[B, H, W, C]` to logits `[B]`."""
        x = images.reshape(images.shape[0], -1)
        for width in self.widths:
            x = nn.leaky_relu(FanInDense(width)(x), self.slope)
        return FanInDense(1)(x)[:, 0]
