"""U-Net: a picture halved down to a bottleneck and doubled again, with shortcuts between equals.

The generator of Pix2Pix, which makes a picture of another. The defaults are the source's for 256 x
256, where the bottleneck is a single pixel: 8 downs. Sizes that cannot be halved so often are
padded by what is on their borders, and cropped back: images of 28 x 28 take 5 downs, as 32 x 32.

Dropout is all that is random in its pictures. The source leaves it on after training, and batch
norm with the statistics of the batch, of one picture there: `jaxgan.always_training` does both.
With larger batches, `norms.instance` makes pictures that do not depend on each other.

Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017),
sections 3.2.1 and 6.1, and its code. Biases are as in the authors' PyTorch version; the innermost
layer has no norm, which would leave nothing of a single pixel.
"""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.nn import norms
from jaxgan.nn.layers import Conv, ConvTranspose, Dropout

_normal = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """As many convolutions of stride 2 as transposed ones, each joined with its counterpart."""

    colors: int  # channels of the pictures it makes
    downs: int = 8  # how often it halves the size
    width: int = 64  # channels at half of the size; doubled with each halving, up to 8 times
    norm: norms.Norm = norms.batch
    dropouts: int = 3  # how many layers have dropout, from the innermost that doubles the size on

    @nn.compact
    def __call__(
        self, images: Float[Array, "B H W C"], train: bool
    ) -> Float[Array, "B H W {self.colors}"]:
        """Maps images `[B, H, W, C]` to images `[B, H, W, colors]` in [-1, 1]."""
        height, width = images.shape[1:3]
        (top, bottom), (left, right) = (
            (missing // 2, missing - missing // 2)
            for missing in (-height % 2**self.downs, -width % 2**self.downs)
        )
        biases = self.norm.biases
        skips: list[Array] = []
        x = jnp.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), mode="edge")
        for number in range(self.downs):
            features = self.width * min(2**number, 8)
            x = nn.leaky_relu(x, 0.2) if number else x
            x = Conv(features, 4, 2, kernel_init=_normal, use_bias=biases)(x)
            if 0 < number < self.downs - 1:
                x = self.norm.make(train)(x)
            skips.append(x)
        x = skips.pop()
        for number, skip in enumerate(reversed(skips)):
            x = nn.relu(x)
            x = ConvTranspose(skip.shape[-1], 4, 2, biases, kernel_init=_normal)(x)
            x = self.norm.make(train)(x)
            if number < self.dropouts:
                x = Dropout(0.5)(x, train)
            x = jnp.concatenate([skip, x], -1)
        x = jnp.tanh(ConvTranspose(self.colors, 4, 2, kernel_init=_normal)(nn.relu(x)))
        return x[:, top : top + height, left : left + width]
