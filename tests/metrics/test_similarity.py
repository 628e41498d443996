import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from jaxgan.metrics import ms_ssim, pair_similarities
from jaxgan.metrics.similarity import scales
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


@pytest.mark.parametrize(
    "size, count",
    [((10, 50), 0), ((11, 11), 1), ((28, 28), 2), ((32, 300), 2), ((64, 64), 3), ((176, 176), 5),
     ((175, 176), 4), ((1000, 1000), 5)],
)  # fmt: skip
def test_as_many_scales_as_the_window_fits_on(size, count):
    assert scales(*size) == count


def tiled(digits: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    """Three images of this size, in -1..1, made of digits."""
    rows, columns = size[0] // 28 + 1, size[1] // 28 + 1
    tiles = digits[: 3 * rows * columns * channels, ..., 0]
    tiles = tiles.reshape(3, rows, columns, channels, 28, 28).transpose(0, 1, 4, 2, 5, 3)
    return 2 * tiles.reshape(3, rows * 28, columns * 28, channels)[:, : size[0], : size[1]] - 1


def by_definition(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """MS-SSIM of images [N, H, W] in -1..1, with scipy's filter in float64."""

    def window(images):  # of 11 x 11, where it is within the image
        blurred = ndimage.gaussian_filter(images, (0, 1.5, 1.5), truncate=3.5)
        return blurred[:, 5:-5, 5:-5]

    a, b = x.astype(np.float64), y.astype(np.float64)
    count = scales(*x.shape[1:])
    product = np.ones(len(x))
    for scale in range(count):
        means = window(a), window(b)
        products = [window(p * q) - m * n for p, m in ((a, means[0]), (b, means[1]))
                    for q, n in ((a, means[0]), (b, means[1]))]  # fmt: skip
        kept = (2 * products[1] + 0.06**2) / (products[0] + products[3] + 0.06**2)
        if scale == count - 1:
            kept *= (2 * means[0] * means[1] + 0.02**2) / (means[0] ** 2 + means[1] ** 2 + 0.02**2)
        product *= kept.mean((1, 2)).clip(0) ** (WEIGHTS[scale] / WEIGHTS[:count].sum())
        rows, columns = (side // 2 * 2 for side in a.shape[1:])
        a, b = (
            (z[:, :rows:2, :columns:2] + z[:, 1:rows:2, :columns:2]
             + z[:, :rows:2, 1:columns:2] + z[:, 1:rows:2, 1:columns:2]) / 4
            for z in (a, b)
        )  # fmt: skip
    return product


@pytest.mark.parametrize(
    "size, channels",
    [
        ((28, 30), 1),
        pytest.param((45, 60), 3, marks=pytest.mark.slow),
        pytest.param((176, 180), 1, marks=pytest.mark.slow),
    ],
)
def test_it_is_the_definition_channel_by_channel(digits, size, channels):
    x = tiled(digits, size, channels)
    noise = np.random.default_rng(0).normal(0, 0.3, x.shape)
    y = np.clip(x + noise, -1, 1).astype(np.float32)
    expected = np.mean([by_definition(x[..., c], y[..., c]) for c in range(channels)], axis=0)
    np.testing.assert_allclose(ms_ssim(x, y, data_range=2), expected, atol=1e-5)


def test_an_image_is_like_itself(digits):
    np.testing.assert_allclose(ms_ssim(digits[:5], digits[:5], data_range=1), 1, atol=1e-6)


@settings(derandomize=True, deadline=None, max_examples=10)
@given(st.integers(0, 9000), st.floats(0.1, 300))
def test_symmetry_and_scale(digits, start, white):
    x, y = digits[start : start + 5], digits[start + 5 : start + 10]
    found = ms_ssim(x, y, data_range=1)
    np.testing.assert_allclose(ms_ssim(y, x, data_range=1), found, atol=1e-6)
    white = np.float32(white)
    scaled = ms_ssim(white * x, white * y, data_range=float(white))
    np.testing.assert_allclose(scaled, found, atol=1e-4)
    assert ((found >= 0) & (found <= 1)).all()


def test_pairs_are_of_two_different_samples_each_equally_often():
    # Constant images: how alike two are depends on their gray alone and says which two they are.
    gray = np.array([0.0, 0.1, 0.3, 1.0], np.float32)
    images = np.broadcast_to(gray[:, None, None, None], (4, 11, 11, 1))
    found = np.asarray(pair_similarities(images, KEY, data_range=1, pairs=3000))
    first, second = np.triu_indices(4, 1)
    values = np.asarray(ms_ssim(images[first], images[second], data_range=1))
    assert len(np.unique(values.round(5))) == 6
    nearest = np.abs(found[:, None] - values[None])
    assert nearest.min(1).max() < 1e-5  # none of an image and itself, which would be 1
    counts = np.bincount(nearest.argmin(1), minlength=6)
    assert (np.abs(counts - 500) < 5 * np.sqrt(500)).all()


@pytest.mark.slow
def test_the_less_diverse_the_more_similar(digits, digit_labels):
    def mean(images):
        return float(pair_similarities(images, KEY, data_range=1, pairs=512).mean())

    some, ones = digits[:500], digits[digit_labels == 1][:500]
    assert mean(some) < mean(ones) < mean(ones[:1].repeat(500, 0))
    assert mean(some[:2].repeat(250, 0)) > mean(some) + 0.2


def test_bad_input():
    x = np.zeros((3, 28, 28, 1), np.float32)
    with pytest.raises(UserError, match="11 x 11 or larger, not 10 x 28"):
        ms_ssim(x[:, :10], x[:, :10], data_range=1)
    with pytest.raises(UserError, match="pair by pair"):
        ms_ssim(x, x[:2], data_range=1)
    with pytest.raises(UserError, match="finite and above 0, not 0"):
        ms_ssim(x, x, data_range=0)
    with pytest.raises(UserError, match="1 images are too few; the metric needs 2"):
        pair_similarities(x[:1], KEY, data_range=1)
    with pytest.raises(UserError, match="1 pair or more, not 0"):
        pair_similarities(x, KEY, data_range=1, pairs=0)
