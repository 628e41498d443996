"""Transformations of colors: any number of them as one matrix, and one product with the image.

A matrix `[4, 4]` is multiplied with the rows `(red, green, blue, 1)` of an image in [-1, 1], from
the right. So a product does its first factor first. Colors are not clipped. An image of one channel
is taken for one of three equal channels, of which it keeps the mean.

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

_GRAY = np.full((3, 3), 1 / 3)  # projects a color on the axis of grays
_CROSS = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]) / np.sqrt(3)  # turns it around that axis


def recolored(draw: Draw) -> Augmentation:
    """Makes the augmentation that changes the colors of an image by what is drawn for it.

    Args:
        draw: of a matrix of colors, such as a `product` of those below.

    Returns:
        The augmentation.
    """
    return lambda image, key: recolor(image, draw(image, key))


def recolor(image: Image, matrix: Float[Array, "4 4"]) -> Image:
    """Changes the colors of an image.

    Args:
        image: `[H, W, C]`, of 1 or 3 channels.
        matrix: from old colors to new ones (see above).

    Returns:
        `[H, W, C]`.

    Raises:
        ValueError: if the image has another number of channels.
    """
    match image.shape[2]:
        case 3:
            colors = jnp.matmul(image, matrix[:3, :3], precision=lax.Precision.HIGHEST)
            return colors + matrix[3, :3].reshape(1, 1, 3)
        case 1:
            weights = matrix[:, :3].mean(1)
            return image * weights[:3].sum() + weights[3]
        case channels:
            raise ValueError(f"colors are of images with 1 or 3 channels, not {channels}")


def brighten(deviation: float = 0.2) -> Draw:
    """Makes the draw of a number to add to all channels, normal.

    Args:
        deviation: its standard deviation.

    Returns:
        The draw.
    """

    def draw(image: Image, key: PRNGKey) -> Array:
        added = deviation * jax.random.normal(key, (), image.dtype)
        return jnp.eye(4, dtype=image.dtype).at[3, :3].set(added)

    return draw


def amplify(deviation: float = 0.5) -> Draw:
    """Makes the draw of a contrast: a log-normal scale of all channels.

    Args:
        deviation: standard deviation of its logarithm to the base 2.

    Returns:
        The draw.
    """

    def draw(image: Image, key: PRNGKey) -> Array:
        scale = jnp.exp2(deviation * jax.random.normal(key, (), image.dtype))
        return _linear(scale * jnp.eye(3, dtype=image.dtype))

    return draw


def flip_luma(image: Image, key: PRNGKey) -> Float[Array, "4 4"]:
    """Draws a change of bright for dark that keeps hue and saturation, or the identity."""
    flipped = jax.random.bernoulli(key).astype(image.dtype)
    return _linear(jnp.eye(3, dtype=image.dtype) - 2 * flipped * _constant(_GRAY, image))


def turn_hue(image: Image, key: PRNGKey) -> Float[Array, "4 4"]:
    """Draws a turn of all colors around the axis of grays, by any angle."""
    angle = jax.random.uniform(key, (), image.dtype, -jnp.pi, jnp.pi)
    gray, cross = _constant(_GRAY, image), _constant(_CROSS, image)
    across = jnp.eye(3, dtype=image.dtype) - gray
    return _linear(gray + jnp.cos(angle) * across + jnp.sin(angle) * cross)


def saturate(deviation: float = 1.0) -> Draw:
    """Makes the draw of a log-normal scale of how far colors are from gray.

    Args:
        deviation: standard deviation of its logarithm to the base 2.

    Returns:
        The draw.
    """

    def draw(image: Image, key: PRNGKey) -> Array:
        scale = jnp.exp2(deviation * jax.random.normal(key, (), image.dtype))
        gray = _constant(_GRAY, image)
        return _linear(gray + scale * (jnp.eye(3, dtype=image.dtype) - gray))

    return draw


def _linear(matrix: Float[Array, "3 3"]) -> Float[Array, "4 4"]:
    return jnp.eye(4, dtype=matrix.dtype).at[:3, :3].set(matrix)


def _constant(matrix: np.ndarray, image: Image) -> Array:
    return jnp.asarray(matrix, image.dtype)
