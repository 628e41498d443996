"""Operators: what is known of a picture, as a linear function of it; and masks.

Any linear function of images will do; `jax.linear_transpose` finds its adjoint.
"""

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from jaxgan.types import PRNGKey

Images = Float[Array, "N H W C"]
Operator = Callable[[Images], Array]  # linear, image by image: [N, H, W, C] -> [N, ...]
Mask = Bool[Array, "M H W 1"]  # true where a pixel is known; M is N, or 1 for all images

RADIUS = 4.0  # of the window of a blur, in standard deviations
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as Pillow has it


def compose(*operators: Operator) -> Operator:
    """Makes an operator that applies others, from the first to the last.

    Args:
        operators: each takes what the one before it gives.

    Returns:
        The operator; of none, the identity.
    """
    return lambda images: reduce(lambda x, operator: operator(x), operators, images)


def keep(mask: Mask) -> Operator:
    """Makes an operator that sets all pixels but the known ones to 0.

    Args:
        mask: `[N, H, W, 1]`, true where a pixel is known, or `[1, H, W, 1]` for all images.

    Returns:
        `[N, H, W, C] -> [N, H, W, C]`.
    """
    return lambda images: images * mask


def blur(deviation: float) -> Operator:
    """Makes an operator that blurs by a Gaussian window, mirrored at the edges of the picture.

    Args:
        deviation: of the window, in pixels, above 0. The window ends after four deviations.

    Returns:
        `[N, H, W, C] -> [N, H, W, C]`. A constant picture stays as it is.
    """

    def apply(images: Images) -> Images:
        rows, columns = (
            jnp.asarray(_blurring(side, deviation), images.dtype) for side in images.shape[1:3]
        )
        highest = jax.lax.Precision.HIGHEST
        return jnp.einsum("ij,kl,njlc->nikc", rows, columns, images, precision=highest)

    return apply


def _blurring(side: int, deviation: float) -> np.ndarray:
    """The matrix that blurs a line of pixels."""
    radius = int(RADIUS * deviation + 0.5)
    offsets = np.arange(-radius, radius + 1)
    window = np.exp(-((offsets / deviation) ** 2) / 2)
    # The line, its mirror image, the line, ... repeat after twice its length.
    places = (np.arange(side)[:, None] + offsets) % (2 * side)
    places = np.where(places < side, places, 2 * side - 1 - places)
    matrix = np.zeros((side, side))
    np.add.at(matrix, (np.arange(side)[:, None], places), window / window.sum())
    return matrix


def downscale(factor: int) -> Operator:
    """Makes an operator that replaces squares of pixels by their means.

    Args:
        factor: side of a square; it divides height and width.

    Returns:
        `[N, H, W, C] -> [N, H / factor, W / factor, C]`. It raises a ValueError when traced with
        images that `factor` does not divide.
    """

    def apply(images: Images) -> Array:
        count, height, width, channels = images.shape
        if height % factor or width % factor:
            raise ValueError(f"squares of {factor} pixels do not divide {height} x {width}")
        shape = (count, height // factor, factor, width // factor, factor, channels)
        return images.reshape(shape).mean((2, 4))

    return apply


def gray(images: Images) -> Float[Array, "N H W 1"]:
    """Takes the color out of images, as Pillow does (ITU-R BT.601).

    Args:
        images: `[N, H, W, 3]`, of red, green and blue.

    Returns:
        `[N, H, W, 1]`.

    Raises:
        ValueError: if the images have no three channels.
    """
    if images.shape[-1] != len(LUMA):
        raise ValueError(f"images of {images.shape[-1]} channels have no color to take out")
    red, green, blue = (w * images[..., i : i + 1] for i, w in enumerate(LUMA))
    return red + green + blue


def center_missing(height: int, width: int) -> Mask:
    """Makes a mask without the center: half of the height, and half of the width.

    Args:
        height: of an image.
        width: of an image.

    Returns:
        `[1, H, W, 1]`, true where a pixel is known.
    """
    top, left = height // 4, width // 4
    mask = np.ones((1, height, width, 1), bool)
    mask[:, top : top + height // 2, left : left + width // 2] = False
    return jnp.asarray(mask)


def left_missing(height: int, width: int) -> Mask:
    """Makes a mask without the left half.

    Args:
        height: of an image.
        width: of an image.

    Returns:
        `[1, H, W, 1]`, true where a pixel is known.
    """
    mask = np.ones((1, height, width, 1), bool)
    mask[:, :, : width // 2] = False
    return jnp.asarray(mask)


def random_missing(key: PRNGKey, height: int, width: int, share: float) -> Mask:
    """Draws a mask without a share of the pixels, as many in every draw.

    Args:
        key: a typed key.
        height: of an image.
        width: of an image.
        share: of missing pixels, 0 to 1; their number is rounded.

    Returns:
        `[1, H, W, 1]`, true where a pixel is known.
    """
    missing = round(share * height * width)
    places = jax.random.permutation(key, height * width)
    return (places >= missing).reshape(1, height, width, 1)
