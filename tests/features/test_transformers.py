"""DINOv2 and CLIP: sizes, positions and colors. Their arithmetic: tests/parity."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.features import clip, dinov2, extract
from jaxgan.features.transformer import Size
from jaxgan.util.errors import UserError

TINY = Size(width=8, depth=2, heads=2, patch=14, grid=3)
RANDOM = np.random.default_rng(0)


def draw(shapes) -> dict[str, np.ndarray]:
    return {name: RANDOM.normal(size=shape) for name, shape in shapes.items()}


def test_the_networks_have_the_published_sizes():
    counts = [
        sum(map(math.prod, shapes.values()))
        for shapes in (
            dinov2.shapes(dinov2.LARGE),
            dinov2.shapes(dinov2.BASE),
            clip.shapes(clip.LARGE, clip.FEATURES),
        )
    ]
    assert counts == [304_368_640, 86_580_480, 304_293_888]


def test_positions_of_the_right_size_stay():
    positions = RANDOM.normal(size=(16, 16, 3))
    np.testing.assert_array_equal(dinov2.interpolate(positions, 16), positions)


def test_interpolated_positions_follow_what_is_smooth():
    rows, columns = np.mgrid[:37, :37]
    planes = np.stack([rows, columns, np.ones_like(rows)], 2).astype(float)
    found = dinov2.interpolate(planes, 16)
    places = (np.arange(16) + 0.5) * 37 / 16.1 - 0.5  # not 37 / 16
    np.testing.assert_allclose(found[..., 2], 1, rtol=1e-12)
    np.testing.assert_allclose(found[:, 3, 0], places, atol=0.15)  # a = -0.75 is no line
    np.testing.assert_allclose(found[5, :, 1], places, atol=0.15)
    assert abs(found[:, 3, 0] - (np.arange(16) + 0.5) * 37 / 16 + 0.5).max() > 0.15


@pytest.mark.slow
def test_gray_is_seen_as_three_equal_channels():
    gray = RANDOM.integers(0, 256, (3, 28, 28, 1), np.uint8)
    for extractor in (
        dinov2.from_state_dict(draw(dinov2.shapes(TINY)), TINY),
        clip.from_state_dict(draw(clip.shapes(TINY, 5)), TINY, 5),
    ):
        features = extract(extractor, gray)
        np.testing.assert_allclose(features, extract(extractor, gray.repeat(3, 3)), rtol=1e-5)
        with pytest.raises(UserError, match="takes images of 1 or 3 channels, not 2"):
            extractor.features(jnp.zeros((1, 28, 28, 2)))


def test_features_of_clip_have_length_1():
    extractor = clip.from_state_dict(draw(clip.shapes(TINY, 5)), TINY, 5)
    features = extract(extractor, RANDOM.integers(0, 256, (4, 50, 42, 3), np.uint8))
    assert features.shape == (4, 5)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)


def test_the_hash_is_of_the_weights():
    weights = draw(dinov2.shapes(TINY))
    first = dinov2.from_state_dict(weights, TINY).weights_hash
    assert dinov2.from_state_dict(dict(reversed(weights.items())), TINY).weights_hash == first
    weights["norm.bias"][0] += 1
    assert dinov2.from_state_dict(weights, TINY).weights_hash != first


def test_weights_of_another_size_are_refused():
    with pytest.raises(UserError, match=r"has the shape"):
        dinov2.from_state_dict(draw(dinov2.shapes(TINY)), TINY._replace(width=16))
    with pytest.raises(UserError, match="lacks transformer.resblocks.2"):
        clip.from_state_dict(draw(clip.shapes(TINY, 5)), TINY._replace(depth=3), 5)
