"""DCGAN with batch norm in G alone and dropout in D.

Source: the Flux (Engee) tutorial, after Radford et al., "Unsupervised Representation Learning with
Deep Convolutional Generative Adversarial Networks" (2016).
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from jaxgan.nn.layers import Conv, ConvTranspose, Dropout, batch_norm
from jaxgan.types import Images, Latents, Scores

_glorot = nn.initializers.glorot_uniform()


class Generator(nn.Module):
    """A dense layer, then three transposed convolutions of strides 1, 2 and 2."""

    shape: tuple[int, int, int]  # of one image, (H, W, C); H and W divisible by 4
    channels: tuple[int, int, int] = (256, 128, 64)  # before each convolution
    init_deviation: float = 0.02  # standard deviation of the convolutions' first kernels
    momentum: float = 0.9  # of batch norm's running averages
    epsilon: float = 1e-5  # of batch norm

    @nn.compact
    def __call__(self, latents: Latents, train: bool) -> Images:
        """Maps latents `[B, Z]` to images `[B, H, W, C]` in [-1, 1]."""
        norm = batch_norm(self.momentum, self.epsilon, train)
        deconv = partial(
            ConvTranspose, use_bias=False, kernel_init=nn.initializers.normal(self.init_deviation)
        )
        height, width, channels = self.shape
        first, second, third = self.channels
        x = nn.Dense(height // 4 * (width // 4) * first, use_bias=False, kernel_init=_glorot)(
            latents
        )
        x = nn.relu(norm()(x))
        x = x.reshape(-1, height // 4, width // 4, first)
        x = nn.relu(norm()(deconv(second, 5, 1)(x)))
        x = nn.relu(norm()(deconv(third, 4, 2)(x)))
        return jnp.tanh(deconv(channels, 4, 2)(x))


class Discriminator(nn.Module):
    """Two convolutions of stride 2 with dropout, then a dense layer."""

    channels: tuple[int, ...] = (64, 128)  # of the convolutions
    slope: float = 0.2  # of leaky ReLU below zero
    dropout: float = 0.3  # probability to drop a value
    init_deviation: float = 0.02  # standard deviation of the convolutions' first kernels

    @nn.compact
    def __call__(self, images: Images, train: bool) -> Scores:
        """Maps images `[B, H, W, C]` to logits `[B]`."""
        init = nn.initializers.normal(self.init_deviation)
        x = images
        for channels in self.channels:
            x = Conv(channels, 4, 2, kernel_init=init)(x)
            x = nn.leaky_relu(x, self.slope)
            x = Dropout(self.dropout)(x, train)
        x = x.reshape(x.shape[0], -1)
        return nn.Dense(1, kernel_init=_glorot)(x)[:, 0]
