"""R3GAN: residual networks of grouped convolutions, without normalization and other tricks.

Images have a side of `smallest * 2 ** (len(widths) - 1)` and are not bounded. Latents are 64
standard normal numbers in the source, which trains by the relativistic loss with R1 and R2.

Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline" (2024), section 3
and appendix D, and its code, whose preset for conditional CIFAR-10 is the default here.
"""

import math

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxgan.nn.grouped import GroupedConv
from jaxgan.nn.labels import Embed, Labels, is_conditional
from jaxgan.nn.pointwise import PixelDense
from jaxgan.nn.resampling import downsample, require_sizes, upsample
from jaxgan.types import Images, Latents, Scores

SLOPE = 0.2  # of leaky ReLU below zero
EXPANSION = 2  # channels within a block for each outside


def _normal(gain: float = 1.0) -> nn.initializers.Initializer:
    """Normal, with the deviation `gain / sqrt(fan_in)`."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


class Block(nn.Module):
    """A residual block: convolutions of 1 x 1, of 3 x 3 in groups, and of 1 x 1.

    At first it is the identity, for the last convolution starts at zero.
    """

    group_size: int  # channels in a group
    depth: int  # blocks in the whole network
    dtype: DTypeLike | None = None  # that it computes in; that of inputs and parameters if None

    @nn.compact
    def __call__(self, inputs: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Maps `[B, H, W, C]` to the same shape."""
        channels = inputs.shape[-1]
        inner = EXPANSION * channels
        # He's gain times `depth ** (-1 / (2 m - 2))`, as in Fixup, for the m = 3 layers of a block.
        init = _normal(math.sqrt(2 / (1 + SLOPE**2)) * self.depth**-0.25)
        x = nn.leaky_relu(PixelDense(inner, dtype=self.dtype, kernel_init=init)(inputs), SLOPE)
        x = GroupedConv(inner, 3, inner // self.group_size, self.dtype, init)(x)
        x = nn.leaky_relu(x, SLOPE)
        zeros = nn.initializers.zeros
        return inputs + PixelDense(channels, False, self.dtype, kernel_init=zeros)(x)


class Generator(nn.Module):
    """A small learned picture, scaled by latents, that grows from size to size."""

    widths: tuple[int, ...] = (768,) * 4  # channels of each size, from the smallest up
    colors: int = 3  # channels of an image
    classes: int | None = None  # of labels; None for an unconditional generator
    label_size: int = 64  # of a label's code, which follows the latent
    blocks: int = 2  # of each size
    group_size: int = 16  # channels of a group in the convolutions of 3 x 3
    smallest: int = 4  # side of the smallest size
    in_bfloat16: int = 0  # how many of the largest sizes compute in bfloat16; 3 in the source

    @nn.compact
    def __call__(self, latents: Latents, labels: Labels | None = None, *, train: bool) -> Images:
        """Maps latents `[B, Z]`, with labels `[B]` if conditional, to images `[B, H, W, C]`."""
        if is_conditional(self.classes, labels):
            codes = _label_codes(self.classes, self.label_size)(labels)
            latents = jnp.concatenate([latents, codes], -1)
        first, *_ = self.widths
        shape = (1, self.smallest, self.smallest, first)
        basis = self.param("basis", nn.initializers.normal(1.0), shape, jnp.float32)
        x = basis * _linear(first)(latents)[:, None, None]
        dtypes = _dtypes(len(self.widths), self.in_bfloat16, x.dtype)
        for size, (width, dtype) in enumerate(zip(self.widths, dtypes, strict=True)):
            if size:
                x = upsample(_to_width(x.astype(dtype), width))
            for _ in range(self.blocks):
                x = Block(self.group_size, self.blocks * len(self.widths), dtype)(x)
        return _linear(self.colors)(x.astype(latents.dtype))


class Discriminator(nn.Module):
    """The mirror image of the generator; the score is linear in the smallest size."""

    widths: tuple[int, ...] = (768,) * 4  # channels of each size, from the smallest up
    classes: int | None = None  # of labels; None for an unconditional discriminator
    blocks: int = 2  # of each size
    group_size: int = 16  # channels of a group in the convolutions of 3 x 3
    smallest: int = 4  # side of the smallest size
    in_bfloat16: int = 0  # how many of the largest sizes compute in bfloat16; 3 in the source

    @nn.compact
    def __call__(self, images: Images, labels: Labels | None = None, *, train: bool) -> Scores:
        """Maps images `[B, H, W, C]`, with labels `[B]` if conditional, to critic values `[B]`.

        Raises:
            ValueError: if images are not of the largest of as many sizes as there are widths.
        """
        require_sizes(images, len(self.widths), self.smallest)
        first, *_ = self.widths
        x = _linear(self.widths[-1])(images)
        dtypes = _dtypes(len(self.widths), self.in_bfloat16, x.dtype)
        sizes = list(enumerate(zip(self.widths, dtypes, strict=True)))
        for size, (width, dtype) in reversed(sizes):
            x = _to_width(x, width).astype(dtype)
            for _ in range(self.blocks):
                x = Block(self.group_size, self.blocks * len(self.widths), dtype)(x)
            if size:
                x = downsample(x)
        x = x.astype(images.dtype)
        # A convolution of the whole, of each channel by itself.
        shape = (1, self.smallest, self.smallest, first)
        init = nn.initializers.normal(1 / self.smallest)
        basis = self.param("basis", init, shape, jnp.float32)
        x = (x * basis).sum((1, 2))
        if not is_conditional(self.classes, labels):
            return _linear(1)(x)[:, 0]
        codes = _label_codes(self.classes, first, 1 / math.sqrt(first))(labels)
        return (_linear(first)(x) * codes).sum(-1)


def _dtypes(sizes: int, in_bfloat16: int, dtype: jnp.dtype) -> list[jnp.dtype]:
    """The type that each size computes in, from the smallest up."""
    return [dtype] * (sizes - in_bfloat16) + [jnp.dtype(jnp.bfloat16)] * in_bfloat16


def _linear(features: int, dtype: DTypeLike | None = None) -> nn.Module:
    return PixelDense(features, use_bias=False, dtype=dtype, kernel_init=_normal())


def _to_width(x: Array, width: int) -> Array:
    return x if x.shape[-1] == width else _linear(width, x.dtype)(x)


def _label_codes(classes: int, size: int, gain: float = 1.0) -> Embed:
    """A linear map of one-hot labels, with the deviation `gain / sqrt(classes)`."""
    init = nn.initializers.normal(gain / math.sqrt(classes))
    return Embed(classes, size, embedding_init=init)
