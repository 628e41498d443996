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


@pytest.mark.parametrize(
    "threshold, variance", [(0.5, 0.0805892), (1.0, 0.2911251), (2.0, 0.7737414)]
)
def test_truncated_latents_have_the_variance_of_a_truncated_normal(threshold, variance):
    z = latents.truncated_normal(100, threshold)(KEY, 2000)
    assert z.shape == (2000, 100) and threshold * 0.99 < jnp.abs(z).max() <= threshold
    mean, square, _ = moments(z)
    assert abs(mean) < 0.01 and abs(square / variance - 1) < 0.01


A, B = jnp.array([[1.0, 0, 0]]), jnp.array([[0, 1.0, 0]])


def test_slerp_follows_the_circle():
    found = latents.slerp(A, B, 0.25)
    np.testing.assert_allclose(found, [[0.9238795, 0.3826834, 0]], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(latents.lerp(A, B, 0.25), [[0.75, 0.25, 0]])


@pytest.mark.parametrize("between", [latents.lerp, latents.slerp])
def test_both_ways_begin_and_end_where_they_should(between):
    a, b = latents.normal(7)(KEY, 2)
    for t, end in ((0.0, a), (1.0, b)):
        np.testing.assert_allclose(between(a, b, t), end, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("between", [latents.lerp, latents.slerp])
def test_walks_have_a_place_for_each_latent_and_each_step(between):
    a, b = (latents.normal(4)(jax.random.key(seed), 3) for seed in (0, 1))
    t = jnp.linspace(0, 1, 5)
    walks = between(a[:, None], b[:, None], t[None])
    assert walks.shape == (3, 5, 4)
    np.testing.assert_allclose(walks[2, 3], between(a[2], b[2], 0.75), rtol=1e-5)
    np.testing.assert_allclose(walks[:, 1], between(a, b, jnp.full(3, 0.25)), rtol=1e-5)


def test_slerp_keeps_the_length_of_latents_of_one_length():
    with jax.enable_x64(True):
        a, b = latents.normal(9)(jax.random.key(3), 2)
        b *= jnp.linalg.norm(a) / jnp.linalg.norm(b)
        walk = latents.slerp(a[None], b[None], jnp.linspace(0, 1, 9))
        assert walk.dtype == jnp.float64
        np.testing.assert_allclose(jnp.linalg.norm(walk, axis=1), jnp.linalg.norm(a), rtol=1e-12)
        steps = jnp.linalg.norm(jnp.diff(walk, axis=0), axis=1)
        np.testing.assert_allclose(steps, steps[0], rtol=1e-12)  # at a constant speed


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_slerp_of_latents_without_an_angle_is_lerp_and_has_gradients(t):
    a = jnp.array([1.0, 2.0, -1.0])
    run = jax.jit(jax.value_and_grad(lambda a, b: latents.slerp(a, b, t).sum(), (0, 1)))
    for b in (a, 2 * a, -3 * a, a * (1 + 1e-6), jnp.zeros(3)):
        np.testing.assert_allclose(latents.slerp(a, b, t), latents.lerp(a, b, t), rtol=1e-5)
        value, gradients = run(a, b)
        assert np.isfinite(value) and all(np.isfinite(x).all() for x in gradients)


def test_slerp_is_continuous_where_it_turns_into_lerp():
    a = jnp.array([1.0, 0, 0])
    for angle in (1e-4, 3e-4, 4e-4, 1e-3):
        b = jnp.array([jnp.cos(angle), jnp.sin(angle), 0])
        expected = [np.cos(0.3 * angle), np.sin(0.3 * angle), 0]
        np.testing.assert_allclose(latents.slerp(a, b, 0.3), expected, rtol=1e-5, atol=1e-7)


def test_directions_of_a_diagonal_layer_are_the_axes_by_size():
    expected = np.eye(4)[[2, 0, 3, 1]]
    found = latents.sefa(jnp.diag(jnp.array([3.0, -1.0, 4.0, 1.5])))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_directions_are_the_singular_vectors_of_the_layer_in_falling_order():
    with jax.enable_x64(True):
        matrix = np.random.default_rng(0).normal(size=(5, 8))
        found = np.asarray(latents.sefa(jnp.asarray(matrix)))
        left, sizes, _ = np.linalg.svd(matrix)
        np.testing.assert_allclose(np.abs(found @ left), np.eye(5), atol=1e-9)
        np.testing.assert_allclose(np.linalg.norm(found @ matrix, axis=1), sizes, rtol=1e-9)
        others = np.random.default_rng(1).normal(size=(100, 5))
        others /= np.linalg.norm(others, axis=1, keepdims=True)
        assert np.linalg.norm(others @ matrix, axis=1).max() <= sizes[0]
        assert (found.max(1) >= -found.min(1)).all()


def test_mixed_latents_are_distributed_as_draws():
    a, b = (jax.random.normal(jax.random.key(seed), (4000, 8)) for seed in (0, 1))
    for t in (0.0, 0.3, 1.0):
        mixed = latents.mix(a, b, t)
        squares = (mixed**2).sum(1)  # chi-squared, with 8 degrees of freedom
        assert squares.mean() == pytest.approx(8, abs=0.25)
        assert squares.var() == pytest.approx(16, rel=0.12)
        correlation = (mixed * a).mean()
        assert correlation == pytest.approx((1 - t**2) ** 0.5, abs=0.03)
    np.testing.assert_array_equal(latents.mix(a, b, 0.0), a)
    np.testing.assert_array_equal(latents.mix(a, b, 1.0), b)
