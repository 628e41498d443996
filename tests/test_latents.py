import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import latents

KEY = jax.random.key(3)


@pytest.mark.parametrize("sampler", [latents.normal, latents.uniform])
def test_latents_have_the_shape_asked_for_and_depend_on_the_key(sampler):
    draw = sampler(5)
    first = draw(KEY, 7)
    assert first.shape == (7, 5) and first.dtype == jnp.float32
    np.testing.assert_array_equal(first, draw(KEY, 7))
    assert not np.allclose(first, draw(jax.random.key(4), 7))


@pytest.mark.parametrize("sampler", [latents.normal, latents.uniform])
def test_latents_are_float64_under_x64(sampler):
    with jax.enable_x64(True):
        assert sampler(2)(jax.random.key(3), 3).dtype == jnp.float64


def moments(z) -> list[float]:
    z = np.asarray(z, np.float64)
    return [float((z**power).mean()) for power in (1, 2, 4)]


def test_normal_latents_have_the_moments_of_a_standard_normal():
    np.testing.assert_allclose(moments(latents.normal(100)(KEY, 20_000)), [0, 1, 3], atol=0.04)


def test_uniform_latents_fill_minus_one_to_one():
    z = latents.uniform(100)(KEY, 2000)
    np.testing.assert_allclose(moments(z), [0, 1 / 3, 1 / 5], atol=0.01)
    assert -1 <= z.min() < -0.999 and 0.999 < z.max() <= 1


@pytest.mark.parametrize("sampler", [latents.normal, latents.uniform])
def test_samplers_take_a_batch_that_they_do_not_look_at(sampler):
    with_labels = sampler(2)(KEY, 3, {"label": jnp.arange(3)})
    np.testing.assert_array_equal(with_labels, sampler(2)(KEY, 3))
