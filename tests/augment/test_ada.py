"""The whole pipeline of ADA: probabilities, slopes, devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import axes
from jaxgan.augment import ada, bgc, of_batch

KEY = jax.random.key(4)
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 3)), jnp.float32)


@jax.jit
def augmented(images, p):
    """Augmented images, and the gradient of half of their sum of squares."""
    found, pullback = jax.vjp(lambda images: of_batch(bgc(p))(images, KEY), images)
    return found, pullback(found)[0]


def test_without_probability_nothing_changes():
    found, slopes = augmented(IMAGES, 0.0)
    np.testing.assert_allclose(found, IMAGES, atol=2e-6)
    np.testing.assert_allclose(slopes, IMAGES, atol=2e-6)


def test_each_image_is_changed_by_itself_and_differentiably():
    found, slopes = augmented(IMAGES, 0.8)
    assert found.shape == IMAGES.shape and found.dtype == IMAGES.dtype
    assert np.isfinite(slopes).all() and (np.abs(slopes).max((1, 2, 3)) > 0).all()
    same, _ = augmented(IMAGES.at[1:].set(IMAGES[0]), 0.8)
    np.testing.assert_allclose(same[0], found[0], atol=1e-5)
    assert (np.abs(same[1:] - same[:1]).max((1, 2, 3)) > 0.1).all()


@pytest.mark.slow
def test_two_devices_augment_as_one_does():
    def share(images):
        with axes.spread("devices"):
            return of_batch(bgc(0.8))(images, KEY)

    mapped = jax.pmap(share, "devices", devices=jax.devices()[:2])
    found = mapped(IMAGES.reshape(2, 3, *IMAGES.shape[1:]))
    np.testing.assert_allclose(found.reshape(IMAGES.shape), augmented(IMAGES, 0.8)[0], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "unchanged"),
    [
        # Half of the mirrors, a quarter of the quarter turns, and a quarter of the shifts by up to
        # one whole pixel change nothing; the two turns together have the probability once.
        (ada.geometry, (1 - 0.3 / 2) * (1 - 0.3 * 3 / 4) ** 2 * 0.7**4),
        (ada.color, 0.7**4 * (1 - 0.3 / 2)),
    ],
)
def test_each_transformation_has_the_probability(make, unchanged):
    images = jnp.broadcast_to(IMAGES[0], (2000, 8, 8, 3))
    augment = jax.jit(lambda p: of_batch(make(p))(images, KEY))
    kept = (np.abs(augment(0.3) - images) < 1e-5).all((1, 2, 3)).mean()
    assert abs(kept - unchanged) < 4 * np.sqrt(unchanged * (1 - unchanged) / 2000)
    assert (np.abs(augment(1.0) - images) > 1e-3).any((1, 2, 3)).all()
