"""SSIM and MS-SSIM, and the diversity of images by it.

SSIM is MS-SSIM's last scale alone, as Wang et al., "Image quality assessment: from error visibility
to structural similarity" (2004), have it.

Wang et al., "Multi-scale structural similarity for image quality assessment" (2003): a Gaussian
window of 11 x 11 with standard deviation 1.5, K1 = 0.01, K2 = 0.03, no padding, 2 x 2 average
pooling. The five published scales need images of 176 x 176. Smaller images get as many scales as
the window fits on (28 x 28: two), with the first published weights normalized to sum to 1.

Odena et al., "Conditional image synthesis with auxiliary classifier GANs" (2017), section 4.2, use
the mean over random pairs of generated images: the lower, the more diverse. Compare it with that of
real images.

One term compares brightness, so black must be 0: images in -1..1 give other values.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from jaxgan.keys import stream
from jaxgan.metrics.inputs import Numbers, check_images
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW = 11
_DEVIATION = 1.5
_PAIRS = 128  # compared at a time


def scales(height: int, width: int) -> int:
    """Returns the number of scales for images of a size.

    Args:
        height: in pixels.
        width: in pixels.

    Returns:
        0 (for images smaller than the window) to 5.
    """
    sides = (min(height, width) >> i for i in range(len(_WEIGHTS)))
    return sum(side >= _WINDOW for side in sides)


def ssim(a: Numbers, b: Numbers, *, data_range: int | float) -> Float[Array, "N"]:
    """Computes the structural similarity of images, pair by pair.

    Args:
        a: float32 [N, H, W, C], H and W at least 11.
        b: float32 [N, H, W, C].
        data_range: the value of white, such as 255 for uint8 images; black is 0.

    Returns:
        [N], -1 to 1, the mean over all places of the window and over the channels.

    Raises:
        UserError: if a shape or `data_range` is wrong, or a value is not finite.
    """
    a, b = _check_pairs(a, b, data_range)
    return _structural(a, b, jnp.float32(data_range))


@jax.jit
def _structural(a: Array, b: Array, data_range: Array) -> Float[Array, "N"]:
    def compare(pair: tuple[Array, Array]) -> Array:
        luminance, contrast = _compare(*pair, data_range)
        return (luminance * contrast).mean(axis=(1, 2, 3))

    return _in_parts(compare, (a, b))


def ms_ssim(a: Numbers, b: Numbers, *, data_range: int | float) -> Float[Array, "N"]:
    """Computes the similarity of images, pair by pair.

    Args:
        a: float32 [N, H, W, C], H and W at least 11.
        b: float32 [N, H, W, C].
        data_range: the value of white, such as 255 for uint8 images; black is 0.

    Returns:
        [N], 0 to 1, the mean over the channels.

    Raises:
        UserError: if a shape or `data_range` is wrong, or a value is not finite.
    """
    a, b = _check_pairs(a, b, data_range)
    each = jnp.arange(len(a))
    return _similarities(a, b, (each, each), jnp.float32(data_range))


def pair_similarities(
    images: Numbers, key: PRNGKey, *, data_range: int | float, pairs: int = 10_000
) -> Float[Array, "pairs"]:
    """Computes the similarity of random pairs of images; a low mean means diverse images.

    Args:
        images: float32 [N, H, W, C], N at least 2, H and W at least 11.
        key: draws the pairs.
        data_range: the value of white, such as 255 for uint8 images; black is 0.
        pairs: number of pairs, each of two different images.

    Returns:
        The similarities, 0 to 1.

    Raises:
        UserError: if the shape, `data_range` or `pairs` is wrong, or a value is not finite.
    """
    images = check_images(images, "images", at_least=2)
    _check(images, data_range)
    if pairs < 1:
        raise UserError(f"the diversity of images needs 1 pair or more, not {pairs}")
    n = len(images)
    first = jax.random.randint(stream(key, "first"), (pairs,), 0, n)
    # An offset of 1 to n - 1, modulo n, reaches every other image.
    second = (first + jax.random.randint(stream(key, "step"), (pairs,), 1, n)) % n
    return _similarities(images, images, (first, second), jnp.float32(data_range))


def _check_pairs(a: Numbers, b: Numbers, data_range: int | float) -> tuple[Array, Array]:
    a, b = (check_images(images, "images", at_least=1) for images in (a, b))
    if a.shape != b.shape:
        raise UserError(f"SSIM compares images pair by pair, not {a.shape} with {b.shape}")
    _check(a, data_range)
    return a, b


def _check(images: Array, data_range: int | float) -> None:
    if not 0 < data_range < math.inf:
        raise UserError(f"the data range must be finite and above 0, not {data_range}")
    if not scales(*images.shape[1:3]):
        raise UserError(
            f"SSIM needs images of {_WINDOW} x {_WINDOW} or larger, not "
            f"{images.shape[1]} x {images.shape[2]}"
        )


@jax.jit
def _similarities(
    a: Array, b: Array, pairs: tuple[Array, Array], data_range: Array
) -> Float[Array, "pairs"]:
    """Compares pairs of images, given by their indices in `a` and in `b`."""

    def compare(pair: tuple[Array, Array]) -> Array:
        return _similarity(a[pair[0]], b[pair[1]], data_range)

    return _in_parts(compare, pairs)


def _in_parts(
    compare: Callable[[tuple[Array, Array]], Array], pairs: tuple[Array, Array]
) -> Float[Array, "N"]:
    """Compares some pairs at a time: what `lax.map` does, whose function sees one."""
    count = len(pairs[0])
    parts = -(-count // _PAIRS)
    places = jnp.minimum(jnp.arange(parts * _PAIRS), count - 1)
    some = jax.tree.map(lambda x: x[places].reshape(parts, _PAIRS, *x.shape[1:]), pairs)
    return lax.map(compare, some).ravel()[:count]


def _similarity(
    a: Float[Array, "B H W C"], b: Float[Array, "B H W C"], data_range: Array
) -> Float[Array, "B"]:
    count = scales(*a.shape[1:3])
    total = sum(_WEIGHTS[:count])
    product = jnp.ones((a.shape[0], a.shape[3]))
    for scale, weight in enumerate(_WEIGHTS[:count]):
        luminance, contrast = _compare(a, b, data_range)
        last = scale == count - 1
        kept = (luminance * contrast if last else contrast).mean(axis=(1, 2))
        # A negative number has no such power; such images count as not similar at all.
        product *= jax.nn.relu(kept) ** (weight / total)
        a, b = _halve(a), _halve(b)
    return product.mean(axis=1)


def _compare(a: Array, b: Array, data_range: Array) -> tuple[Array, Array]:
    """Computes the luminance and the contrast-structure term at every position of the window."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    # Relative to a common level, so that the squares below do not cancel.
    level = (a.mean(axis=(1, 2), keepdims=True) + b.mean(axis=(1, 2), keepdims=True)) / 2
    x, y = a - level, b - level
    mean_x, mean_y, squares, products = _window(jnp.stack([x, y, x * x + y * y, x * y]))
    mean_a, mean_b = mean_x + level, mean_y + level
    spread = squares - mean_x**2 - mean_y**2
    common = products - mean_x * mean_y
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * common + c2) / (spread + c2)


def _window(images: Float[Array, "Q B H W C"]) -> Float[Array, "Q B h w C"]:
    """Averages with the Gaussian window at every position where all of it fits.

    The window is a product of one along either side, and those are products of matrices.
    """
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    bell = np.exp(-((offsets / _DEVIATION) ** 2) / 2)
    for axis in (2, 3):
        size = images.shape[axis]
        weights = np.zeros((size, size - _WINDOW + 1), np.float32)
        for place in range(weights.shape[1]):
            weights[place : place + _WINDOW, place] = bell / bell.sum()
        moved = jnp.tensordot(images, weights, (axis, 0), precision=lax.Precision.HIGHEST)
        images = jnp.moveaxis(moved, -1, axis)
    return images


def _halve(images: Float[Array, "B H W C"]) -> Array:
    count, height, width, channels = images.shape
    rows, columns = height // 2, width // 2
    even = images[:, : 2 * rows, : 2 * columns]
    return even.reshape(count, rows, 2, columns, 2, channels).mean(axis=(2, 4))
