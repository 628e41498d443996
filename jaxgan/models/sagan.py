"""SAGAN: the networks of SNGAN with self-attention, and spectral normalization in both.

The defaults are for images of 32 x 32; those of the source are

    Generator((128, 128, 3), (1024, 1024, 512, 256, 128, 64), classes=1000, attention=(3,))
    Discriminator((64, 128, 256, 512, 1024, 1024), 5, heads.Projection(1000), (2,))

Source: Zhang et al., "Self-Attention Generative Adversarial Networks" (2019), and its code.
"""

from jaxgan.models import resnet
from jaxgan.nn.spectral import SpectralNorm, Wrap


class Generator(resnet.Generator):
    """Blocks that double the size, attention between them, and spectral normalization."""

    attention: tuple[int, ...] = (2,)  # numbers of the blocks that self-attention follows, from 1
    wrap: Wrap = SpectralNorm
    epsilon: float = 1e-5  # of batch norm


class Discriminator(resnet.Discriminator):
    """Blocks of which the first ones halve the size, and attention between them."""

    attention: tuple[int, ...] = (1,)  # numbers of the blocks that self-attention follows, from 1
