"""Poisson blending and range-null projection, by their identities and by dense algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import restoration

RNG = np.random.default_rng(0)
TARGET, SOURCE = (jnp.asarray(RNG.random((2, 10, 12, 3)), jnp.float32) for _ in range(2))
KEY = jax.random.key(0)
MASKS = {
    "center": restoration.center()(10, 12, KEY)[None],
    "left": restoration.left()(10, 12, KEY)[None],
    "random": restoration.scattered(0.6)(10, 12, KEY)[None],
    "of each": jnp.concatenate(
        [
            restoration.center()(10, 12, KEY)[None],
            restoration.left()(10, 12, KEY)[None],
        ]
    ),
}


def laplacian(image: np.ndarray) -> np.ndarray:
    """Differences to the neighbors in the picture, one pixel at a time."""
    total = np.zeros_like(image)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            for k, m in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= k < image.shape[0] and 0 <= m < image.shape[1]:
                    total[i, j] += image[i, j] - image[k, m]
    return total


@pytest.mark.parametrize("name", MASKS)
def test_known_pixels_stay_bit_for_bit_and_holes_have_the_sources_laplacian(name):
    mask = jnp.broadcast_to(MASKS[name], (2, 10, 12, 1))
    found = restoration.blend(MASKS[name], TARGET, SOURCE)
    kept = jnp.broadcast_to(mask, TARGET.shape)
    np.testing.assert_array_equal(found[kept], TARGET[kept])
    for image, source, known in zip(found, SOURCE, mask, strict=True):
        hole = ~np.asarray(known)[..., 0]
        difference = laplacian(np.asarray(image, float)) - laplacian(np.asarray(source, float))
        np.testing.assert_allclose(difference[hole], 0, atol=1e-4)


@pytest.mark.parametrize("name", MASKS)
def test_a_source_that_differs_by_a_constant_gives_the_target(name):
    for constant in (0.0, 0.7):
        found = restoration.blend(MASKS[name], TARGET, TARGET + constant)
        np.testing.assert_allclose(found, TARGET, atol=2e-5)


def test_what_the_target_has_in_the_hole_does_not_matter():
    mask = MASKS["center"]
    other = jnp.where(mask, TARGET, 100)
    np.testing.assert_array_equal(
        restoration.blend(mask, other, SOURCE), restoration.blend(mask, TARGET, SOURCE)
    )


def test_where_nothing_is_known_all_is_made():
    nothing = jnp.zeros((1, 10, 12, 1), bool)
    np.testing.assert_array_equal(restoration.blend(nothing, TARGET, SOURCE), SOURCE)


def test_large_holes_are_solved_too():
    mask = restoration.left()(64, 64, KEY)[None]
    target = jnp.asarray(RNG.random((1, 64, 64, 1)), jnp.float32)
    np.testing.assert_allclose(restoration.blend(mask, target, target - 0.5), target, atol=2e-4)


@pytest.mark.parametrize(
    "operator",
    [
        restoration.downscale(2),
        restoration.gray,
        restoration.compose(restoration.gray, restoration.downscale(2)),
        restoration.keep(MASKS["random"]),
        restoration.blur(0.5),
    ],
)
def test_projection_is_that_of_the_pseudoinverse(operator):
    known = operator(TARGET)
    found = restoration.project(operator, SOURCE, known)
    np.testing.assert_allclose(operator(found), known, atol=1e-5)
    size = TARGET[0].size
    basis = jnp.eye(size).reshape(-1, *TARGET.shape[1:])
    matrix = np.asarray(operator(basis), float).reshape(size, -1).T
    missing = np.asarray(known - operator(SOURCE), float).reshape(2, -1)
    moved = missing @ np.linalg.pinv(matrix, rcond=1e-6).T
    np.testing.assert_allclose(found, SOURCE + moved.reshape(TARGET.shape), atol=2e-3)


def test_a_blur_is_undone_only_as_far_as_the_noise_allows():
    operator = restoration.blur(1.5)
    noise = 0.01
    known = operator(TARGET) + noise * jax.random.normal(jax.random.key(3), TARGET.shape)
    found = restoration.project(operator, TARGET * 0.9, known, noise)
    errors = jnp.sqrt(((operator(found) - known) ** 2).mean((1, 2, 3)))
    assert (errors <= 1.1001 * noise).all() and (errors > 0.3 * noise).all()
    exact = restoration.project(operator, TARGET * 0.9, known, 0.0)
    assert ((found - TARGET) ** 2).mean() < 0.2 * ((exact - TARGET) ** 2).mean()
