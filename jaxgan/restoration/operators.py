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
Operator = Callable[[Images], Array]  #: linear, image by image: [N, H, W, C] -> [N, ...]
Mask = Bool[Array, "M H W 1"]  #: true where a pixel is known; M is N, or 1 for all images
Known = Callable[[int, int, PRNGKey], Bool[Array, "H W 1"]]  #: height, width, key -> a mask

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


def center(share: float = 1 / 2) -> Known:
    """Makes the mask with a hole in the center.

    Args:
        share: of the height, and of the width, that the hole has.

    Returns:
        A function of height, width and key; the key is unused.
    """

    def known(height: int, width: int, key: PRNGKey) -> Array:
        def inside(size: int) -> np.ndarray:
            hole = int(size * share + 0.5)
            place = np.arange(size) - (size - hole) // 2
            return (place >= 0) & (place < hole)

        return jnp.asarray(~(inside(height)[:, None, None] & inside(width)[:, None]))

    return known


def left(share: float = 1 / 2) -> Known:
    """Makes the mask without the left part.

    Args:
        share: of the width that is missing.

    Returns:
        As `center`.
    """

    def known(height: int, width: int, key: PRNGKey) -> Array:
        row = jnp.arange(width) >= int(width * share + 0.5)
        return jnp.broadcast_to(row[:, None], (height, width, 1))

    return known


def scattered(share: float = 1 / 2) -> Known:
    """Makes the mask that lacks a share of the pixels, as many in every draw.

    Args:
        share: of missing pixels, 0 to 1; their number is rounded.

    Returns:
        A function of height, width and key.
    """

    def known(height: int, width: int, key: PRNGKey) -> Array:
        missing = round(share * height * width)
        places = jax.random.permutation(key, height * width)
        return (places >= missing).reshape(height, width, 1)

    return known
