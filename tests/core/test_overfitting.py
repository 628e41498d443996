"""The probability that follows D's signs, and fakes in the place of reals."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_systems import Plain, small_gan

from jaxgan.core.combinators import chain, repeat
from jaxgan.core.gan import init
from jaxgan.core.networks import Network, linen
from jaxgan.core.overfitting import adapt_probability, with_pseudo_reals
from jaxgan.core.steps import make_step, run_steps
from jaxgan.core.updates import stateless, update_discriminator, update_generator

KEY = jax.random.key(3)
FIRST = Network(  # a D whose score of an example is its first number
    lambda key, inputs: ({}, {}),
    lambda params, collections, inputs, key, train: (inputs[:, 0], collections),
)
GAN = small_gan(generator=linen(Plain(3)), discriminator=FIRST)


def reals(signs):
    return {"image": jnp.asarray(np.outer(signs, np.ones(3)), jnp.float32)}


def moved(signs, steps, start=0.0, gan=GAN, **settings):
    """p after each of several steps."""
    update = adapt_probability(gan, **settings)
    batch = reals(signs)
    state = init(gan, KEY, batch, update).with_extra(p=jnp.float32(start))
    batches = jax.tree.map(lambda x: jnp.stack([x] * steps), batch)
    _, metrics = jax.jit(partial(run_steps, make_step(update)))(state, batches, KEY)
    return np.asarray(metrics["p"])


def test_p_moves_from_0_to_1_within_500_000_sure_reals():
    history = moved(np.ones(64), 12)
    np.testing.assert_allclose(history, 0.000512 * (np.arange(1, 13) // 4), rtol=1e-5)


@pytest.mark.parametrize(
    ("positive", "target", "by"), [(7, 0.6, 0.1), (6, 0.6, -0.1), (6, 0.5, 0), (6, 0.4, 0.1)]
)
def test_p_follows_the_mean_sign(positive, target, by):
    signs = np.where(np.arange(8) < positive, 0.3, -5)  # their sizes do not matter
    found = moved(signs, 2, 0.5, target=target, interval=1, images=80)
    np.testing.assert_allclose(found, [0.5 + by, 0.5 + 2 * by], rtol=1e-6)


def test_p_stays_a_probability():
    assert moved(-np.ones(8), 1, 0.05, interval=1, images=80) == 0
    assert moved(np.ones(8), 1, 0.95, interval=1, images=80) == 1


def test_p_follows_one_of_several_outputs_and_what_the_view_shows():
    both = Network(
        FIRST.init,
        lambda params, collections, inputs, key, train: ({"score": inputs[:, 0]}, collections),
    )
    gan = small_gan(
        discriminator=both, view=lambda example, batch, key, state: example - state.extra["p"]
    )
    settings = {"interval": 1, "images": 80, "score": lambda outputs: outputs["score"]}
    np.testing.assert_allclose(moved(np.full(8, 0.4), 1, 0.3, gan, **settings), 0.4, rtol=1e-6)
    np.testing.assert_allclose(moved(np.full(8, 0.4), 1, 0.5, gan, **settings), 0.4, rtol=1e-6)


def look(gan):
    """An update that only measures how many of its reals are fakes."""

    @stateless
    def update(state, batch, key):
        kept = (gan.real(batch) == batch["image"]).all(1)
        return state, {"share": 1 - kept.mean()}

    return update


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_a_share_of_reals_are_fakes(p):
    update = with_pseudo_reals(GAN, look, lambda state: p)
    batch = reals(np.ones(1000))
    _, metrics = jax.jit(update.apply)(init(GAN, KEY, batch), batch, KEY)
    assert abs(metrics["share"] - p) <= 4 * np.sqrt(p * (1 - p) / 1000)


def test_pseudo_reals_are_what_the_generator_makes_of_the_conditions_of_the_reals():
    echo = Network(
        lambda key, inputs: ({"scale": jnp.float32(2)}, {}),
        lambda params, collections, inputs, key, train: (params["scale"] * inputs, collections),
    )
    gan = small_gan(
        generator=echo, discriminator=FIRST, inputs=lambda key, n, batch: batch["label"]
    )
    batch = {"image": jnp.ones((6, 2)), "label": jnp.arange(12.0).reshape(6, 2)}
    seen = []

    def record(gan):
        @stateless
        def update(state, batch, key):
            seen.append((gan.real(batch), batch["label"]))
            return state, {}

        return update

    state = init(gan, KEY, batch)
    with_pseudo_reals(gan, lambda gan: repeat(record(gan), 2), lambda state: 1.0).apply(
        state, batch, KEY
    )
    for (real, label), part in zip(seen, (slice(0, None, 2), slice(1, None, 2)), strict=True):
        np.testing.assert_array_equal(label, batch["label"][part])
        np.testing.assert_array_equal(real, 2 * label)


def deceiving(gan):
    def make_update(gan):
        adapt = adapt_probability(gan, 0.0, interval=1, images=80)
        return chain(update_discriminator(gan), adapt)

    return chain(with_pseudo_reals(gan, make_update), update_generator(gan))


@pytest.mark.slow
def test_apa_does_not_depend_on_the_number_of_devices():
    gan = small_gan(generator=linen(Plain(3)), discriminator=linen(Plain()))
    update = deceiving(gan)
    images = jnp.asarray(np.random.default_rng(0).normal(1, 2, (5, 8, 3)), jnp.float32)
    state = init(gan, KEY, {"image": images[0]}, update).with_extra(p=jnp.float32(0.5))
    one, metrics = jax.jit(partial(run_steps, make_step(update)))(state, {"image": images}, KEY)
    assert len(set(np.asarray(metrics["p"]).tolist())) > 1 and {"loss_d", "loss_g"} < set(metrics)
    run = partial(run_steps, make_step(update, axis_name="devices"))
    mapped = jax.pmap(run, "devices", in_axes=(None, 1, None), devices=jax.devices()[:2])
    two, _ = mapped(state, {"image": images.reshape(5, 2, 4, 3)}, KEY)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(lambda a, b: close(b[0], a), one, jax.device_get(two))
