import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import wasserstein_distance

from jaxgan.metrics import pyramid_distances, sliced, sliced_wasserstein
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def test_on_a_line_it_is_the_wasserstein_distance():
    x, y = draw(200, 1), 2 * draw(200, 1) + 1
    expected = wasserstein_distance(x.ravel(), y.ravel())
    np.testing.assert_allclose(sliced_wasserstein(x, y, KEY, directions=3), expected, rtol=1e-5)


def test_it_is_the_mean_over_projections():
    x, y = draw(50, 6), draw(50, 6) + 0.3
    normals = np.asarray(jax.random.normal(KEY, (10, 6)), np.float64)
    lines = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    expected = np.mean([wasserstein_distance(x @ line, y @ line) for line in lines])
    np.testing.assert_allclose(sliced_wasserstein(x, y, KEY, directions=10), expected, rtol=1e-5)


@settings(derandomize=True, deadline=None, max_examples=10)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_a_shift_is_as_far_as_its_mean_projection(seed, length):
    # E |v . line| for a line uniform on the sphere in three dimensions is |v| / 2.
    random = np.random.default_rng(seed)
    shift = random.normal(size=3)
    shift *= length / np.linalg.norm(shift)
    x = random.normal(size=(20, 3)).astype(np.float32)
    found = sliced_wasserstein(x, x + shift.astype(np.float32), KEY, directions=4000)
    np.testing.assert_allclose(found, length / 2, rtol=0.05)


def test_it_is_0_on_itself_symmetric_and_blind_to_order():
    x, y = draw(50, 6), draw(50, 6) + 0.3
    assert sliced_wasserstein(x, RANDOM.permutation(x), KEY) == 0
    found = sliced_wasserstein(x, y, KEY)
    np.testing.assert_allclose(sliced_wasserstein(y, x, KEY), found, rtol=1e-6)
    np.testing.assert_allclose(sliced_wasserstein(x, y[::-1], KEY), found, rtol=1e-6)


KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def blur(images: np.ndarray) -> np.ndarray:
    return ndimage.convolve(images, KERNEL[None, :, :, None], mode="mirror")


@pytest.mark.parametrize("size, heights", [((32, 64), [32, 16]), ((128, 128), [128, 64, 32, 16])])
def test_the_pyramid_is_that_of_scipys_filters(size, heights):
    images = draw(2, *size, 3)
    levels = sliced._pyramid(jax.numpy.asarray(images))
    assert [level.shape[1] for level in levels] == heights
    fine = images
    for level in levels[:-1]:
        coarse = blur(fine)[:, ::2, ::2]
        grown = np.zeros_like(fine)
        grown[:, ::2, ::2] = coarse
        np.testing.assert_allclose(level, fine - 4 * blur(grown), atol=1e-5)
        fine = coarse
    np.testing.assert_allclose(levels[-1], fine, atol=1e-5)


@pytest.mark.parametrize("size", [(28, 28), (31, 40), (33, 64), (7, 9)])
def test_sides_that_are_small_or_odd_are_not_halved(size):
    assert len(sliced._pyramid(jax.numpy.zeros((1, *size, 1)))) == 1


def test_descriptors_are_patches_of_every_place_normalized_per_channel():
    images = RANDOM.permutation(2 * 9 * 8 * 2).reshape(2, 9, 8, 2).astype(np.float32)
    found = np.asarray(sliced._descriptors(jax.numpy.asarray(images), KEY, 200))
    assert found.shape == (400, 7 * 7 * 2)
    patches = found.reshape(400, 7, 7, 2)
    np.testing.assert_allclose(patches.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(patches.std((0, 1, 2)), 1, atol=1e-5)
    # Values are all different, so each patch betrays its place.
    windows = np.lib.stride_tricks.sliding_window_view(images, (7, 7), (1, 2))
    windows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 7, 7, 2)
    shapes = {tuple(np.argsort(p[..., 0], axis=None)) for p in patches}
    assert shapes == {tuple(np.argsort(w[..., 0], axis=None)) for w in windows}


@pytest.mark.slow
def test_images_have_a_distance_on_each_level():
    x, y = draw(400, 32, 32, 1), draw(400, 32, 32, 1)
    same, other = (pyramid_distances(x, z, KEY, patches=8, directions=16) for z in (x, y))
    assert same == {32: 0.0, 16: 0.0}
    smooth = ndimage.gaussian_filter(y, (0, 2, 2, 0)).astype(np.float32)
    blurred = pyramid_distances(x, smooth, KEY, patches=8, directions=16)
    assert all(blurred[height] > 2 * other[height] > 0 for height in (32, 16))


def test_the_range_of_images_does_not_matter_and_collapsed_ones_are_far():
    x, y = draw(30, 28, 28, 3), draw(30, 28, 28, 3)
    found = pyramid_distances(x, y, KEY, patches=4, directions=8)
    scaled = pyramid_distances(127 * x + 128, 127 * y + 128, KEY, patches=4, directions=8)
    np.testing.assert_allclose(scaled[28], found[28], rtol=1e-2)
    assert pyramid_distances(x, 0 * y, KEY, patches=4, directions=8)[28] > 0.5


def test_bad_input():
    x = draw(5, 4)
    with pytest.raises(UserError, match=r"of equal shape, not \[5, 4\] with \[4, 4\]"):
        sliced_wasserstein(x, x[:4], KEY)
    with pytest.raises(UserError, match="1 or more directions, not 0"):
        sliced_wasserstein(x, x, KEY, directions=0)
    with pytest.raises(UserError, match="1 or more patches, not 0"):
        pyramid_distances(draw(2, 8, 8, 1), draw(2, 8, 8, 1), KEY, patches=0)
    with pytest.raises(UserError, match="images of 6 x 8 have no patches of 7 x 7"):
        pyramid_distances(draw(2, 6, 8, 1), draw(2, 6, 8, 1), KEY)
    with pytest.raises(UserError, match=r"real images must have the shape \[N, H, W, C\]"):
        pyramid_distances(draw(2, 28, 28), draw(2, 28, 28), KEY)
