"""Operators are linear, have adjoints, and do what Pillow and SciPy do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from jaxgan import restoration

KEY = jax.random.key(0)
MASK = restoration.scattered(0.4)(8, 12, KEY)[None]
OPERATORS = {
    "keep": restoration.keep(MASK),
    "blur": restoration.blur(1.5),
    "downscale": restoration.downscale(4),
    "gray": restoration.gray,
    "several": restoration.compose(
        restoration.blur(0.7), restoration.downscale(2), restoration.gray
    ),
    "one's own": lambda images: jnp.diff(images, axis=2),
}


def normal(name: str, *shape: int):
    return jax.random.normal(jax.random.fold_in(KEY, len(name)), shape)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_linear_and_have_adjoints(name):
    operator = OPERATORS[name]
    x, y = normal("x", 3, 8, 12, 3), normal("yy", 3, 8, 12, 3)
    seen = operator(x)
    np.testing.assert_allclose(operator(2 * x - y), 2 * seen - operator(y), atol=1e-5)
    other = normal("other", *seen.shape)
    adjoint = jax.linear_transpose(operator, x)(other)[0]
    assert float((seen * other).sum()) == pytest.approx(float((x * adjoint).sum()), rel=1e-4)
    for place in range(3):  # each picture by itself
        np.testing.assert_allclose(operator(x[place : place + 1])[0], seen[place], atol=1e-5)


@pytest.mark.parametrize("deviation", [0.5, 1.5, 4.0])  # the last is wider than the picture
def test_a_blur_is_scipys_gaussian_filter(deviation):
    images = np.random.default_rng(0).random((2, 9, 14, 3))
    expected = ndimage.gaussian_filter(images, (0, deviation, deviation, 0))
    found = restoration.blur(deviation)(jnp.asarray(images, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(restoration.blur(deviation)(jnp.ones((1, 9, 14, 1))), 1, atol=1e-6)


def test_downscaling_takes_means_and_gray_is_pillows():
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 12, 3), np.uint8)
    small = restoration.downscale(4)(jnp.asarray(images, jnp.float32))
    np.testing.assert_allclose(small[0, 1, 2], images[0, 4:, 8:].mean((0, 1)), rtol=1e-5)
    gray = restoration.gray(jnp.asarray(images, jnp.float32))[0, ..., 0]
    np.testing.assert_allclose(gray, np.asarray(Image.fromarray(images[0]).convert("L")), atol=0.51)
    with pytest.raises(ValueError, match="squares of 5 pixels do not divide 8 x 12"):
        restoration.downscale(5)(jnp.asarray(images, jnp.float32))


def test_masks_lack_what_they_say():
    hole = ~np.asarray(restoration.center()(28, 20, KEY))
    assert hole.shape == (28, 20, 1) and hole[7:21, 5:15].all() and hole.sum() == 14 * 10
    assert (~restoration.center(1 / 4)(28, 28, KEY)).sum() == 49
    missing = ~np.asarray(restoration.left()(28, 21, KEY))
    assert missing[:, :11].all() and not missing[:, 11:].any()
    for share, count in ((0.5, 48), (0.1, 10)):
        known = restoration.scattered(share)(8, 12, KEY)
        assert known.shape == (8, 12, 1) and (~known).sum() == count
        assert (known != restoration.scattered(share)(8, 12, jax.random.key(1))).any()
