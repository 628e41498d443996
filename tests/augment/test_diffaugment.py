"""DiffAugment's augmentations against what they are defined as, image by image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import augment
from jaxgan.augment import compose, of_batch

KEY = jax.random.key(4)
N = 1000
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (N, 6, 8, 3)), jnp.float32)
SQUARE = IMAGES[:, :, :6]
ALL = {
    "brightness": augment.brightness(),
    "saturation": augment.saturation(),
    "contrast": augment.contrast(),
    "translation": augment.translation(),
    "cutout": augment.cutout(),
    "quarter_turns": augment.quarter_turns(),
    "together": compose(augment.color(), augment.translation(), augment.cutout()),
}


def applied(augmentation, images=IMAGES, key=KEY):
    return np.asarray(jax.jit(of_batch(augmentation))(images, key))


@pytest.mark.parametrize("name", ALL)
def test_each_image_is_changed_by_itself_and_differentiably(name):
    few = SQUARE[:8]
    found = applied(ALL[name], few)
    assert found.shape == few.shape and found.dtype == few.dtype
    np.testing.assert_array_equal(applied(ALL[name], few[:3]), found[:3])
    assert len({(a - b).tobytes() for a, b in zip(found, np.asarray(few), strict=True)}) > 1
    # A slope for every image: what comes out depends on what goes in.
    slopes = jax.grad(lambda images: (of_batch(ALL[name])(images, KEY) ** 2).sum())(few)
    assert np.isfinite(slopes).all() and (np.abs(slopes).max((1, 2, 3)) > 0).all()


def test_brightness_adds_one_number_to_an_image():
    added = applied(ALL["brightness"]) - IMAGES
    assert np.ptp(added, (1, 2, 3)).max() < 1e-6
    each = added.mean((1, 2, 3))
    assert -0.5 <= each.min() < -0.45 and 0.45 < each.max() <= 0.5
    np.testing.assert_allclose(each.var(), 1 / 12, rtol=0.1)


@pytest.mark.parametrize(
    ("name", "axes", "low", "high"), [("saturation", 3, 0, 2), ("contrast", (1, 2, 3), 0.5, 1.5)]
)
def test_saturation_and_contrast_scale_around_a_mean(name, axes, low, high):
    found = applied(ALL[name])
    mean = np.asarray(IMAGES).mean(axes, keepdims=True)
    np.testing.assert_allclose(found.mean(axes, keepdims=True), mean, atol=1e-6)
    scales = np.linalg.norm((found - mean).reshape(N, -1), axis=1) / np.linalg.norm(
        (IMAGES - mean).reshape(N, -1), axis=1
    )
    np.testing.assert_allclose(
        found, mean + (IMAGES - mean) * scales.reshape(-1, 1, 1, 1), atol=1e-5
    )
    span = high - low
    assert low - 1e-6 <= scales.min() < low + 0.05 * span
    assert high - 0.05 * span < scales.max() <= high + 1e-6


def test_gray_images_have_no_saturation():
    gray = IMAGES[..., :1]
    np.testing.assert_allclose(applied(ALL["saturation"], gray), gray, atol=1e-6)


def test_translation_moves_by_whole_pixels_and_zeros_come_in():
    found = applied(augment.translation(0.25))  # 1.5 and 2 pixels, rounded to 2 and 2
    moves = set()
    for before, after in zip(np.asarray(IMAGES), found, strict=True):
        padded = np.pad(before, ((2, 2), (2, 2), (0, 0)))
        fits = [
            (i - 2, j - 2)
            for i in range(5)
            for j in range(5)
            if np.array_equal(padded[i : i + 6, j : j + 8], after)
        ]
        assert len(fits) == 1
        moves |= set(fits)
    assert moves == {(i, j) for i in range(-2, 3) for j in range(-2, 3)}


def test_cutout_sets_a_box_to_zero():
    found = applied(ALL["cutout"])  # a box of 3 by 4
    kept = found == np.asarray(IMAGES)
    heights, widths = set(), set()
    for image, same in zip(found, kept.all(3), strict=True):
        assert (image[~same] == 0).all()
        rows, columns = (~same).any(1), (~same).any(0)
        np.testing.assert_array_equal(~same, rows[:, None] & columns)
        for places in (rows, columns):  # without a gap
            assert np.abs(np.diff(np.pad(places.astype(int), 1))).sum() == 2
        heights.add(int(rows.sum()))
        widths.add(int(columns.sum()))
    assert heights == {2, 3} and widths == {2, 3, 4}  # at a border, half of it


def test_quarter_turns_are_all_four():
    found = applied(ALL["quarter_turns"], SQUARE)
    counts = [
        sum(
            np.array_equal(np.rot90(a, turns), b)
            for a, b in zip(np.asarray(SQUARE), found, strict=True)
        )
        for turns in range(4)
    ]
    assert sum(counts) == N and min(counts) > N / 5
