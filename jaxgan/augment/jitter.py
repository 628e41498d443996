"""The random jitter of picture-to-picture translation.

Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017),
section 6.2: pictures of 256 x 256 are resized to 286 x 286, cropped back, and mirrored.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.augment.composition import Augmentation, Image
from jaxgan.keys import stream
from jaxgan.types import PRNGKey


def jitter(share: float = 30 / 256) -> Augmentation:
    """Makes the augmentation that enlarges an image, crops it, and mirrors half of all images.

    The resizing is cubic, as in the source's PyTorch code, and does not leave the range of values
    that a channel of the image has.

    Args:
        share: of the height, and of the width, by which the image is enlarged.

    Returns:
        The augmentation, of images of any number of channels.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        sizes = [int(size * (1 + share) + 0.5) for size in image.shape[:2]]
        enlarged = jax.image.resize(image, (*sizes, image.shape[2]), "cubic")
        low, high = (end(image, axis=(0, 1), keepdims=True) for end in (jnp.min, jnp.max))
        starts = [
            jax.random.randint(stream(key, name), (), 0, large - size + 1)
            for name, large, size in zip(("rows", "columns"), sizes, image.shape[:2], strict=True)
        ]
        cropped = lax.dynamic_slice(jnp.clip(enlarged, low, high), [*starts, 0], image.shape)
        return jnp.where(jax.random.bernoulli(stream(key, "mirror")), cropped[:, ::-1], cropped)

    return apply
