import numpy as np
import pytest
from scipy import ndimage

from jaxgan.metrics import psnr, squared_errors, ssim
from jaxgan.util.errors import UserError


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of two images [H, W] in 0..1, in float64."""

    def window(image):
        return ndimage.gaussian_filter(image, 1.5, truncate=3.5)[5:-5, 5:-5]

    x, y = x.astype(np.float64), y.astype(np.float64)
    m, n = window(x), window(y)
    spread = window(x * x) - m * m + window(y * y) - n * n
    luminance = (2 * m * n + 0.01**2) / (m * m + n * n + 0.01**2)
    return float((luminance * (2 * (window(x * y) - m * n) + 0.03**2) / (spread + 0.03**2)).mean())


def test_the_first_two_digits_of_mnist_give_the_numbers_of_scikit_image(digits):
    a, b = digits[:1], digits[1:2]
    np.testing.assert_allclose(psnr(squared_errors(a, b), data_range=1), [7.9056], atol=5e-5)
    np.testing.assert_allclose(ssim(a, b, data_range=1), [-0.00881], atol=5e-6)


def test_ssim_is_its_definition_channel_by_channel(digits):
    x = np.concatenate([digits[:4], digits[4:8], digits[8:12]], axis=-1)
    y = x[:, :, ::-1] * 0.5 + 0.1
    expected = np.mean(
        [[by_definition(x[i, ..., c], y[i, ..., c]) for c in range(3)] for i in range(4)], axis=1
    )
    np.testing.assert_allclose(ssim(x, y, data_range=1), expected, atol=1e-5)
    np.testing.assert_allclose(ssim(255 * x, 255 * y, data_range=255), expected, atol=1e-5)
    np.testing.assert_allclose(ssim(x, x, data_range=1), 1, atol=1e-6)


def test_psnr_of_the_mean_error_is_not_the_mean_of_psnrs():
    a, b = np.zeros((2, 2, 2, 1)), np.zeros((2, 2, 2, 1))
    b[0], b[1] = 0.1, 1.0
    errors = squared_errors(a, b)
    np.testing.assert_allclose(psnr(errors, data_range=1), [20, 0], atol=1e-5)
    of_mean = psnr(errors.mean(), data_range=1)
    np.testing.assert_allclose(of_mean, -10 * np.log10(0.505), atol=1e-4)
    assert np.isposinf(psnr(squared_errors(a, a), data_range=1)).all()
    for white in (255, np.uint8(255)):  # whose square is no uint8
        np.testing.assert_allclose(psnr(errors * 255**2, data_range=white), [20, 0], atol=1e-4)


def test_a_mask_chooses_the_pixels(digits):
    a, b = digits[:3], digits[3:6]
    mask = np.random.default_rng(0).random((3, 28, 28, 1)) < 0.3
    expected = [((x - y) ** 2)[m].mean() for x, y, m in zip(a, b, mask, strict=True)]
    np.testing.assert_allclose(squared_errors(a, b, mask), expected, rtol=1e-5)
    one = squared_errors(a, b, mask[:1])
    np.testing.assert_allclose(one[1], ((a[1] - b[1]) ** 2)[mask[0]].mean(), rtol=1e-5)


def test_shapes_that_do_not_fit_are_refused(digits):
    for function in (squared_errors, lambda a, b: ssim(a, b, data_range=1)):
        with pytest.raises(UserError, match="pair by pair, not"):
            function(digits[:2], digits[:3])
    with pytest.raises(UserError, match="a mask of the shape"):
        squared_errors(digits[:2], digits[:2], np.ones((2, 28, 28), bool))
