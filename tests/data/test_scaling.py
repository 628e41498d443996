import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.data.scaling import scale, unscale

PIXELS = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0), (-0.5, 2.0)])
def test_unscale_inverts_scale(low, high):
    values = scale(PIXELS, low, high)
    assert values.dtype == jnp.float32
    assert (values[0], values[-1]) == (low, high)
    np.testing.assert_array_equal(unscale(values, low, high), PIXELS)


def test_scale_is_linear():
    np.testing.assert_allclose(scale(PIXELS, -1.0, 1.0), (PIXELS - 127.5) / 127.5, atol=1e-6)


def test_unscale_rounds_and_clips():
    pixels = unscale(jnp.array([-7.0, 0.4 / 255, 0.6 / 255, 9.0]), 0.0, 1.0)
    assert pixels.dtype == jnp.uint8
    np.testing.assert_array_equal(pixels, [0, 0, 1, 255])
