"""Chances and compositions of augmentations."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import augment
from jaxgan.augment import compose, of_batch, sometimes

KEY = jax.random.key(4)
N = 1000
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (N, 2, 3, 3)), jnp.float32)


def applied(augmentation):
    return np.asarray(jax.jit(of_batch(augmentation))(IMAGES, KEY))


def test_sometimes_is_as_often_as_it_says():
    def changed(p: float) -> int:
        found = applied(sometimes(augment.brightness(), p))
        return int((found != IMAGES).any((1, 2, 3)).sum())

    assert changed(0.0) == 0 and changed(1.0) == N
    assert abs(changed(0.3) - 0.3 * N) < 60  # four standard deviations


def test_a_composition_draws_for_each_of_its_parts():
    twice = applied(compose(augment.brightness(), augment.brightness())) - IMAGES
    np.testing.assert_allclose(twice.mean((1, 2, 3)).var(), 2 / 12, rtol=0.15)
