"""InfoGAN: G is given codes besides its latent, and D has a head that reads them off images.

Source: Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing
Generative Adversarial Nets" (2016), appendix C.1, the networks for MNIST. Its G ends without an
activation; here in tanh.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxgan.nn.labels import Labels, one_hot
from jaxgan.nn.layers import Conv, ConvTranspose, batch_norm
from jaxgan.types import Images, Latents

_normal = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """Two dense layers, then two transposed convolutions of stride 2."""

    shape: tuple[int, int, int]  # of one image, (H, W, C); H and W divisible by 4
    categories: int = 10  # of the categorical code
    width: int = 1024  # units of the first dense layer
    channels: tuple[int, int] = (128, 64)  # at a quarter and at half of the size
    momentum: float = 0.9  # of batch norm's running averages
    epsilon: float = 1e-3  # of batch norm

    @nn.compact
    def __call__(
        self, latents: Latents, category: Labels, codes: Float[Array, "B C"], train: bool
    ) -> Images:
        """Maps latents `[B, Z]`, a category `[B]` and codes `[B, C]` to images in [-1, 1]."""
        norm = batch_norm(self.momentum, self.epsilon, train)
        height, width, channels = self.shape
        low, middle = self.channels
        chosen = one_hot(category, self.categories, dtype=latents.dtype)
        x = jnp.concatenate([latents, chosen, codes], -1)
        x = nn.relu(norm()(nn.Dense(self.width, kernel_init=_normal)(x)))
        x = nn.Dense(height // 4 * (width // 4) * low, kernel_init=_normal)(x)
        x = nn.relu(norm()(x.reshape(-1, height // 4, width // 4, low)))
        x = nn.relu(norm()(ConvTranspose(middle, 4, 2, kernel_init=_normal)(x)))
        return jnp.tanh(ConvTranspose(channels, 4, 2, kernel_init=_normal)(x))


class Discriminator(nn.Module):
    """Two convolutions of stride 2 and a dense layer; then a score, and what it reads of codes."""

    categories: int = 10  # of the categorical code
    codes: int = 2  # continuous codes
    channels: tuple[int, int] = (64, 128)  # of the convolutions
    width: int = 1024  # units of the hidden dense layer
    reading: int = 128  # units of the layer from which codes are read
    slope: float = 0.1  # of leaky ReLU below zero
    momentum: float = 0.9  # of batch norm's running averages
    epsilon: float = 1e-3  # of batch norm

    @nn.compact
    def __call__(self, images: Images, train: bool) -> dict[str, Array]:
        """Reads images `[B, H, W, C]`.

        Returns:
            "score", logits `[B]`; "category", logits `[B, K]`; "codes", means `[B, C]`.
        """
        norm = batch_norm(self.momentum, self.epsilon, train)
        first, second = self.channels
        x = nn.leaky_relu(Conv(first, 4, 2, kernel_init=_normal)(images), self.slope)
        x = nn.leaky_relu(norm()(Conv(second, 4, 2, kernel_init=_normal)(x)), self.slope)
        x = x.reshape(len(x), -1)
        x = nn.leaky_relu(norm()(nn.Dense(self.width, kernel_init=_normal)(x)), self.slope)
        score = nn.Dense(1, kernel_init=_normal)(x)[:, 0]
        x = nn.leaky_relu(norm()(nn.Dense(self.reading, kernel_init=_normal)(x)), self.slope)
        category = nn.Dense(self.categories, kernel_init=_normal)(x)
        return {
            "score": score,
            "category": category,
            "codes": nn.Dense(self.codes, kernel_init=_normal)(x),
        }
