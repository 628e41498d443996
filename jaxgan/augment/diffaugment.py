"""The augmentations of DiffAugment, and quarter turns.

Source: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (2020), with the
constants of its code. Images are in [-1, 1], so that 0 is the gray that comes in.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan.augment.composition import Augmentation, Image, compose
from jaxgan.keys import stream
from jaxgan.types import PRNGKey


def brightness(reach: float = 0.5) -> Augmentation:
    """Makes the augmentation that adds a number from U(-reach, reach).

    Args:
        reach: at most this much is added.

    Returns:
        The augmentation.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        return image + jax.random.uniform(key, (), image.dtype, -reach, reach)

    return apply


def saturation(low: float = 0.0, high: float = 2.0) -> Augmentation:
    """Makes the augmentation that scales how far the channels of a pixel are from their mean.

    Args:
        low: least scale.
        high: largest scale.

    Returns:
        The augmentation. It leaves an image of one channel as it is.
    """
    return partial(_scale, axes=2, low=low, high=high)


def contrast(low: float = 0.5, high: float = 1.5) -> Augmentation:
    """Makes the augmentation that scales how far all numbers of an image are from their mean.

    Args:
        low: least scale.
        high: largest scale.

    Returns:
        The augmentation.
    """
    return partial(_scale, axes=(0, 1, 2), low=low, high=high)


def color() -> Augmentation:
    """Makes the source's "color": brightness, saturation and contrast in turn.

    Returns:
        The augmentation.
    """
    return compose(brightness(), saturation(), contrast())


def translation(share: float = 1 / 8) -> Augmentation:
    """Makes the augmentation that moves an image by whole pixels; zeros come in.

    Args:
        share: of the height, and of the width, that it moves at most.

    Returns:
        The augmentation.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        reach = [int(size * share + 0.5) for size in image.shape[:2]]
        starts = [
            jax.random.randint(stream(key, name), (), 0, 2 * most + 1)
            for name, most in zip(("rows", "columns"), reach, strict=True)
        ]
        padded = jnp.pad(image, [*[(most, most) for most in reach], (0, 0)])
        return lax.dynamic_slice(padded, [*starts, 0], image.shape)

    return apply


def cutout(share: float = 1 / 2) -> Augmentation:
    """Makes the augmentation that sets a box to zero; near a border, less of it is in the image.

    Args:
        share: of the height, and of the width, that the box has.

    Returns:
        The augmentation.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        def inside(axis: int, name: str) -> Array:
            size = image.shape[axis]
            box = int(size * share + 0.5)
            center = jax.random.randint(stream(key, name), (), 0, size + 1 - box % 2)
            place = jnp.arange(size) - center + box // 2
            return (place >= 0) & (place < box)

        hole = inside(0, "rows")[:, None] & inside(1, "columns")[None]
        return jnp.where(hole[..., None], 0, image)

    return apply


def quarter_turns() -> Augmentation:
    """Makes the augmentation that turns a square image by 0, 90, 180 or 270 degrees.

    Source: Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020),
    appendix B.

    Returns:
        The augmentation.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        turned = jnp.stack([jnp.rot90(image, turns) for turns in range(4)])
        return turned[jax.random.randint(key, (), 0, 4)]

    return apply


def _scale(
    image: Image, key: PRNGKey, *, axes: int | tuple[int, ...], low: float, high: float
) -> Image:
    mean = image.mean(axes, keepdims=True)
    return mean + (image - mean) * jax.random.uniform(key, (), image.dtype, low, high)
