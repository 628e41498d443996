"""Points around modes in the plane: what is drawn as real, found and packed."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_systems import make_recipe

import jaxgan
from jaxgan.types import DataSpec

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("name", "modes", "deviation"),
    [
        ("gaussians_ring8", [(1, 0), (0, 1), (-1, 0), (0, -1), (0.5**0.5, -(0.5**0.5))], 0.01),
        ("gaussians_grid25", [(-4, -4), (4, 4), (0, 2), (-2, 4)], 0.05),
    ],
)
def test_real_points_lie_around_their_modes(name, modes, deviation):
    recipe: Any = make_recipe(name, batch_size=10_000)
    means = np.asarray(recipe.means)
    assert means.shape == ({"gaussians_ring8": 8, "gaussians_grid25": 25}[name], 2)
    assert recipe.deviation == deviation
    away = np.linalg.norm(means[:, None] - np.asarray(modes), axis=2)
    np.testing.assert_allclose(away.min(0), 0, atol=1e-12)
    feed = recipe.feed(0)
    points = np.asarray(feed.batch((), (), KEY)["image"])
    assert points.shape == (10_000, 2) and points.dtype == np.float32
    around = points[:, None] - means
    nearest = np.linalg.norm(around, axis=2).argmin(1)
    share = 10_000 / len(means)
    assert np.abs(np.bincount(nearest) - share).max() < 5 * share**0.5
    around = around[np.arange(10_000), nearest]
    np.testing.assert_allclose(around.std(0), deviation, rtol=0.05)
    assert np.abs(around.mean(0)).max() < 5 * deviation / 100
    assert abs(np.corrcoef(around.T)[0, 1]) < 0.05


@pytest.mark.parametrize("name", ["gaussians_ring8", "gaussians_grid25"])
def test_real_points_cover_all_modes(name):
    recipe: Any = make_recipe(name, batch_size=10_000)
    count = len(recipe.means)
    found = recipe.coverage(np.asarray(recipe.feed(0).batch((), (), KEY)["image"]))
    assert found.found == count and found.reverse_kl < count / 10_000
    # In the plane 1 - exp(-3^2 / 2) of a normal distribution lies within three deviations.
    assert found.high_quality == pytest.approx(1 - np.exp(-4.5), abs=0.005)
    far = np.asarray(recipe.means[:1]) + 3.1 * recipe.deviation * np.array([[0.6, 0.8]])
    assert recipe.coverage(far.astype(np.float32))[:2] == (0, 0)


def test_packing_takes_a_pack_of_real_points_for_each_score():
    small = {"generator_widths": (3,), "discriminator_widths": (2,), "pieces": 4}
    recipe = make_recipe("gaussians_ring8", batch_size=4, packing=3, **small)
    feed = recipe.feed(0)
    spec = DataSpec(feed.shape)
    gan = recipe.gan(spec)
    assert recipe.examples_per_step == feed.batch_size == 12
    state = jaxgan.init(gan, KEY, {"image": jnp.zeros((12, 2))})
    assert state.discriminator.params["Dense_0"]["kernel"].shape == (6, 8)
    seen = []

    def tell(real, fake):
        seen.append((real.shape, fake.shape))
        return real - fake

    gan = dataclasses.replace(gan, loss=gan.loss._replace(discriminator=tell))
    jax.eval_shape(recipe.update(gan).apply, state, feed.batch((), (), KEY), KEY)
    assert seen == [((4,), (4,))]
