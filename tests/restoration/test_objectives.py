"""What a search minimizes, against golden numbers, NumPy and finite differences."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import jaxgan
from jaxgan import latents, losses, restoration
from jaxgan.models import mlp

KEY = jax.random.key(0)


def test_weights_of_a_hole_are_those_of_yeh():
    mask = restoration.center()(28, 28, jax.random.key(0))[None]
    weights = np.asarray(restoration.hole_weights(mask))[0, ..., 0]
    assert weights.sum() == pytest.approx(45.0612, abs=1e-4)
    assert (weights > 0).sum() == 204
    found = [weights[place] for place in ((6, 13), (4, 13), (6, 6), (3, 13))]
    np.testing.assert_allclose(found, [0.4286, 0.1429, 0.1837, 0], atol=5e-5)
    assert not weights[7:21, 7:21].any()


def test_weights_by_definition_with_another_window():
    mask = restoration.scattered(0.4)(6, 7, KEY)[None]
    missing = np.pad(~np.asarray(mask)[0, ..., 0], 2, mode="symmetric")
    expected = [[missing[i : i + 5, j : j + 5].mean() for j in range(7)] for i in range(6)]
    expected = np.where(np.asarray(mask)[0, ..., 0], expected, 0)
    np.testing.assert_allclose(restoration.hole_weights(mask, 5)[0, ..., 0], expected, atol=1e-6)


def test_a_distance_is_a_weighted_mean():
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.random((3, 4, 5, 2)), jnp.float32) for _ in range(2))
    errors = np.abs(np.asarray(a - b))
    np.testing.assert_allclose(restoration.distance(a, b), errors.mean((1, 2, 3)), rtol=1e-5)
    weights = rng.random((3, 4, 5, 1)).astype(np.float32)
    weights[2] = 0
    full = np.broadcast_to(weights, errors.shape)
    expected = [*(np.average(errors[i] ** 2, weights=full[i]) for i in range(2)), 0]
    found = restoration.distance(a, b, jnp.asarray(weights), jnp.square)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # A mask as numbers is the plain one.
    mask = restoration.left()(4, 5, KEY)[None]
    plain = restoration.distance(a, b, jnp.where(mask, 1.0, 0.0))
    np.testing.assert_allclose(plain, errors[:, :, 3:].mean((1, 2, 3)), rtol=1e-5)


def test_the_gaussian_prior_is_the_log_density():
    z = jax.random.normal(KEY, (4, 3))
    codes = jax.random.normal(jax.random.key(1), (4, 2))
    found = restoration.gaussian_prior((z, jnp.arange(4), codes))
    both = np.concatenate([z, codes], 1)
    constant = np.log(2 * np.pi) / 2
    density = jax.scipy.stats.norm.logpdf(both).mean(1)
    np.testing.assert_allclose(found, -density - constant, atol=1e-5)


def small_gan(**fields):
    gan = jaxgan.GAN(
        generator=jaxgan.linen(mlp.Generator((6, 6, 1), (8,))),
        discriminator=jaxgan.linen(mlp.Discriminator((8,))),
        generator_optimizer=optax.sgd(0.1),
        discriminator_optimizer=optax.sgd(0.1),
        loss=losses.non_saturating,
        inputs=latents.normal(4),
    )
    gan = replace(gan, **fields)
    return gan, jaxgan.init(gan, KEY, {"image": jnp.zeros((2, 6, 6, 1))})


def test_realism_is_what_g_pays():
    gan, state = small_gan()
    images = jax.random.normal(KEY, (5, 6, 6, 1))
    net = state.discriminator
    scores, _ = gan.discriminator.apply(net.params, net.collections, images, KEY, False)
    found = restoration.realism(gan, state, images)
    np.testing.assert_allclose(found, -jax.nn.log_sigmoid(scores), rtol=1e-5)


def test_realism_sees_labels_through_the_view():
    seen = []

    def view(example, batch, key, state):
        seen.append(batch["label"])
        return example * (1.0 + batch["label"][:, None, None, None])

    gan, state = small_gan()
    labeled = replace(gan, view=view)
    images, label = jnp.ones((3, 6, 6, 1)), jnp.arange(3)
    found = restoration.realism(labeled, state, images, {"label": label})
    expected = restoration.realism(gan, state, images * (1.0 + label[:, None, None, None]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert seen


def test_a_loss_of_pairs_has_no_realism():
    gan, state = small_gan(loss=losses.relativistic)
    with pytest.raises(ValueError, match="pairs reals with fakes"):
        restoration.realism(gan, state, jnp.ones((1, 6, 6, 1)))


def test_realism_of_patches_is_their_mean():
    class Patches(nn.Module):
        @nn.compact
        def __call__(self, images, train):
            return nn.Conv(1, (3, 3), (3, 3))(images)[..., 0]

    gan, state = small_gan(discriminator=jaxgan.linen(Patches()))
    images = jax.random.normal(jax.random.key(0), (3, 6, 6, 1))
    net = state.discriminator
    scores, _ = gan.discriminator.apply(net.params, net.collections, images, KEY, False)
    assert scores.shape == (3, 2, 2)
    found = restoration.realism(gan, state, images)
    np.testing.assert_allclose(found, -jax.nn.log_sigmoid(scores).mean((1, 2)), rtol=1e-5)


def test_packs_have_no_realism_of_each_picture():
    gan, state = small_gan(discriminator=jaxgan.in_packs(jaxgan.linen(mlp.Discriminator((8,))), 2))
    with pytest.raises(ValueError, match="D judges packs: 4 pictures have 2 losses"):
        restoration.realism(gan, state, jnp.ones((4, 6, 6, 1)))


def test_a_window_has_a_middle():
    with pytest.raises(ValueError, match="odd side, not 6"):
        restoration.hole_weights(jnp.ones((1, 8, 8, 1), bool), 6)


@pytest.mark.slow
def test_gradients_by_latents_are_finite_differences():
    """The whole objective, in float64; smooth, so with L2."""
    with jax.enable_x64(True):
        gan, state = small_gan()
        state = jax.tree.map(
            lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
        )
        z, known, direction = (
            jnp.asarray(np.random.default_rng(i).normal(size=shape))
            for i, shape in enumerate([(3, 4), (3, 3, 3, 1), (3, 4)])
        )
        operator = restoration.compose(restoration.blur(1.0), restoration.downscale(2))

        def objective(z):
            images = jaxgan.generate(gan, state, z)
            far = restoration.distance(operator(images), known, penalty=jnp.square)
            unlikely = restoration.realism(gan, state, images)
            return far + 0.3 * restoration.gaussian_prior(z) + 0.2 * unlikely

        slope = jax.jvp(objective, (z,), (direction,))[1]
        gradient = jax.grad(lambda z: objective(z).sum())(z)
        differences = (objective(z + 1e-5 * direction) - objective(z - 1e-5 * direction)) / 2e-5
        np.testing.assert_allclose(slope, differences, rtol=1e-7)
        np.testing.assert_allclose((gradient * direction).sum(1), differences, rtol=1e-7)
