from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.features import digits
from jaxgan.latents import lerp, slerp
from jaxgan.metrics import path_lengths, perceptual_path_length
from jaxgan.models.stylegan2 import Generator
from jaxgan.util.errors import UserError

RANDOM = np.random.default_rng(0)
A, B, MATRIX = (RANDOM.normal(size=size) for size in ((6, 5), (6, 5), (5, 7)))
PLACES = np.linspace(0, 0.9, 6)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-2)])
def test_of_a_linear_generator_it_is_the_squared_length_of_the_image_of_the_way(dtype, tolerance):
    with jax.enable_x64(True):
        a, b, matrix, places = (jnp.asarray(x, dtype) for x in (A, B, MATRIX, PLACES))
        found = jax.jit(lambda t: path_lengths(lambda t: lerp(a, b, t) @ matrix, t))(places)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, (((B - A) @ MATRIX) ** 2).sum(1), rtol=tolerance)


def test_along_a_circle_it_is_the_squared_angle_times_the_squared_radius():
    with jax.enable_x64(True):
        a = jnp.array([[3.0, 0, 0]])
        b = 3 * jnp.array([[jnp.cos(1.2), jnp.sin(1.2), 0]])
        found = path_lengths(lambda t: slerp(a, b, t), jnp.array([0.4]))
        np.testing.assert_allclose(found, (3 * 1.2) ** 2, rtol=1e-7)


def test_features_are_of_any_shape_and_the_step_is_divided_out():
    with jax.enable_x64(True):
        scale = jnp.arange(1.0, 25).reshape(1, 4, 3, 2)
        for step in (1e-3, 1e-4):
            found = path_lengths(lambda t: t[:, None, None, None] * scale, jnp.zeros(2), step=step)
            np.testing.assert_allclose(found, (np.arange(1, 25) ** 2).sum(), rtol=1e-9)


def test_the_digit_network_sees_a_way_from_one_picture_to_another():
    ends = jax.random.uniform(jax.random.key(0), (2, 2, 28 * 28))
    features = digits.load().features

    @jax.jit
    def lengths(a, b):
        def path(t):
            return features(lerp(a, b, t).reshape(-1, 28, 28, 1))

        return path_lengths(path, jnp.array([0.2, 0.6]))

    assert (lengths(*ends) > 0).all()
    np.testing.assert_array_equal(lengths(ends[0], ends[0]) < 1e-2, [True, True])


@pytest.mark.slow
def test_of_stylegan2_the_way_leads_through_styles():
    module = Generator((8, 4), colors=1, style_size=6, mapping_depth=1)
    keys = {"params": jax.random.key(0), "noise": jax.random.key(1)}
    with jax.enable_x64(True):
        ends = jnp.asarray(RANDOM.normal(size=(2, 3, 6)))
        variables = module.init(keys, ends[0], train=False)
        a, b = (module.apply(variables, z, train=False, method="to_styles") for z in ends)
        noise = module.apply(variables, 1, method="draw_noise", rngs=keys)  # one for all images

        def lengths(a, b, step):
            def path(t) -> Any:
                return module.apply(variables, lerp(a, b, t[:, None]), noise, method="to_images")

            return path_lengths(path, jnp.array([0.2, 0.5, 0.8]), step)

        found, finer = (lengths(a, b, step) for step in (1e-4, 1e-6))
        assert (found > 0).all()
        np.testing.assert_allclose(found, finer, rtol=1e-2)
        np.testing.assert_allclose(lengths(a, a, 1e-4), 0, atol=1e-15)


def test_a_percent_at_either_end_is_left_out():
    lengths = np.arange(1001.0)
    lengths[-1], lengths[0] = 1e9, -1e9
    assert perceptual_path_length(RANDOM.permutation(lengths)) == pytest.approx(500)
    assert perceptual_path_length(np.array([3.0])) == 3


def test_lengths_that_are_none_are_refused():
    with pytest.raises(UserError, match=r"finite; of 2 samples 1 hold NaN"):
        perceptual_path_length(np.array([1.0, np.nan]))
    with pytest.raises(UserError, match="path lengths"):
        perceptual_path_length(np.ones((2, 2)))
