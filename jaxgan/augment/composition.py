"""Augmentations of one image, and what is made of them: compositions, chances, batches."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxgan.keys import per_example, stream
from jaxgan.types import Images, PRNGKey, Scalar

Image = Float[Array, "H W C"]
Augmentation = Callable[[Image, PRNGKey], Image]  #: of one image, with a key of its own


def of_batch(augmentation: Augmentation) -> Callable[[Images, PRNGKey], Images]:
    """Lifts an augmentation to batches, with a key for each image.

    Args:
        augmentation: of one image.

    Returns:
        `(images [B, H, W, C], key) -> images`. What becomes of an image depends on the key and on
        its place in the whole batch, however that is spread over devices.
    """
    return lambda images, key: jax.vmap(augmentation)(images, per_example(key, len(images)))


def compose(*augmentations: Augmentation) -> Augmentation:
    """Makes the augmentation that applies several in turn, each with a key of its own.

    Args:
        *augmentations: from the first to the last.

    Returns:
        The augmentation.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        for number, augmentation in enumerate(augmentations):
            image = augmentation(image, jax.random.fold_in(key, number))
        return image

    return apply


def sometimes(augmentation: Augmentation, probability: Scalar) -> Augmentation:
    """Makes the augmentation that is applied with a probability, and else leaves the image alone.

    Args:
        augmentation: the augmentation.
        probability: in [0, 1]; it may be traced, as adaptive augmentation keeps it in the state.

    Returns:
        The augmentation.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        chosen = jax.random.bernoulli(stream(key, "chosen"), probability)
        return jnp.where(chosen, augmentation(image, key), image)

    return apply
