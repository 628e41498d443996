"""Augmentations of what D sees: differentiable, drawn for each image by itself.

An `Augmentation` changes one image. They compose, and `of_batch` lifts one to a batch, as the
`view` of a GAN needs it:

    augment = of_batch(compose(color(), translation(), cutout()))
    gan = GAN(..., view=lambda images, batch, key, state: augment(images, key))

So D's steps see reals and fakes augmented, and G learns through the augmentation of its fakes.
Penalties differentiate through it too: they see the images before it.

Source of the policies: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training"
(2020), with the constants of its code. Images are in [-1, 1], so that 0 is the gray that comes in.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxgan.keys import per_example, stream
from jaxgan.types import Images, PRNGKey, Scalar

Image = Float[Array, "H W C"]
Augmentation = Callable[[Image, PRNGKey], Image]


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
