"""Residual networks: those of SNGAN, and all that are made of the same blocks.

The defaults are SNGAN's for images of 32 x 32, where latents are 128 standard normal numbers.

- Labels: `Generator(classes=10)` has conditional batch norm; a discriminator sees labels through
  its head, such as `Discriminator(head=heads.Projection(10))`.
- 28 x 28: `Generator((28, 28, 1), (256,) * 3)` begins at 7 x 7.
- 64 x 64: `Generator((64, 64, 3), (1024, 512, 256, 128, 64))` and
  `Discriminator((64, 128, 256, 512, 1024), halvings=5, hidden=min)`.
- 128 x 128: `Generator((128, 128, 3), (1024, 1024, 512, 256, 128, 64))` and
  `Discriminator((64, 128, 256, 512, 1024, 1024), halvings=5, hidden=min)`.
- WGAN-GP: `Generator(widths=(128,) * 4, epsilon=1e-5)` and
  `Discriminator(wrap=plain, pool=jnp.mean)`.

Sources: Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018), tables
4 to 6; Miyato and Koyama, "cGANs with Projection Discriminator" (2018); Gulrajani et al., "Improved
Training of Wasserstein GANs" (2017); and the code of each.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.nn.attention import SelfAttention
from jaxgan.nn.heads import Score
from jaxgan.nn.labels import Labels, is_conditional
from jaxgan.nn.layers import Conv, Initializer, batch_norm
from jaxgan.nn.normalization import ConditionalBatchNorm, table
from jaxgan.nn.residual import (
    DiscriminatorBlock,
    GeneratorBlock,
    glorot,
    halve,
    inner_glorot,
    keep,
)
from jaxgan.nn.spectral import SpectralNorm, Wrap, plain
from jaxgan.types import Images, Latents, PyTree

Norm = Callable[[], Callable[..., Array]]  # makes normalizations of inputs and conditions


class Synthesis(nn.Module):
    """A dense layer, blocks that double the size, and a convolution to colors."""

    shape: tuple[int, int, int]  # of one image, (H, W, C)
    widths: tuple[int, ...]  # channels of the smallest size, then of each block
    attention: tuple[int, ...]  # numbers of the blocks that self-attention follows, from 1
    block_norm: Norm
    norm: Norm  # after the last block
    wrap: Callable[[nn.Module], nn.Module]  # of all other layers
    kernel_init: Initializer
    inner_init: Initializer  # of the convolutions of blocks

    @nn.compact
    def __call__(
        self, codes: Float[Array, "B D"], conditions: Sequence[tuple[Array, ...]]
    ) -> Images:
        """Maps codes `[B, D]`, with conditions for the norms of each block, to images in [-1, 1].

        Raises:
            ValueError: if the blocks do not lead to the size of the images.
        """
        height, width, colors = self.shape
        first, *others = self.widths
        scale = 2 ** len(others)
        if height % scale or width % scale:
            raise ValueError(
                f"{len(others)} blocks that double the size do not lead to images of "
                f"{height} x {width}"
            )
        rows, columns = height // scale, width // scale
        x = self.wrap(nn.Dense(rows * columns * first, kernel_init=self.kernel_init))(codes)
        x = x.reshape(-1, rows, columns, first)
        for number, (features, own) in enumerate(zip(others, conditions, strict=True), start=1):
            block = GeneratorBlock(
                features,
                norm=self.block_norm,
                wrap=self.wrap,
                kernel_init=self.kernel_init,
                inner_init=self.inner_init,
            )
            x = block(x, *own)
            if number in self.attention:
                x = SelfAttention(self.wrap, self.kernel_init)(x)
        x = nn.relu(self.norm()(x))
        return jnp.tanh(self.wrap(Conv(colors, 3, kernel_init=self.kernel_init))(x))


class Generator(nn.Module):
    """Blocks that double the size, with batch norm that knows the label if there is one."""

    shape: tuple[int, int, int] = (32, 32, 3)  # of one image, (H, W, C)
    widths: tuple[int, ...] = (256,) * 4  # channels of the smallest size, then of each block
    classes: int | None = None  # of labels; None for an unconditional generator
    attention: tuple[int, ...] = ()  # numbers of the blocks that self-attention follows, from 1
    wrap: Wrap = plain
    kernel_init: Initializer = glorot
    inner_init: Initializer = inner_glorot  # of the convolutions of blocks
    momentum: float = 0.9  # of batch norm's running averages
    epsilon: float = 2e-5  # of batch norm

    @nn.compact
    def __call__(self, latents: Latents, labels: Labels | None = None, *, train: bool) -> Images:
        """Maps latents `[B, Z]`, with labels `[B]` if conditional, to images in [-1, 1].

        Raises:
            ValueError: if the blocks do not lead to the size of the images.
        """
        block_norm = norm = batch_norm(self.momentum, self.epsilon, train)
        if is_conditional(self.classes, labels):
            gain = table(self.classes, nn.initializers.ones)
            bias = table(self.classes, nn.initializers.zeros)
            block_norm = partial(
                ConditionalBatchNorm, gain, bias, train, self.momentum, self.epsilon
            )
        conditions = () if labels is None else (labels,)
        synthesis = Synthesis(
            self.shape,
            self.widths,
            self.attention,
            block_norm=block_norm,
            norm=norm,
            wrap=lambda layer: self.wrap(layer, train),
            kernel_init=self.kernel_init,
            inner_init=self.inner_init,
        )
        return synthesis(latents, [conditions] * (len(self.widths) - 1))


class Discriminator(nn.Module):
    """Blocks, of which the first ones halve the size, then a head on features of all places."""

    widths: tuple[int, ...] = (128,) * 4  # channels of each block
    halvings: int = 2  # how many blocks halve the size
    head: nn.Module = Score()  # see `jaxgan.nn.heads`
    attention: tuple[int, ...] = ()  # numbers of the blocks that self-attention follows, from 1
    # Channels within a block, of those before and after it: the fewer in SNGAN, the more in BigGAN.
    hidden: Callable[[int, int], int] = max
    pool: Callable[[Array, tuple[int, int]], Array] = jnp.sum  # over height and width
    wrap: Wrap = SpectralNorm
    kernel_init: Initializer = glorot
    inner_init: Initializer = inner_glorot  # of the convolutions of blocks

    @nn.compact
    def __call__(self, images: Images, labels: Labels | None = None, *, train: bool) -> PyTree:
        """Maps images `[B, H, W, C]`, with labels `[B]` if the head wants them, to its outputs."""

        def wrap(layer: nn.Module) -> nn.Module:
            return self.wrap(layer, train)

        x = images
        for number, features in enumerate(self.widths, start=1):
            first = number == 1
            block = DiscriminatorBlock(
                features,
                hidden=features if first else self.hidden(x.shape[-1], features),
                resize=halve if number <= self.halvings else keep,
                activate=keep if first else nn.relu,
                wrap=wrap,
                kernel_init=self.kernel_init,
                inner_init=self.inner_init,
            )
            x = block(x)
            if number in self.attention:
                x = SelfAttention(wrap, self.kernel_init)(x)
        return self.head(self.pool(nn.relu(x), (1, 2)), labels, wrap)
