from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.nn import equalized, resampling

# As one program each, for compiling takes most of the time here.
convolve_same = jax.jit(equalized.convolve_same)
convolve_up, convolve_down = jax.jit(resampling.convolve_up), jax.jit(resampling.convolve_down)
upsample, downsample = jax.jit(resampling.upsample), jax.jit(resampling.downsample)
DRAW = np.random.default_rng(0).normal


def on_one_axis(function, numbers) -> np.ndarray:
    """What a function of images makes of a row: of columns that are alike, far from the borders."""
    rows = jnp.asarray(numbers, jnp.float32).reshape(1, -1, 1, 1)
    images = jnp.broadcast_to(rows, (1, len(numbers), 8, 1))
    result: Any = function(images)
    return np.asarray(result)[0, :, result.shape[2] // 2, 0]


def test_upsampling_by_hand():
    rows = [0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 3]
    np.testing.assert_array_equal(on_one_axis(upsample, [1, 2, 3, 4]), rows)
    np.testing.assert_array_equal(on_one_axis(upsample, [1, 1, 1]), [0.75, 1, 1, 1, 1, 0.75])


def test_downsampling_by_hand():
    np.testing.assert_array_equal(on_one_axis(downsample, [1, 2, 3, 4]), [1.5, 2.875])
    np.testing.assert_array_equal(on_one_axis(downsample, [1, 1, 1, 1]), [0.875, 0.875])


def test_both_axes_are_treated_alike():
    x = jnp.asarray(DRAW(size=(2, 4, 6, 3)), jnp.float32)
    for function in (upsample, downsample):
        turned = function(x.swapaxes(1, 2)).swapaxes(1, 2)
        np.testing.assert_allclose(function(x), turned, rtol=1e-5, atol=1e-6)


def test_each_image_and_channel_is_resampled_by_itself():
    x = jnp.asarray(DRAW(size=(2, 4, 4, 3)), jnp.float32)
    for function in (upsample, downsample):
        np.testing.assert_array_equal(function(x)[1:, ..., 2:], function(x[1:, ..., 2:]))


def test_inside_upsampling_is_bilinear():
    x = jnp.asarray(DRAW(size=(1, 5, 6, 2)), jnp.float32)
    expected = jax.image.resize(x, (1, 10, 12, 2), "bilinear")
    found = upsample(x)
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-6)
    assert not np.allclose(found[:, 0], expected[:, 0], atol=1e-3)  # the border sees zeros


def inner(a, b):
    return (a * b).sum()


def test_up_is_four_times_the_adjoint_of_down():
    with jax.enable_x64(True):
        small, large = jnp.asarray(DRAW(size=(2, 3, 2, 2))), jnp.asarray(DRAW(size=(2, 6, 4, 2)))
        kernel = jnp.asarray(DRAW(size=(3, 3, 2, 2)))
        np.testing.assert_allclose(
            inner(upsample(small), large), 4 * inner(small, downsample(large)), rtol=1e-12
        )
        np.testing.assert_allclose(
            inner(convolve_up(small, kernel), large),
            4 * inner(small, convolve_down(large, kernel.swapaxes(2, 3))),
            rtol=1e-12,
        )


def zeros_around(x, width: int):
    return jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)))


def test_convolutions_that_resample_are_a_convolution_and_a_resampling():
    """In images without borders, which is what zeros all around are made for."""
    x = jnp.asarray(DRAW(size=(1, 4, 6, 2)), jnp.float32)
    kernel = jnp.asarray(DRAW(size=(3, 3, 2, 3)), jnp.float32)
    enlarged = convolve_same(upsample(zeros_around(x, 2)), jnp.flip(kernel, (0, 1)))
    np.testing.assert_allclose(convolve_up(x, kernel), enlarged[:, 4:-4, 4:-4], atol=1e-4)
    # The filter moves the picture by half a pixel, so that stride 2 meets its grid.
    smooth = jnp.asarray(np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64, jnp.float32)
    filters = smooth.reshape(4, 4, 1, 1) * jnp.eye(2).reshape(1, 1, 2, 2)

    def conv(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=numbers)

    expected = conv(conv(zeros_around(x, 2), filters), kernel)[:, ::2, ::2]
    np.testing.assert_allclose(convolve_down(x, kernel), expected, atol=1e-4)
    assert convolve_up(x, kernel).shape == (1, 8, 12, 3)
    assert convolve_down(x, kernel).shape == (1, 2, 3, 3)
