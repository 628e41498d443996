"""The search finds what was planted, and every example goes its own way."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_objectives import small_gan

import jaxgan
from jaxgan import restoration

KEY = jax.random.key(0)
MATRIX = jax.random.normal(jax.random.key(1), (8, 36)) / 3
ADAM = optax.adam(0.05)


def linear(z):
    """A generator of pictures 6 x 6."""
    return jnp.matmul(z, MATRIX, precision="highest").reshape(-1, 6, 6, 1)


def start(count: int):
    return jax.random.normal(jax.random.key(2), (count, 8))


def test_what_was_planted_is_found():
    planted = jax.random.normal(KEY, (32, 8))
    mask = restoration.center()(6, 6, jax.random.key(0))[None]
    for operator in (restoration.keep(mask), restoration.blur(0.7), lambda images: images):
        known = operator(linear(planted))

        def objective(z, operator=operator, known=known):
            return restoration.distance(operator(linear(z)), known, penalty=jnp.square)

        begun = restoration.begin(start(32), ADAM)
        found, losses = restoration.search(objective, begun, ADAM, 600)
        missing = jnp.linalg.norm((operator(linear(found.best)) - known).reshape(32, -1), axis=1)
        assert (missing < 0.01 * jnp.linalg.norm(known.reshape(32, -1), axis=1)).all()
        means = losses.reshape(-1, 50, 32).mean(1)
        assert (jnp.diff(means, axis=0) <= 1e-6).all()
    np.testing.assert_allclose(linear(found.best), linear(planted), atol=1e-3)


def test_a_picture_of_a_gan_is_found_again():
    """The generator has a hidden layer; most of 32 starts reach 30 dB."""
    gan, state = small_gan()
    planted = jax.random.normal(KEY, (32, 4))
    known = jaxgan.generate(gan, state, planted)

    def objective(z):
        return restoration.distance(jaxgan.generate(gan, state, z), known, penalty=jnp.square)

    begun = restoration.begin(gan.inputs(jax.random.key(5), 32, {}), ADAM)
    found, _ = jax.jit(lambda begun: restoration.search(objective, begun, ADAM, 600))(begun)
    error = ((jaxgan.generate(gan, state, found.best) - known) ** 2).mean((1, 2, 3))
    assert (10 * jnp.log10(4 / error) > 30).mean() > 0.7


def test_the_best_is_kept():
    """Steps too long overshoot; what comes back is the best that was seen."""
    far = optax.sgd(1.05)
    begun = restoration.begin(jnp.ones((2, 1)), far)
    found, losses = restoration.search(lambda z: (z**2).sum(1), begun, far, 5)
    assert (jnp.diff(losses, axis=0) > 0).all()
    np.testing.assert_array_equal(found.best, jnp.ones((2, 1)))
    np.testing.assert_array_equal(found.loss, losses[0])
    assert (abs(found.inputs) > 1).all()


@pytest.mark.parametrize(
    "optimizer", [ADAM, optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.1))]
)
def test_every_example_goes_its_own_way(optimizer):
    known = linear(jax.random.normal(KEY, (3, 8)))

    def found(rows):
        begun = restoration.begin(start(3)[rows], optimizer)
        return restoration.search(
            lambda z: restoration.distance(linear(z), known[rows]), begun, optimizer, 20
        )[0].inputs

    alone = jnp.concatenate([found(slice(i, i + 1)) for i in range(3)])
    np.testing.assert_allclose(found(slice(None)), alone, atol=1e-5)


def test_a_search_in_parts_is_the_whole_search():
    rate = optax.adam(optax.cosine_decay_schedule(0.1, 20))

    def go(search, steps):
        return restoration.search(
            lambda z: ((z - 3) ** 2).sum(1), search, rate, steps, restoration.keep_length
        )

    whole, losses = go(restoration.begin(start(2), rate), 20)
    half, first = go(restoration.begin(start(2), rate), 10)
    rest, second = go(half, 10)
    np.testing.assert_allclose(jnp.concatenate([first, second]), losses, rtol=1e-6)
    np.testing.assert_allclose(rest.best, whole.best, rtol=1e-6)


def test_latents_stay_on_their_sphere_and_labels_as_they_are():
    inputs = (start(4), jnp.arange(4), jnp.ones((4, 2)))

    def objective(inputs):
        z, label, codes = inputs
        return ((z - label[:, None]) ** 2).sum(1) + codes[:, 0]

    begun = restoration.begin(inputs, ADAM)
    found, _ = restoration.search(objective, begun, ADAM, 30, restoration.keep_length)
    z, label, codes = found.inputs
    for moved, first in ((z, start(4)), (codes, jnp.ones((4, 2)))):
        lengths = [jnp.linalg.norm(x, axis=1) for x in (moved, first)]
        np.testing.assert_allclose(*lengths, rtol=1e-5)
    np.testing.assert_array_equal(label, jnp.arange(4))
    assert (abs(z - start(4)) > 0.01).any(1).all() and (codes < 0.99).any()


def test_the_best_starts_come_first():
    losses = jnp.asarray([3.0, jnp.nan, 1.0, 0.5, 2.0, 0.1])
    a, b = restoration.best_first(losses, (jnp.arange(6), jnp.arange(12).reshape(6, 2)), 2)
    np.testing.assert_array_equal(a, [[2, 0, 1], [5, 3, 4]])
    np.testing.assert_array_equal(b[..., 0], [[4, 0, 2], [10, 6, 8]])
