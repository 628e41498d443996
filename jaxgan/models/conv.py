"""Convolutional networks with max-pooling in D, and batch norm after the ReLU in G.

With `classes`, G has conditional batch norm and D a projection, neither of which the tutorial has.

Sources: the TensorFlow 1 tutorial after Stanford's CS231n, assignment 3; Miyato and Koyama, "cGANs
with Projection Discriminator" (2018), equation 3 and section 4.
"""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaxgan.nn.labels import Embed, Labels, is_conditional
from jaxgan.nn.layers import Conv, ConvTranspose, batch_norm, max_pool
from jaxgan.nn.normalization import ConditionalBatchNorm, table
from jaxgan.types import Images, Latents, Scores

_glorot = nn.initializers.glorot_uniform()


class Generator(nn.Module):
    """Two dense layers, then two transposed convolutions of stride 2."""

    shape: tuple[int, int, int]  # of one image, (H, W, C); H and W divisible by 4
    width: int = 1024  # units of the first dense layer
    channels: tuple[int, int] = (128, 64)  # at a quarter and at half of the size
    momentum: float = 0.99  # of batch norm's running averages
    epsilon: float = 1e-3  # of batch norm
    classes: int | None = None  # of labels; None for an unconditional generator

    @nn.compact
    def __call__(self, latents: Latents, labels: Labels | None = None, *, train: bool) -> Images:
        """Maps latents `[B, Z]`, with labels `[B]` if conditional, to images in [-1, 1]."""
        norm = batch_norm(self.momentum, self.epsilon, train)
        condition = () if labels is None else (labels,)

        def normalize(x: Array) -> Array:
            if not is_conditional(self.classes, labels):
                return norm()(x)
            gain = table(self.classes, nn.initializers.ones)
            bias = table(self.classes, nn.initializers.zeros)
            by_label = ConditionalBatchNorm(gain, bias, train, self.momentum, self.epsilon)
            return by_label(x, *condition)

        height, width, channels = self.shape
        low, middle = self.channels
        x = nn.Dense(self.width, kernel_init=_glorot)(latents)
        x = normalize(nn.relu(x))
        x = nn.Dense(height // 4 * (width // 4) * low, kernel_init=_glorot)(x)
        x = normalize(nn.relu(x))
        x = x.reshape(-1, height // 4, width // 4, low)
        x = normalize(nn.relu(ConvTranspose(middle, 4, 2, kernel_init=_glorot)(x)))
        return jnp.tanh(ConvTranspose(channels, 4, 2, kernel_init=_glorot)(x))


class Discriminator(nn.Module):
    """Two convolutions, each max-pooled, then two dense layers."""

    channels: tuple[int, int] = (32, 64)  # of the two convolutions
    width: int = 1024  # units of the hidden dense layer
    slope: float = 0.01  # of leaky ReLU below zero
    classes: int | None = None  # of labels; None for an unconditional discriminator

    @nn.compact
    def __call__(self, images: Images, labels: Labels | None = None, *, train: bool) -> Scores:
        """Maps images `[B, H, W, C]`, with labels `[B]` if conditional, to logits `[B]`."""
        x = images
        for channels in self.channels:
            x = Conv(channels, 5, padding="VALID", kernel_init=_glorot)(x)
            x = max_pool(nn.leaky_relu(x, self.slope), 2)
        x = x.reshape(x.shape[0], -1)
        x = nn.leaky_relu(nn.Dense(self.width, kernel_init=_glorot)(x), self.slope)
        scores = nn.Dense(1, kernel_init=_glorot)(x)[:, 0]
        if is_conditional(self.classes, labels):
            scores += (x * Embed(self.classes, self.width)(labels)).sum(-1)
        return scores
