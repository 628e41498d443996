"""Degradations: what hides a part of a picture, so that a network or a search can restore it.

Each is an `Augmentation` of one image in [-1, 1]: pure, differentiable, and drawn from a key where
it draws at all. `augment.compose` composes them, `augment.of_batch` lifts them to batches, and
`data.degraded` makes pairs of any data set on the device:

    blur = augment.of_batch(degradations.blur(1.5))
    feed = data.Mapped(data.load("mnist", batch_size=64), data.degraded(blur))

A degraded image has the shape of the image. `mask`, `downscale` and `gray` are projections: done
twice, they do no more than once.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Float

from jaxgan.augment import Augmentation
from jaxgan.augment.composition import Image
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError

Known = Callable[[int, int, PRNGKey], Bool[Array, "H W"]]  # height, width, key -> known pixels

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as in Pillow
_REACH = 4.0  # of a Gaussian, in deviations: as in SciPy


def center(share: float = 1 / 2) -> Known:
    """Makes the mask with a hole in the center.

    Args:
        share: of the height, and of the width, that the hole has.

    Returns:
        A function `(height, width, key)` that returns which pixels are known, bool
        `[height, width]`.
    """

    def known(height: int, width: int, key: PRNGKey) -> Array:
        def inside(size: int) -> Array:
            hole = int(size * share + 0.5)
            place = jnp.arange(size) - (size - hole) // 2
            return (place >= 0) & (place < hole)

        return ~(inside(height)[:, None] & inside(width)[None])

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
        return jnp.broadcast_to(row, (height, width))

    return known


def scattered(share: float = 1 / 2) -> Known:
    """Makes the mask that lacks each pixel with a probability.

    Args:
        share: the probability.

    Returns:
        As `center`.
    """
    return lambda height, width, key: jax.random.bernoulli(key, 1 - share, (height, width))


def mask(known: Known, fill: float = 0.0) -> Augmentation:
    """Makes the degradation that paints over the pixels that a mask lacks.

    Args:
        known: the mask, such as `center()`; drawn with the key of the degradation itself.
        fill: with what; 0 is gray, and 1 the white of Isola et al. (2017).

    Returns:
        The degradation.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        height, width, _ = image.shape
        return jnp.where(known(height, width, key)[..., None], image, fill)

    return apply


def blur(deviation: float = 1.5) -> Augmentation:
    """Makes the degradation that blurs with a Gaussian; beyond its borders, an image is mirrored.

    Args:
        deviation: of the Gaussian, in pixels.

    Returns:
        The degradation, the same as SciPy's `gaussian_filter`.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        return _lines(image, *(_gaussian(size, deviation) for size in image.shape[:2]))

    return apply


def downscale(factor: int = 4) -> Augmentation:
    """Makes the degradation that gives all pixels of a block their mean.

    Args:
        factor: height and width of a block.

    Returns:
        The degradation. It raises a UserError where the factor does not divide the height and the
        width of an image.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        height, width, _ = image.shape
        if height % factor or width % factor:
            raise UserError(
                f"pictures of {height} x {width} cannot be made {factor} times as small: choose a "
                "factor that divides both"
            )
        blocks = [
            np.kron(np.eye(size // factor), np.ones((factor, factor)) / factor)
            for size in (height, width)
        ]
        return _lines(image, *blocks)

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
        return jnp.broadcast_to(_luma(image)[..., None], image.shape)

    return apply


def edges() -> Augmentation:
    """Makes the degradation that leaves black edges on white, in all channels alike.

    An edge is as dark as Sobel's operator finds it steep: that between black and white is black.

    Returns:
        The degradation. It raises a UserError for images that have neither 1 nor 3 channels.
    """

    def apply(image: Image, key: PRNGKey) -> Image:
        padded = jnp.pad(_luma(image), 1, mode="edge")

        def slope(lines: Array) -> Array:  # from left to right
            smooth = (lines[:-2] + 2 * lines[1:-1] + lines[2:]) / 4
            return smooth[:, 2:] - smooth[:, :-2]

        squares = slope(padded) ** 2 + slope(padded.T).T ** 2
        steepness = jnp.sqrt(squares + 1e-12)  # of finite slope where there is no edge
        return jnp.broadcast_to(jnp.maximum(1 - steepness, -1)[..., None], image.shape)

    return apply


def _luma(image: Image) -> Float[Array, "H W"]:
    match image.shape[2]:
        case 1:
            return image[..., 0]
        case 3:
            weights = jnp.asarray(_LUMA, image.dtype)
            return jnp.matmul(image, weights, precision=lax.Precision.HIGHEST)
        case channels:
            raise UserError(f"edges are of pictures of 1 or 3 channels, not {channels}")


def _lines(image: Image, rows: np.ndarray, columns: np.ndarray) -> Image:
    """Multiplies height and width by a matrix each: quicker than a filter on CPUs."""
    matrices = [jnp.asarray(matrix, image.dtype) for matrix in (rows, columns)]
    return jnp.einsum("hwc,ih,jw->ijc", image, *matrices, precision=lax.Precision.HIGHEST)


def _gaussian(size: int, deviation: float) -> np.ndarray:
    """The matrix that blurs a line of pixels and its mirror images."""
    offset = np.arange(int(_REACH * deviation + 0.5) + 1)
    offset = np.concatenate([-offset[:0:-1], offset])
    weights = np.exp(-0.5 * (offset / deviation) ** 2)
    place = (np.arange(size)[:, None] + offset) % (2 * size)
    matrix = np.zeros((size, size))
    rows = np.broadcast_to(np.arange(size)[:, None], place.shape)
    np.add.at(matrix, (rows, np.minimum(place, 2 * size - 1 - place)), weights / weights.sum())
    return matrix
