"""The patterns: what is drawn as real, and what a hundred seeds learn."""

import jax
import numpy as np
import pytest
from tiny_systems import make_recipe

import jaxgan
from jaxgan.recipes.pattern_1010 import draw_real
from jaxgan.types import DataSpec

KEY = jax.random.key(0)


def test_the_real_patterns():
    real = np.asarray(draw_real(KEY, 10_000))
    assert real.shape == (10_000, 4)
    np.testing.assert_allclose(real.min(0), [0.8, 0, 0.8, 0], atol=1e-3)
    np.testing.assert_allclose(real.max(0), [1, 0.2, 1, 0.2], atol=1e-3)
    np.testing.assert_allclose(real.mean(0), [0.9, 0.1, 0.9, 0.1], atol=5e-3)
    assert np.abs(np.corrcoef(real.T) - np.eye(4)).max() < 0.05


def test_the_feed_of_patterns_draws_with_the_key_it_is_given():
    feed = make_recipe("pattern_1010", batch_size=3).feed(0)
    assert (feed.shape, feed.size, feed.batch_size) == ((4,), None, 3)
    batch = feed.batch(feed.arrays, feed.rows(5, 6)[0], KEY)
    np.testing.assert_array_equal(batch["image"], draw_real(KEY, 3))


@pytest.mark.slow
def test_a_hundred_patterns_are_learned():
    recipe = make_recipe("pattern_1010")
    gan = recipe.gan(DataSpec((4,)))
    step = jaxgan.make_step(recipe.update(gan))

    def train(key):
        batches = {"image": draw_real(key, 10_000)[:, None]}
        state = jaxgan.init(gan, key, {"image": batches["image"][0]})
        state, metrics = jaxgan.run_steps(step, state, batches, key)
        pattern = jaxgan.sample(gan, state, key, 1)
        return pattern, jax.tree.map(lambda values: values[-1000:].mean(), metrics)

    keys = jax.random.split(jax.random.key(0), 100)
    patterns, metrics = jax.jit(jax.vmap(train))(keys)
    a, b, c, d = np.asarray(patterns)[:, 0].T
    assert ((a > b) & (b < c) & (c > d)).all()
    assert ((a > 0.8) & (b < 0.2) & (c > 0.8) & (d < 0.2)).sum() >= 90
    # D cannot tell and answers 0.5, so that all squared errors are a quarter.
    for loss in ("loss_d_real", "loss_d_fake", "loss_g"):
        assert abs(float(np.median(metrics[loss])) - 0.25) < 0.02
