"""Generators of latents, whose samples a fixed decoder makes into pictures."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_systems import Generator, Plain, small_gan

import jaxgan
from jaxgan.core.decoding import decoded, has_decoder_weights, with_decoder

KEY = jax.random.key(0)
BATCH = {"image": jax.random.normal(KEY, (6, 3))}  # latents: what the small GAN learns
DECODER = jaxgan.linen(Plain(outputs=7))
WEIGHTS = {"params": DECODER.init(KEY, jnp.zeros((1, 3)))[0]}


def made(latents=lambda made: made) -> Any:
    plain = small_gan()
    gan = replace(plain, generator=decoded(plain.generator, DECODER, latents))
    update = jaxgan.chain(jaxgan.update_both(gan), jaxgan.update_average(0.5))
    return plain, gan, update, jaxgan.init(gan, KEY, BATCH, update)


def test_samples_are_decoded_and_d_sees_latents():
    plain, gan, update, state = made()
    state = with_decoder(state, WEIGHTS)
    step = jax.jit(jaxgan.make_step(update), donate_argnums=0)
    for _ in range(3):
        state, metrics = step(state, BATCH, KEY)
    assert all(np.isfinite(x) for x in metrics.values())
    pictures = jaxgan.sample(gan, state, KEY, 5)
    assert pictures.shape == (5, 7)
    latents = jaxgan.sample(plain, state, KEY, 5)
    expected, _ = DECODER.apply(WEIGHTS["params"], {}, latents, KEY, False)
    np.testing.assert_allclose(pictures, expected, atol=1e-6)


def test_training_is_that_of_the_generator_alone():
    plain, _, update, state = made()
    alone = jaxgan.chain(jaxgan.update_both(plain), jaxgan.update_average(0.5))
    other = jaxgan.init(plain, KEY, BATCH, alone)
    state, other = (
        jax.jit(jaxgan.make_step(each))(each_state, BATCH, KEY)[0]
        for each, each_state in ((update, with_decoder(state, WEIGHTS)), (alone, other))
    )
    jax.tree.map(np.testing.assert_array_equal, state.generator.params, other.generator.params)
    for net in (state.generator, state.extra["average"]):
        kept = net.collections["decoder"]
        jax.tree.map(np.testing.assert_array_equal, kept, WEIGHTS)


def test_what_is_decoded_can_be_picked():
    _, gan, _, state = made(lambda made: made[:, ::-1])
    state = with_decoder(state, WEIGHTS)
    plain = small_gan()
    latents = jaxgan.sample(plain, state, KEY, 5)[:, ::-1]
    expected, _ = DECODER.apply(WEIGHTS["params"], {}, latents, KEY, False)
    np.testing.assert_allclose(jaxgan.sample(gan, state, KEY, 5), expected, atol=1e-6)


def test_many_are_decoded_in_parts():
    _, gan, _, state = made()
    state = with_decoder(state, WEIGHTS)
    inputs = gan.inputs(KEY, 48, BATCH)
    some = jaxgan.generate(gan, state, inputs[:5])
    np.testing.assert_allclose(jaxgan.generate(gan, state, inputs)[:5], some, atol=1e-6)


def test_standing_statistics_leave_a_decoder_alone():
    plain = small_gan()
    decoder = jaxgan.linen(Generator())  # with batch norm
    weights = dict(zip(("params", "others"), decoder.init(KEY, jnp.zeros((1, 3))), strict=True))
    weights |= weights.pop("others")
    gan = replace(plain, generator=decoded(plain.generator, decoder))
    state = with_decoder(jaxgan.init(gan, KEY, BATCH), weights)
    moved = jaxgan.standing_statistics(gan, state, KEY, 3, BATCH)
    held = moved.generator.collections["decoder"]
    jax.tree.map(np.testing.assert_array_equal, held, weights)
    assert has_decoder_weights(moved) and not has_decoder_weights(jaxgan.init(gan, KEY, BATCH))


def test_a_forgotten_decoder_makes_no_pictures():
    _, gan, _, state = made()
    assert np.isnan(jaxgan.sample(gan, state, KEY, 5)).all()


def test_decoders_of_other_shapes_are_refused():
    _, _, _, state = made()
    wider = {"params": jaxgan.linen(Plain(outputs=8)).init(KEY, jnp.zeros((1, 3)))[0]}
    with pytest.raises(ValueError, match=r"has \(7,\) at .*bias.* given has \(8,\)"):
        with_decoder(state, wider)
    with pytest.raises(ValueError, match="given has nothing"):
        with_decoder(state, {"params": {}})
    with pytest.raises(ValueError, match="has nothing at .*more.* given has"):
        with_decoder(state, {**WEIGHTS, "more": {"x": jnp.zeros(2)}})
    with pytest.raises(ValueError, match="no decoder"):
        with_decoder(jaxgan.init(small_gan(), KEY, BATCH), WEIGHTS)
