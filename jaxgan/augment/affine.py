"""Affine transformations of an image: any number of them as one matrix, and one warp.

A matrix `[3, 3]` leads from a place of the new image to the place of the old one that is shown
there. Places are `(x, y, 1)`, in pixels from the center, to the right and down. So a product does
its first factor first.

Beyond its borders, an image is mirrored.

Source: Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020), appendix
B, with the constants of its code.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from jaxgan.augment.composition import Augmentation, Image
from jaxgan.augment.matrices import Draw
from jaxgan.types import PRNGKey

# The low-pass filter of the wavelet sym6 (Daubechies, "Ten Lectures on Wavelets", 1992, table 6.3).
# It is orthonormal to its shifts by even numbers, so doubling and halving with it is the identity.
_FILTER = np.array(
    [
        *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
        *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
        *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
    ]
)
_REACH = np.arange(-5, 7)  # half pixels from a pixel to where the filter takes it


def warped(draw: Draw) -> Augmentation:
    """Makes the augmentation that warps an image by what is drawn for it.

    Args:
        draw: of an affine matrix, such as a `product` of those below.

    Returns:
        The augmentation.
    """

    def augment(image: Image, key: PRNGKey) -> Image:
        # In bfloat16, places beyond 128 half pixels could not be told apart.
        exact = image.astype(jnp.promote_types(image.dtype, jnp.float32))
        return warp(exact, draw(exact, key)).astype(image.dtype)

    return augment


def warp(image: Image, matrix: Float[Array, "3 3"]) -> Image:
    """Transforms an image, without jagged edges.

    The image is doubled with a wavelet's filter, read at the places that the matrix says by linear
    interpolation, and halved with the same filter. The identity and shifts by whole pixels come out
    exact. Mirror images and quarter turns do not, in the source as here: the filter is not quite
    symmetric, so they are off by a tenth of a pixel and lose some of the finest detail.

    Beyond the borders, the image and its mirror image alternate for ever. Only one period is
    doubled, whatever the matrix. The source pads with one mirror image and sees zeros beyond it,
    for more than twice the memory. That shows in the corners of images that the warp makes much
    smaller or moves far: of 32 x 32 pixels, 1 in 70 if `bgc` applies all its transformations, and 1
    in 700 if it applies half of them.

    Args:
        image: `[H, W, C]`, at least 2 x 2 pixels, float32 or float64.
        matrix: from new places to old ones (see above).

    Returns:
        `[H, W, C]`; linear in `image`.
    """
    height, width, _ = image.shape
    y, x = (jnp.asarray(_places(size), image.dtype) for size in (height, width))
    old_x, old_y = (a * x[None] + b * y[:, None] + c for a, b, c in matrix[:2])
    doubled = _resize(image, _doubling(height), _doubling(width))
    read = _between(doubled, 2 * old_y + height - 1, 2 * old_x + width - 1)
    return _resize(read, _halving(height), _halving(width))


def mirror(image: Image, key: PRNGKey) -> Float[Array, "3 3"]:
    """Draws a mirror image, left to right, or the identity."""
    return _scaling(jax.random.rademacher(key, (), image.dtype), jnp.ones((), image.dtype))


def quarter_turn(image: Image, key: PRNGKey) -> Float[Array, "3 3"]:
    """Draws a turn by 0, 90, 180 or 270 degrees."""
    return _rotation(jnp.pi / 2 * jax.random.randint(key, (), 0, 4).astype(image.dtype))


def turn(image: Image, key: PRNGKey) -> Float[Array, "3 3"]:
    """Draws a turn by any angle."""
    return _rotation(jax.random.uniform(key, (), image.dtype, -jnp.pi, jnp.pi))


def whole_shift(share: float = 1 / 8) -> Draw:
    """Makes the draw of a shift by whole pixels.

    Args:
        share: of the width, and of the height, that it shifts at most.

    Returns:
        The draw.
    """

    def draw(image: Image, key: PRNGKey) -> Array:
        shares = jax.random.uniform(key, (2,), image.dtype, -share, share)
        return _translation(jnp.round(shares * _extent(image)))

    return draw


def shift(deviation: float = 1 / 8) -> Draw:
    """Makes the draw of a shift by any distance, normal.

    Args:
        deviation: its standard deviation, as a share of the width and of the height.

    Returns:
        The draw.
    """

    def draw(image: Image, key: PRNGKey) -> Array:
        return _translation(deviation * jax.random.normal(key, (2,), image.dtype) * _extent(image))

    return draw


def zoom(deviation: float = 0.2) -> Draw:
    """Makes the draw of a scale, log-normal.

    Args:
        deviation: standard deviation of its logarithm to the base 2.

    Returns:
        The draw.
    """

    def draw(image: Image, key: PRNGKey) -> Array:
        scale = jnp.exp2(deviation * jax.random.normal(key, (), image.dtype))
        return _scaling(scale, scale)

    return draw


def stretch(deviation: float = 0.2) -> Draw:
    """Makes the draw of a scale of the width, log-normal, and of its inverse for the height.

    Args:
        deviation: standard deviation of its logarithm to the base 2.

    Returns:
        The draw.
    """

    def draw(image: Image, key: PRNGKey) -> Array:
        scale = jnp.exp2(deviation * jax.random.normal(key, (), image.dtype))
        return _scaling(scale, 1 / scale)

    return draw


def _extent(image: Image) -> Array:
    return jnp.array([image.shape[1], image.shape[0]], image.dtype)


def _scaling(x: Array, y: Array) -> Float[Array, "3 3"]:
    return jnp.diag(jnp.stack([x, y, jnp.ones_like(x)]))


def _rotation(angle: Array) -> Float[Array, "3 3"]:
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.eye(3, dtype=angle.dtype).at[:2, :2].set(jnp.array([[cos, -sin], [sin, cos]]))


def _translation(distance: Float[Array, "2"]) -> Float[Array, "3 3"]:
    return jnp.eye(3, dtype=distance.dtype).at[:2, 2].set(distance)


def _resize(image: Image, rows: np.ndarray, columns: np.ndarray) -> Array:
    """Multiplies height and width by a matrix each: quicker than a filter on CPUs."""
    matrices = [jnp.asarray(matrix, image.dtype) for matrix in (rows, columns)]
    return jnp.einsum("hwc,ih,jw->ijc", image, *matrices, precision=lax.Precision.HIGHEST)


def _doubling(size: int) -> np.ndarray:
    """From a line of pixels to one period of it and its mirror image, at half the distance."""
    period = 2 * size - 2
    place = np.arange(period)[:, None]
    matrix = np.zeros((2 * period, size))
    np.add.at(
        matrix, ((2 * place + _REACH) % (2 * period), np.minimum(place, period - place)), _FILTER
    )
    return matrix


def _halving(size: int) -> np.ndarray:
    """From half pixels, at `_places`, to a line of pixels."""
    matrix = np.zeros((size, 2 * size + len(_FILTER) - 2))
    pixel = np.arange(size)[:, None]
    matrix[pixel, 2 * pixel + np.arange(len(_FILTER))] = _FILTER
    return matrix


def _places(size: int) -> np.ndarray:
    """The half pixels that a line of pixels is halved from, in pixels from its center."""
    return np.arange(_REACH[0], 2 * size - 1 + _REACH[-1]) / 2 - (size - 1) / 2


def _between(image: Image, rows: Float[Array, "P Q"], columns: Float[Array, "P Q"]) -> Array:
    """Reads a periodic image at places between its pixels, by linear interpolation."""
    height, width, _ = image.shape
    pixels = image.reshape(height * width, -1)
    row, column = (jnp.floor(place).astype(jnp.int32) for place in (rows, columns))
    down, right = (rows - row)[..., None], (columns - column)[..., None]

    def at(row: Array, column: Array) -> Array:
        place = row % height * width + column % width
        return pixels.at[place].get(mode="promise_in_bounds")

    above = (1 - right) * at(row, column) + right * at(row, column + 1)
    below = (1 - right) * at(row + 1, column) + right * at(row + 1, column + 1)
    return (1 - down) * above + down * below
