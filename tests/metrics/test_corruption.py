"""Metrics of real digits that get worse and worse."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxgan.metrics import (
    frechet_distance,
    kernel_distance,
    ms_ssim,
    prdc,
    pyramid_distances,
    sliced_wasserstein,
)

pytestmark = pytest.mark.slow

KEY = jax.random.key(0)
N = 1000
PROJECTION = np.random.default_rng(0).normal(0, 784**-0.5, (784, 32)).astype(np.float32)
Corruption = Callable[[np.ndarray, np.ndarray], Iterator[np.ndarray]]


def noise(images: np.ndarray, labels: np.ndarray) -> Iterator[np.ndarray]:
    drawn = np.random.default_rng(1).normal(size=images[:N].shape)
    return ((images[:N] + amount * drawn).astype(np.float32) for amount in (0, 0.2, 0.4, 0.8))


def blur(images: np.ndarray, labels: np.ndarray) -> Iterator[np.ndarray]:
    for width in (0, 0.7, 1.4, 2.8):
        yield ndimage.gaussian_filter(images[:N], (0, width, width, 0)).astype(np.float32)


def dropping(images: np.ndarray, labels: np.ndarray) -> Iterator[np.ndarray]:
    for kept in (10, 7, 4, 1):
        some = images[labels < kept]
        yield np.resize(some, (N, *some.shape[1:])) if len(some) < N else some[:N]


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def project(images: np.ndarray) -> np.ndarray:
    return flat(images) @ PROJECTION


DISTANCES = {
    "frechet": lambda x, y: frechet_distance(project(x), project(y)),
    "kernel": lambda x, y: (
        kernel_distance(project(x) * 4, project(y) * 4, KEY, blocks=20, block_size=500).value
    ),
    "sliced": lambda x, y: sliced_wasserstein(project(x), project(y), KEY, directions=64),
}


@pytest.fixture(scope="module")
def sides(digits, digit_labels):
    """Real images, and others with their labels to be corrupted."""
    # The first 5,000 are of other writers than the rest.
    order = np.random.default_rng(2).permutation(len(digits))
    images, labels = digits[order], digit_labels[order]
    return images[:N], images[5000:], labels[5000:]


@pytest.mark.parametrize("corrupt", [noise, blur, dropping])
@pytest.mark.parametrize("name", DISTANCES)
def test_distances_grow(sides, name, corrupt: Corruption):
    real, images, labels = sides
    found = [DISTANCES[name](real, worse) for worse in corrupt(images, labels)]
    assert found == sorted(found) and len(set(found)) == 4


@pytest.mark.parametrize("corrupt", [noise, blur])
def test_patches_get_farther(sides, corrupt: Corruption):
    real, *rest = sides
    found = [
        pyramid_distances(real, worse, KEY, patches=8, directions=32)[28]
        for worse in corrupt(*rest)
    ]
    assert found == sorted(found) and len(set(found)) == 4


# Not recall under noise: noisy fakes have balls so large that they hold the reals. Nor precision
# under blur: blurred digits lie between the reals.
@pytest.mark.parametrize(
    "corrupt, falling",
    [
        (noise, ("precision", "density", "coverage")),
        (blur, ("recall",)),
        (dropping, ("recall", "coverage")),
    ],
)
def test_metrics_of_neighbors_fall(sides, corrupt: Corruption, falling: tuple[str, ...]):
    real, *rest = sides
    found = [prdc(flat(real), flat(worse)) for worse in corrupt(*rest)]
    for name in falling:
        values = [getattr(each, name) for each in found]
        assert values == sorted(values, reverse=True) and values[0] > 4 * values[-1]
    if corrupt is dropping:  # what is still made is as good as before
        assert min(each.precision for each in found) >= found[0].precision


@pytest.mark.parametrize("corrupt", [noise, blur])
def test_images_get_less_like_themselves(sides, corrupt: Corruption):
    _, images, labels = sides
    found = [
        float(jnp.mean(ms_ssim(images[:100], worse[:100], data_range=1)))
        for worse in corrupt(images, labels)
    ]
    assert found == sorted(found, reverse=True) and len(set(found)) == 4
