"""Sliced Wasserstein distance: of vectors, and of image patches at several scales."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from jaxgan.keys import stream
from jaxgan.metrics.inputs import Numbers, check_images, check_pair
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError

_PATCH = 7  # height and width
_NUMBERS = 2**23  # of either set, along some directions, in memory at once
_SMALLEST = 16  # least height or width of a level made by halving
_FILTER = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def sliced_wasserstein(
    real: Numbers, fake: Numbers, key: PRNGKey, *, directions: int = 512
) -> float:
    """Computes the mean Wasserstein-1 distance of projections onto random directions.

    Rabin et al., "Wasserstein barycenter and its application to texture mixing" (2011), with the
    exponent 1, as in Karras et al. (2018).

    Args:
        real: float32 [N, D].
        fake: float32 [N, D].
        key: draws the directions.
        directions: number of directions, uniform on the sphere.

    Returns:
        The distance, 0 or more, in the unit of the vectors.

    Raises:
        UserError: if a shape is wrong, a value is not finite, or `directions` is less than 1.
    """
    real, fake = check_pair(real, fake, at_least=1)
    _check_equal(real, fake)
    _check_positive("directions", directions)
    return _distance(real, fake, key, directions)


def pyramid_distances(
    real: Numbers, fake: Numbers, key: PRNGKey, *, patches: int = 128, directions: int = 512
) -> dict[int, float]:
    """Computes the sliced Wasserstein distance of image patches on each level of a pyramid.

    Karras et al., "Progressive growing of GANs" (2018), section 5: patches of 7 x 7 at random
    positions on the levels of a Laplacian pyramid, normalized to mean 0 and standard deviation 1
    per set and channel. The pyramid halves while both sides are even and their halves at least 16,
    so images of 28 x 28 have one level, the image itself. Papers print the distance times 1000.

    Both sets are cut at the same positions, so a set has the distance 0 to itself, but not to its
    images in another order.

    Args:
        real: float32 [N, H, W, C], H and W at least 7.
        fake: float32 [N, H, W, C].
        key: draws positions and directions.
        patches: number of patches of each image and level.
        directions: number of directions, uniform on the sphere.

    Returns:
        The distance by the height of the level, finest first.

    Raises:
        UserError: if a shape is wrong, a value is not finite, or `patches` or `directions` is less
            than 1.
    """
    real = check_images(real, "real images", at_least=1)
    fake = check_images(fake, "generated images", at_least=1)
    _check_equal(real, fake)
    _check_positive("patches", patches)
    _check_positive("directions", directions)
    if min(real.shape[1:3]) < _PATCH:
        raise UserError(
            f"images of {real.shape[1]} x {real.shape[2]} have no patches of {_PATCH} x {_PATCH}"
        )
    found = {}
    for level in zip(_pyramid(real), _pyramid(fake), strict=True):
        height = level[0].shape[1]
        places, slices = (stream(key, f"{name}_{height}") for name in ("places", "directions"))
        a, b = (_descriptors(images, places, patches) for images in level)
        found[height] = _distance(a, b, slices, directions)
    return found


def _check_equal(real: Array, fake: Array) -> None:
    if real.shape != fake.shape:
        raise UserError(
            "the sliced Wasserstein distance needs reals and fakes of equal shape, not "
            f"{list(real.shape)} with {list(fake.shape)}"
        )


def _check_positive(name: str, count: int) -> None:
    if count < 1:
        raise UserError(f"the sliced Wasserstein distance needs 1 or more {name}, not {count}")


def _distance(real: Array, fake: Array, key: PRNGKey, directions: int) -> float:
    """Computes the mean distance along the directions.

    NumPy sorts: on CPUs, XLA takes ten times as long for it.
    """
    normals = jax.random.normal(key, (directions, real.shape[1]))
    lines = normals / jnp.linalg.norm(normals, axis=1, keepdims=True)
    together = max(1, _NUMBERS // len(real))
    distances = []
    for start in range(0, directions, together):
        own = lines[start : start + together]
        a, b = (np.sort(np.asarray(_project(own, x)), axis=1) for x in (real, fake))
        distances.append(np.abs(a - b).mean(axis=1, dtype=np.float64))
    return float(np.concatenate(distances).mean())


@jax.jit
def _project(lines: Float[Array, "L D"], points: Float[Array, "N D"]) -> Float[Array, "L N"]:
    return jnp.matmul(lines, points.T, precision=lax.Precision.HIGHEST)


def _pyramid(images: Array) -> list[Array]:
    """Computes the Laplacian pyramid of Burt and Adelson (1983), finest level first."""
    levels = []
    while min(images.shape[1:3]) >= 2 * _SMALLEST and not any(s % 2 for s in images.shape[1:3]):
        halved = _blur(images)[:, ::2, ::2]
        levels.append(images - _double(halved))
        images = halved
    return [*levels, images]


@jax.jit
def _blur(images: Array) -> Array:
    """Filters height and width, with images mirrored about their border pixels."""
    for axis in (1, 2):
        padding = [(2, 2) if i == axis else (0, 0) for i in range(4)]
        padded = jnp.pad(images, padding, mode="reflect")
        size = images.shape[axis]
        shifted = (lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(len(_FILTER)))
        images = jnp.stack([w * x for w, x in zip(_FILTER, shifted, strict=True)]).sum(axis=0)
    return images


def _double(images: Array) -> Array:
    n, height, width, channels = images.shape
    sparse = jnp.zeros((n, 2 * height, 2 * width, channels), images.dtype)
    return 4 * _blur(sparse.at[:, ::2, ::2].set(images))


@partial(jax.jit, static_argnames="patches")
def _descriptors(images: Array, key: PRNGKey, patches: int) -> Float[Array, "P F"]:
    """Cuts normalized patches of images [N, H, W, C], one per row."""
    n, height, width, channels = images.shape
    positions = jnp.array([height - _PATCH + 1, width - _PATCH + 1])
    corners = jax.random.randint(key, (n, patches, 2), 0, positions[None, None])

    def cut(image: Array, corner: Array) -> Array:
        start = (corner[0], corner[1], 0)
        return lax.dynamic_slice(image, start, (_PATCH, _PATCH, channels))

    cuts = jax.vmap(jax.vmap(cut, (None, 0)))(images, corners)
    over = (0, 1, 2, 3)
    centered = cuts - cuts.mean(axis=over, keepdims=True)
    deviation = centered.std(axis=over, keepdims=True)
    normalized = centered / jnp.where(deviation > 0, deviation, 1)
    return normalized.reshape(n * patches, -1)
