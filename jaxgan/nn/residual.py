"""Residual blocks of generators and discriminators, with activations before the convolutions.

Sources: Gulrajani et al., "Improved Training of Wasserstein GANs" (2017); Miyato et al., "Spectral
Normalization for Generative Adversarial Networks" (2018), tables 4 to 6; Brock et al., "Large Scale
GAN Training for High Fidelity Natural Image Synthesis" (2019), appendix B; and the code of each.
"""

from collections.abc import Callable

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.nn.layers import Conv, Initializer

# Glorot's, times sqrt(2) for convolutions of 3 x 3 within blocks.
glorot = nn.initializers.glorot_uniform()
inner_glorot = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")


def double(images: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Doubles height and width by repeating each pixel.

    Args:
        images: `[B, H, W, C]`.

    Returns:
        `[B, 2 H, 2 W, C]`.
    """
    batch, height, width, channels = images.shape
    apart = images[:, :, None, :, None]
    repeated = jnp.broadcast_to(apart, (batch, height, 2, width, 2, channels))
    return repeated.reshape(batch, 2 * height, 2 * width, channels)


def halve(images: Float[Array, "B H W C"]) -> Float[Array, "B P Q C"]:
    """Halves height and width by averaging squares of 2 x 2 pixels.

    Args:
        images: `[B, H, W, C]`. A row or column that is left over is left out.

    Returns:
        `[B, H // 2, W // 2, C]`.
    """
    batch, height, width, channels = images.shape
    rows, columns = height // 2, width // 2
    fitting = images[:, : 2 * rows, : 2 * columns]
    return fitting.reshape(batch, rows, 2, columns, 2, channels).mean((2, 4))


def keep(images: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """Keeps images as they are.

    Args:
        images: `[B, H, W, C]`.

    Returns:
        The same.
    """
    return images


class GeneratorBlock(nn.Module):
    """Doubles the size: twice a normalization, ReLU and a convolution; and a linear shortcut."""

    features: int  # output channels
    norm: Callable[[], Callable[..., Array]]  # makes normalizations of inputs and conditions
    wrap: Callable[[nn.Module], nn.Module] = lambda layer: layer  # of all other layers
    kernel_init: Initializer = glorot  # of the shortcut
    inner_init: Initializer = inner_glorot  # of the convolutions

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "B H W C"], *conditions: Array
    ) -> Float[Array, "B 2*H 2*W F"]:
        """Maps `[B, H, W, C]`, with what the norms want besides, to `[B, 2 H, 2 W, features]`."""

        def convolve(x: Array) -> Array:
            return self.wrap(Conv(self.features, 3, kernel_init=self.inner_init))(x)

        x = double(nn.relu(self.norm()(inputs, *conditions)))
        x = convolve(nn.relu(self.norm()(convolve(x), *conditions)))
        # Doubled last, which is the same for a quarter of the work.
        shortcut = self.wrap(nn.Dense(self.features, kernel_init=self.kernel_init))(inputs)
        return x + double(shortcut)


class DiscriminatorBlock(nn.Module):
    """Twice ReLU and a convolution; and a shortcut, linear where the shape changes.

    The shortcut is of the inputs, not of their ReLU as in some PyTorch versions, whose ReLU works
    in place.
    """

    features: int  # output channels
    hidden: int  # channels between the convolutions
    resize: Callable[[Array], Array] = keep
    activate: Callable[[Array], Array] = nn.relu  # the inputs; `keep` where these are images
    wrap: Callable[[nn.Module], nn.Module] = lambda layer: layer  # of all layers
    kernel_init: Initializer = glorot  # of the shortcut
    inner_init: Initializer = inner_glorot  # of the convolutions

    @nn.compact
    def __call__(self, inputs: Float[Array, "B H W C"]) -> Float[Array, "B P Q F"]:
        """Maps `[B, H, W, C]` to `[B, P, Q, features]`; P and Q as `resize` makes them."""

        def convolve(features: int, x: Array) -> Array:
            return self.wrap(Conv(features, 3, kernel_init=self.inner_init))(x)

        x = convolve(self.hidden, self.activate(inputs))
        x = self.resize(convolve(self.features, nn.relu(x)))
        # Resized first, which is the same for a quarter of the work.
        shortcut = self.resize(inputs)
        if inputs.shape != x.shape:
            shortcut = self.wrap(nn.Dense(self.features, kernel_init=self.kernel_init))(shortcut)
        return x + shortcut
