"""Layers with an equalized learning rate, plain and modulated by a style.

Parameters start as standard normal numbers and are scaled each time they are used. Adam's steps
have the same size for all parameters, so each layer learns at the same relative speed, whatever its
number of inputs.

Source: Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation"
(2018), section 4.1; of what is modulated, Karras et al., "Analyzing and Improving the Image Quality
of StyleGAN" (2020), section 2.2.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxgan.nn.convolution import convolve

# images [B, H, W, C], kernel [3, 3, C, F] -> [B, P, Q, F]
Convolution = Callable[[Array, Array], Array]

_normal = nn.initializers.normal(1.0)


def convolve_same(
    images: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C F"]
) -> Float[Array, "B H W F"]:
    """Convolves with zeros around the images, so that they keep their size.

    Args:
        images: `[B, H, W, C]`.
        kernel: `[3, 3, C, F]`.

    Returns:
        `[B, H, W, F]`.
    """
    return convolve(images, kernel, 1, ((1, 1), (1, 1)))


class EqualizedDense(nn.Module):
    """A dense layer with an equalized learning rate; of images, a convolution of 1 x 1."""

    features: int  # outputs
    multiplier: float = 1.0  # of the learning rate
    use_bias: bool = True
    bias_init: nn.initializers.Initializer = nn.initializers.zeros
    dtype: DTypeLike | None = None  # that it computes in; that of inputs and parameters if None

    @nn.compact
    def __call__(self, inputs: Float[Array, "*B C"]) -> Float[Array, "*B F"]:
        """Maps `[..., C]` to `[..., features]`."""
        fan_in = inputs.shape[-1]
        init = nn.initializers.normal(1 / self.multiplier)
        kernel = self.param("kernel", init, (fan_in, self.features), jnp.float32)
        bias = None
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
        inputs, kernel, bias = promote_dtype(inputs, kernel, bias, dtype=self.dtype)
        outputs = jnp.dot(inputs, kernel * (self.multiplier / math.sqrt(fan_in)))
        if bias is not None:
            outputs += self.multiplier * bias.reshape(*[1] * (outputs.ndim - 1), -1)
        return outputs


class EqualizedConv(nn.Module):
    """A convolution of 3 x 3 with an equalized learning rate."""

    features: int  # output channels
    convolution: Convolution = convolve_same  # or one of `jaxgan.nn.resampling`
    dtype: DTypeLike | None = None  # that it computes in; that of inputs and parameters if None

    @nn.compact
    def __call__(self, inputs: Float[Array, "B H W C"]) -> Float[Array, "B P Q F"]:
        """Maps `[B, H, W, C]` to `[B, P, Q, features]`."""
        shape = (3, 3, inputs.shape[-1], self.features)
        kernel = self.param("kernel", _normal, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        inputs, kernel, bias = promote_dtype(inputs, kernel, bias, dtype=self.dtype)
        outputs = self.convolution(inputs, kernel / math.sqrt(math.prod(shape[:3])))
        return outputs + bias.reshape(1, 1, 1, -1)


class ModulatedConv(nn.Module):
    """A convolution of 3 x 3 without a bias, whose kernel each example's style scales.

    The style scales the input channels of the kernel (equation 1), and each output channel is
    divided by the norm of what came out (equation 3), so that outputs have about the same variance
    for all styles. Inputs and outputs are scaled instead of the kernel, which is the same and lets
    all examples share one convolution.
    """

    features: int  # output channels
    convolution: Convolution = convolve_same  # or one of `jaxgan.nn.resampling`
    dtype: DTypeLike | None = None  # that it computes in; that of inputs and parameters if None

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "B H W C"], styles: Float[Array, "B S"]
    ) -> Float[Array, "B P Q F"]:
        """Maps `[B, H, W, C]`, by styles `[B, S]`, to `[B, P, Q, features]`."""
        channels = inputs.shape[-1]
        kernel = self.param("kernel", _normal, (3, 3, channels, self.features), jnp.float32)
        affine = EqualizedDense(channels, bias_init=nn.initializers.ones, name="affine")
        scales = affine(styles)
        norms = lax.rsqrt(jnp.dot(scales**2, (kernel**2).sum((0, 1))) + 1e-8)
        inputs, kernel, scales, norms = promote_dtype(
            inputs, kernel, scales, norms, dtype=self.dtype
        )
        outputs = self.convolution(inputs * scales[:, None, None], kernel)
        return outputs * norms[:, None, None]
