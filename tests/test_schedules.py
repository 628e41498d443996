"""The burn-in of R3GAN, by the numbers of its paper's settings, and StyleGAN2's half-life."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.combinators import half_life
from jaxgan.schedules import cosine

BATCH = 512


def at_images(schedule, images: float) -> float:
    return float(schedule(jnp.asarray(images / BATCH)))


CIFAR10 = {  # first, last; values after 5, 10, 20 and 200 million images
    "learning_rate": (2e-4, 5e-5, (1.780330e-4, 1.25e-4, 5e-5, 5e-5)),
    "beta2": (0.9, 0.99, (0.913180, 0.945, 0.99, 0.99)),
    "gamma": (0.05, 0.005, (0.0434099, 0.0275, 0.005, 0.005)),
    "augmentation": (0.0, 0.55, (0.0805456, 0.275, 0.55, 0.55)),
    "half_life": (0.0, 5e6, (732_233, 2.5e6, 5e6, 5e6)),
}


@pytest.mark.parametrize("name", CIFAR10)
def test_the_burn_in_of_cifar10(name):
    first, last, expected = CIFAR10[name]
    schedule = cosine(first, last, 20e6 / BATCH)
    found = [at_images(schedule, images) for images in (0, 5e6, 10e6, 20e6, 200e6)]
    np.testing.assert_allclose(found, [first, *expected], rtol=1e-6)


def test_a_burn_in_of_no_steps_is_over_at_once():
    for step in (0, 1):
        assert float(cosine(2.0, 5.0, 0)(jnp.asarray(step))) == 5
    assert float(cosine(2.0, 5.0, 0.5)(jnp.asarray(0))) == 2


@pytest.mark.parametrize(
    "last, burn_in, expected",
    [
        (5e6, 20e6, {0: 0, 5e6: 0.99951545, 10e6: 0.99985805, 20e6: 0.99992902, 9e7: 0.99992902}),
        (0.5e6, 2e6, {0: 0, 1e6: 0.99858144, 2e6: 0.99929047, 9e6: 0.99929047}),
    ],
    ids=["cifar10", "stacked_mnist"],
)
def test_the_average_of_g_forgets_the_more_slowly_the_more_images_were_seen(
    last, burn_in, expected
):
    decay = half_life(cosine(0.0, last / BATCH, burn_in / BATCH))
    for images, value in expected.items():
        np.testing.assert_allclose(at_images(decay, images), value, rtol=0, atol=1e-7)


def test_the_weight_of_penalties_of_stacked_mnist():
    np.testing.assert_allclose(at_images(cosine(1.0, 0.1, 2e6 / BATCH), 1e6), 0.55, rtol=1e-6)


def test_a_half_life_may_be_a_share_of_what_was_seen_up_to_a_limit():
    """StyleGAN2's ramp: 0.05 of the images seen, at most 500,000, at a batch size of 64."""
    limit = 500_000 / 64
    decay: Any = half_life(lambda step: jnp.minimum(0.05 * step, limit))
    found = [float(decay(jnp.asarray(step))) for step in (0, 1000, 156_250, 10**6)]
    expected = [0, 0.98623270, 0.99991128, 0.99991128]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
