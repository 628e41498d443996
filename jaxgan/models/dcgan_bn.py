"""DCGAN with batch norm in both networks.

Source: CNTK tutorial 206B. Its prose says tanh and [-1, 1], its code sigmoid and [0, 1]; the code
stands.
"""

import jax
from flax import linen as nn

from jaxgan.nn.layers import Conv, ConvTranspose, batch_norm
from jaxgan.types import Images, Latents, Scores


class Generator(nn.Module):
    """Two dense layers, then two transposed convolutions of stride 2."""

    shape: tuple[int, int, int]  # of one image, (H, W, C); H and W divisible by 4
    width: int = 1024  # units of the first dense layer
    channels: tuple[int, int] = (128, 128)  # at a quarter and at half of the size
    init_deviation: float = 0.02  # standard deviation of the first kernels
    momentum: float = 0.975  # of batch norm's running averages
    epsilon: float = 1e-5  # of batch norm

    @nn.compact
    def __call__(self, latents: Latents, train: bool) -> Images:
        """Maps latents `[B, Z]` to images `[B, H, W, C]` in [0, 1]."""
        norm = batch_norm(self.momentum, self.epsilon, train)
        init = nn.initializers.normal(self.init_deviation)
        height, width, channels = self.shape
        low, middle = self.channels
        x = nn.relu(norm()(nn.Dense(self.width, kernel_init=init)(latents)))
        x = nn.Dense(height // 4 * (width // 4) * low, kernel_init=init)(x)
        x = nn.relu(norm()(x.reshape(-1, height // 4, width // 4, low)))
        x = nn.relu(norm()(ConvTranspose(middle, 5, 2, kernel_init=init)(x)))
        return jax.nn.sigmoid(ConvTranspose(channels, 5, 2, kernel_init=init)(x))


class Discriminator(nn.Module):
    """Two convolutions of stride 2 and a dense layer, all with batch norm, then a dense layer."""

    channels: tuple[int, ...] = (1, 64)  # of the convolutions
    width: int = 1024  # units of the hidden dense layer
    slope: float = 0.2  # of leaky ReLU below zero
    init_deviation: float = 0.02  # standard deviation of the first kernels
    momentum: float = 0.975  # of batch norm's running averages
    epsilon: float = 1e-5  # of batch norm

    @nn.compact
    def __call__(self, images: Images, train: bool) -> Scores:
        """Maps images `[B, H, W, C]` to logits `[B]`."""
        norm = batch_norm(self.momentum, self.epsilon, train)
        init = nn.initializers.normal(self.init_deviation)
        x = images
        for channels in self.channels:
            x = Conv(channels, 5, 2, "VALID", kernel_init=init)(x)
            x = nn.leaky_relu(norm()(x), self.slope)
        x = x.reshape(x.shape[0], -1)
        x = nn.leaky_relu(norm()(nn.Dense(self.width, kernel_init=init)(x)), self.slope)
        return nn.Dense(1, kernel_init=init)(x)[:, 0]
