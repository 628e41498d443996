"""PatchGAN: a discriminator that judges every patch of a picture by itself.

Patches have a side of 16, 34, 70, 142 or 286 pixels with 1 to 5 layers that halve the size, and are
single pixels with none. The source's 3 are for 256 x 256; 2 suit 64 x 64, and 1 suits 32 x 32.

Losses are averaged over patches (see `jaxgan.losses`). A conditional one sees what a picture is
made of beside it:

    GAN(
        discriminator=linen(patchgan.Discriminator()),
        inputs=lambda key, n, batch: batch["source"],
        view=lambda example, batch, key, state: (batch["source"], example),
        ...,
    )

Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017),
sections 3.2.2 and 6.1.2, and its code; biases are as in the authors' PyTorch version. CycleGAN has
the same with `norms.instance`.
"""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.nn import norms
from jaxgan.nn.layers import Conv
from jaxgan.types import PatchScores

_normal = nn.initializers.normal(0.02)


class Discriminator(nn.Module):
    """Convolutions that halve the size, and two more that do not; of 1 x 1 if none halves it."""

    layers: int = 3  # how often it halves the size
    width: int = 64  # channels of the first layer; doubled in each one after it, up to 8 times
    norm: norms.Norm = norms.batch

    @nn.compact
    def __call__(self, *images: Float[Array, "B H W _"], train: bool) -> PatchScores:
        """Maps images `[B, H, W, C]`, joined along channels, to scores of patches `[B, h, w]`.

        Raises:
            ValueError: if the images are too small for so many layers.
        """
        height, width = images[0].shape[1:3]
        kernel, pad = (4, 1) if self.layers else (1, 0)

        def convolve(x: Array, features: int, stride: int, bias: bool) -> Array:
            if min(x.shape[1:3]) + 2 * pad < kernel:
                raise ValueError(
                    f"{self.layers} layers that halve the size leave no patch of images of "
                    f"{height} x {width}"
                )
            return Conv(features, kernel, stride, ((pad, pad), (pad, pad)), _normal, bias)(x)

        x = jnp.concatenate(images, -1)
        for number in range(max(self.layers, 1) + 1):
            features = self.width * min(2**number, 8)
            stride = 2 if number < self.layers else 1
            x = convolve(x, features, stride, number == 0 or self.norm.biases)
            if number:
                x = self.norm.make(train)(x)
            x = nn.leaky_relu(x, 0.2)
        # PyTorch's judge of pixels has no bias here beside batch norm.
        return convolve(x, 1, 1, self.layers > 0 or self.norm.biases)[..., 0]
