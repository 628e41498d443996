"""Transformations of colors against what they are in NumPy, pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.augment import colors
from jaxgan.augment.matrices import product

rng = np.random.default_rng(0)
IMAGE = rng.uniform(-1, 1, (4, 3, 3))
MEAN = IMAGE.mean(2, keepdims=True)
N = 1000
KEYS = jax.random.split(jax.random.key(2), N)


def applied(draw, image=IMAGE):
    """What becomes of an image with each of many keys, in float64."""
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(colors.recolored(draw), (None, 0)))(jnp.asarray(image), KEYS)
        assert found.dtype == jnp.float64
        return np.asarray(found)


def by_angle(angle, monkeypatch):
    """The turn of hues by a given angle in place of a drawn one."""
    monkeypatch.setattr(jax.random, "uniform", lambda *args: jnp.asarray(angle))
    with jax.enable_x64(True):
        matrix = colors.turn_hue(jnp.zeros((1, 1, 3), jnp.float64), KEYS[0])
        return np.asarray(colors.recolor(jnp.asarray(IMAGE), matrix))


def test_brightness_adds_a_normal_number():
    added = applied(colors.brighten(0.2)) - IMAGE
    np.testing.assert_allclose(np.ptp(added, (1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(added[:, 0, 0, 0].std(), 0.2, rtol=0.1)


def test_contrast_and_saturation_are_log_normal_scales():
    contrast = applied(colors.amplify(0.5)) / IMAGE
    saturation = (applied(colors.saturate(0.5)) - MEAN) / (IMAGE - MEAN)
    for scales in (contrast, saturation):
        np.testing.assert_allclose(np.ptp(scales, (1, 2, 3)), 0, atol=1e-10)
        logs = np.log2(scales[:, 0, 0, 0])
        np.testing.assert_allclose(logs.std(), 0.5, rtol=0.1)
        assert abs(logs.mean()) < 0.08


def test_flipped_luma_is_that_of_half_of_the_images_and_flipped_twice_is_as_before():
    found = applied(colors.flip_luma)
    flipped = np.isclose(found, IMAGE - 2 * MEAN).all((1, 2, 3))
    kept = np.isclose(found, IMAGE).all((1, 2, 3))
    assert (flipped | kept).all() and abs(flipped.mean() - 0.5) < 0.07
    # The same key for both: what is drawn is drawn twice.
    twice = applied(lambda image, key: jnp.linalg.matrix_power(colors.flip_luma(image, key), 2))
    np.testing.assert_allclose(twice, np.broadcast_to(IMAGE, twice.shape), atol=1e-12)


def test_hues_turn_around_gray(monkeypatch):
    found = applied(colors.turn_hue)
    np.testing.assert_allclose(found.mean(3, keepdims=True), MEAN[None] + 0 * found[..., :1])
    lengths = np.linalg.norm(found - MEAN, axis=3)
    np.testing.assert_allclose(lengths, np.linalg.norm(IMAGE - MEAN, axis=2)[None] + 0 * lengths)
    first, second = IMAGE[0, 0] - MEAN[0, 0], found[:, 0, 0] - MEAN[0, 0]
    across = np.cross(np.ones(3) / np.sqrt(3), first)
    angles = np.arctan2(second @ across, second @ first)
    assert np.histogram(angles, 8, (-np.pi, np.pi))[0].min() > 80  # of 125
    np.testing.assert_allclose(by_angle(2 * np.pi, monkeypatch), IMAGE, atol=1e-12)
    # A third of a turn makes red green, green blue, and blue red.
    np.testing.assert_allclose(
        by_angle(2 * np.pi / 3, monkeypatch), np.roll(IMAGE, 1, 2), atol=1e-12
    )


ALL = product(
    colors.brighten(), colors.amplify(), colors.flip_luma, colors.turn_hue, colors.saturate()
)


def test_a_product_does_its_first_factor_first():
    def brighten(image, key):
        return jnp.eye(4).at[3, :3].set(1.0)

    def halve(image, key):
        return jnp.diag(jnp.array([0.5, 0.5, 0.5, 1.0]))

    found = applied(product(brighten, halve))[0]
    np.testing.assert_allclose(found, (IMAGE + 1) / 2, atol=1e-12)


def test_one_channel_is_the_mean_of_three_equal_ones():
    gray = applied(ALL, MEAN)
    three = applied(ALL, MEAN.repeat(3, 2))
    assert gray.shape == (N, 4, 3, 1)
    np.testing.assert_allclose(gray, three.mean(3, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(three, gray.repeat(3, 3), atol=1e-12)  # hue and saturation of gray


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(ValueError, match="1 or 3 channels, not 2"):
        colors.recolor(jnp.zeros((2, 2, 2)), jnp.eye(4))
