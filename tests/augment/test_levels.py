"""Noise of levels against its closed form, and augmentations that all levels share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.augment import color, compose, cutout, level_noise, of_batch, on_levels, translation
from jaxgan.augment.levels import noise_shares

KEY = jax.random.key(0)


def test_shares_are_those_of_the_source():
    np.testing.assert_allclose(noise_shares(), [0.885, 0.76, 0.51, 0.01], atol=1e-12)


@pytest.mark.parametrize("shares", [None, (0.9, 0.4, 0.3)])
def test_noises_are_a_chain_with_the_deviations_asked_for(shares):
    t = noise_shares() if shares is None else np.array(shares)
    n = 100_000
    hidden = level_noise(shares)(jnp.zeros((1, n, 1, 1)), KEY)
    assert hidden.shape == (len(t), n, 1, 1)
    noise = np.asarray(hidden).reshape(len(t), n)
    np.testing.assert_allclose(noise.std(1), t, rtol=0.01)
    # n_i is r n_(i+1) and something independent, so products follow from the chain.
    rest = (1 - t[:-1]) / (1 - t[1:])
    for later in range(1, len(t)):
        for level in range(later):
            slope = np.prod(rest[level:later])
            covariance = (noise[level] * noise[later]).mean()
            np.testing.assert_allclose(covariance, slope * t[later] ** 2, atol=0.01 * t[level])
            correlation = covariance / (t[level] * t[later])
            np.testing.assert_allclose(correlation, slope * t[later] / t[level], atol=0.015)


def test_a_picture_remains_as_far_as_it_should():
    pictures = jax.random.normal(KEY, (4, 3, 2, 1))
    hide = level_noise()
    noise = hide(jnp.zeros((1, 3, 2, 1)), KEY)
    for levels in (pictures, pictures[:1]):
        remains = hide(levels, KEY) - noise
        shares = (1 - noise_shares()).reshape(-1, 1, 1, 1)
        np.testing.assert_allclose(remains, shares * np.asarray(levels), atol=1e-5)


def test_where_pictures_are_alike_a_level_is_the_next_one_with_more_noise():
    # So the next level tells all that a level does.
    t = noise_shares()
    picture = jnp.broadcast_to(jax.random.normal(KEY, (100_000, 1, 1)), (4, 100_000, 1, 1))
    hidden = np.asarray(level_noise()(picture, jax.random.key(1))).reshape(4, -1)
    for level in range(3):
        rest = (1 - t[level]) / (1 - t[level + 1])
        added = hidden[level] - rest * hidden[level + 1]
        assert abs((added * hidden[level + 1]).mean()) < 0.01
        assert abs((added * np.asarray(picture[0]).ravel()).mean()) < 0.01


def test_levels_share_one_draw_of_an_augmentation():
    augment = compose(color(), translation(), cutout())
    image = jax.random.normal(KEY, (8, 8, 3))
    levels = jnp.stack([image, image, 2 * image])
    found = on_levels(augment)(levels, KEY)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[2], augment(2 * image, KEY), atol=1e-6)
    batch = jnp.stack([levels, levels])
    first, second = of_batch(on_levels(augment))(batch, KEY)
    np.testing.assert_array_equal(first[0], first[1])
    assert np.abs(first[0] - second[0]).max() > 0.1  # examples do not


def test_the_type_of_levels_is_kept():
    assert level_noise()(jnp.zeros((1, 2, 2, 1), jnp.bfloat16), KEY).dtype == jnp.bfloat16


@pytest.mark.parametrize("shares", [(0.1, 0.5), (0.5, 0.5), (1.0, 0.5), (0.5, 0.0)])
def test_shares_of_noise_must_fall_between_one_and_zero(shares):
    with pytest.raises(ValueError, match="shares of noise must fall"):
        level_noise(shares)


def test_one_level_has_no_shares():
    with pytest.raises(ValueError, match="2 at least, not 1"):
        noise_shares(1)
