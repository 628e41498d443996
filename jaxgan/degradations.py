"""Degradations: what hides a part of a picture, so that a network or a search can restore it.

Each is an `Augmentation` of one image in [-1, 1]: pure, differentiable, and drawn from a key where
it draws at all. `augment.compose` composes them, `augment.of_batch` lifts them to batches, and
`data.degraded` makes pairs of any data set on the device:

    blur = augment.of_batch(degradations.blur(1.5))
    feed = data.Mapped(data.load("mnist", batch_size=64), data.degraded(blur))

A degraded image has the shape of the image. `mask`, `downscale` and `gray` are projections: done
twice, they do no more than once.
"""

import jax
import jax.numpy as jnp
from jax import Array

from jaxgan import restoration
from jaxgan.augment import Augmentation
from jaxgan.augment.composition import Image
from jaxgan.restoration import Known
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError


def mask(known: Known, fill: float = 0.0) -> Augmentation:
    """Makes the degradation that paints over the pixels that a mask lacks.

    Args:
        known: what is left, such as `restoration.center()`; drawn with the degradation's own key.
        fill: with what; 0 is gray, and 1 the white of Isola et al. (2017).

    Returns:
        The degradation.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        height, width, _ = image.shape
        return jnp.where(known(height, width, key), image, fill)

    return apply


def blur(deviation: float = 1.5) -> Augmentation:
    """Makes the degradation that blurs with a Gaussian; beyond its borders, an image is mirrored.

    Args:
        deviation: of the Gaussian, in pixels.

    Returns:
        The degradation, `jaxgan.restoration.blur` of one image.
    """
    blurred = restoration.blur(deviation)
    return lambda image, key: blurred(image[None])[0]


def downscale(factor: int = 4) -> Augmentation:
    """Makes the degradation that gives all pixels of a block their mean.

    Args:
        factor: height and width of a block.

    Returns:
        The degradation. It raises a UserError where the factor does not divide the height and the
        width of an image.
    """
    smaller = restoration.downscale(factor)

    def apply(image: Image, key: PRNGKey) -> Image:
        height, width, _ = image.shape
        if height % factor or width % factor:
            raise UserError(
                f"pictures of {height} x {width} cannot be made {factor} times as small: choose a "
                "factor that divides both"
            )
        return smaller(image[None])[0].repeat(factor, 0).repeat(factor, 1)

    return apply


def noise(deviation: float = 0.5) -> Augmentation:
    """Makes the degradation that adds normal noise; the sum is not clipped.

    Args:
        deviation: of the noise; black and white are 2 apart.

    Returns:
        The degradation.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        return image + deviation * jax.random.normal(key, image.shape, image.dtype)

    return apply


def gray() -> Augmentation:
    """Makes the degradation that takes the colors away, and leaves three equal channels.

    Returns:
        The degradation. It raises a UserError for images that do not have three channels.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        if image.shape[2] != 3:
            raise UserError(
                f"these pictures have {image.shape[2]} channels, not 3, so there are no colors to "
                "take away: choose pictures in color"
            )
        return jnp.broadcast_to(restoration.gray(image[None])[0], image.shape)

    return apply


def edges() -> Augmentation:
    """Makes the degradation that leaves black edges on white, in all channels alike.

    An edge is as dark as Sobel's operator finds it steep: that between black and white is black.

    Returns:
        The degradation. It raises a UserError for images that have neither 1 nor 3 channels.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        if image.shape[2] not in (1, 3):
            raise UserError(f"edges are of pictures of 1 or 3 channels, not {image.shape[2]}")
        light = image if image.shape[2] == 1 else restoration.gray(image[None])[0]
        padded = jnp.pad(light[..., 0], 1, mode="edge")

        def slope(lines: Array) -> Array:  # from left to right
            smooth = (lines[:-2] + 2 * lines[1:-1] + lines[2:]) / 4
            return smooth[:, 2:] - smooth[:, :-2]

        squares = slope(padded) ** 2 + slope(padded.T).T ** 2
        steepness = jnp.sqrt(squares + 1e-12)  # of finite slope where there is no edge
        return jnp.broadcast_to(jnp.maximum(1 - steepness, -1)[..., None], image.shape)

    return apply
