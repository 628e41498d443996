"""BigGAN: each block of the generator has a part of the latent of its own.

The defaults are for images of 32 x 32, with 96 channels times four in G and times two in D, and
latents of 80 standard normal numbers.

Source: Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (2019),
appendix B.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from jaxgan.models import resnet
from jaxgan.nn.labels import Embed, Labels
from jaxgan.nn.layers import Initializer, batch_norm
from jaxgan.nn.normalization import ConditionalBatchNorm, linear, one_plus
from jaxgan.nn.spectral import SpectralNorm, Wrap
from jaxgan.types import Images, Latents

_orthogonal = nn.initializers.orthogonal()


class Generator(nn.Module):
    """Blocks that double the size, with batch norm by a label's code and a part of the latent.

    The codes of labels are shared by all blocks, and the only parameters of at least two dimensions
    that are not wrapped.
    """

    classes: int
    shape: tuple[int, int, int] = (32, 32, 3)  # of one image, (H, W, C)
    widths: tuple[int, ...] = (384,) * 4  # channels of the smallest size, then of each block
    label_size: int = 128  # of a label's code
    attention: tuple[int, ...] = (2,)  # numbers of the blocks that self-attention follows, from 1
    wrap: Wrap = SpectralNorm
    kernel_init: Initializer = _orthogonal
    momentum: float = 0.9  # of batch norm's running averages
    epsilon: float = 1e-4  # of batch norm

    @nn.compact
    def __call__(self, latents: Latents, labels: Labels, *, train: bool) -> Images:
        """Maps latents `[B, Z]` and labels `[B]` to images in [-1, 1].

        Raises:
            ValueError: if Z is not divisible by the number of widths, or the blocks do not lead to
                the size of the images.
        """
        parts = len(self.widths)
        if latents.shape[-1] % parts:
            raise ValueError(
                f"{parts} parts, of the first layer and of each block, do not divide a latent of "
                f"{latents.shape[-1]}"
            )

        def wrap(layer: nn.Module) -> nn.Module:
            return self.wrap(layer, train)

        affine = linear(wrap, self.kernel_init)
        block_norm = partial(
            ConditionalBatchNorm, one_plus(affine), affine, train, self.momentum, self.epsilon
        )
        codes = Embed(self.classes, self.label_size, embedding_init=self.kernel_init)(labels)
        first, *others = jnp.split(latents, parts, -1)
        synthesis = resnet.Synthesis(
            self.shape,
            self.widths,
            self.attention,
            block_norm=block_norm,
            norm=batch_norm(self.momentum, self.epsilon, train),
            wrap=wrap,
            kernel_init=self.kernel_init,
            inner_init=self.kernel_init,
        )
        return synthesis(first, [(jnp.concatenate([codes, part], -1),) for part in others])


class Discriminator(resnet.Discriminator):
    """Blocks of which the first ones halve the size; with `heads.Projection`, as in the source."""

    widths: tuple[int, ...] = (192,) * 4  # channels of each block
    attention: tuple[int, ...] = (1,)  # numbers of the blocks that self-attention follows, from 1
    kernel_init: Initializer = _orthogonal
    inner_init: Initializer = _orthogonal  # of the convolutions of blocks
