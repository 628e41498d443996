from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from tiny_systems import Generator, Plain, small_gan

from jaxgan.core.combinators import chain, update_average
from jaxgan.core.gan import SAMPLE_BATCH, generate, init, sample
from jaxgan.core.networks import always_training, linen
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update, update_discriminator, update_generator

KEY = jax.random.key(0)
BATCH = {"image": np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)}


def same(a, b) -> bool:
    equal = jax.tree.map(lambda x, y: np.array_equal(x, y), a, b)
    return jax.tree.all(equal)


def test_conditions_that_do_not_fit_are_refused():
    gan = small_gan()
    with pytest.raises(ValueError, match=r"conditions of the shape \(3,\) do not fit 4 samples"):
        sample(gan, init(gan, KEY, BATCH), KEY, 4, {"label": np.zeros(3, np.int32)})


def moved(gan, *more: Update) -> GANState:
    """A state whose running averages are not the first ones."""
    update = chain(update_discriminator(gan), update_generator(gan), *more)
    return jax.jit(update.apply)(init(gan, KEY, BATCH, update), BATCH, KEY)[0]


def test_init_is_a_function_of_its_key():
    gan = small_gan()
    first = init(gan, KEY, BATCH)
    assert same(first, init(gan, KEY, BATCH))
    other = init(gan, jax.random.key(1), BATCH)
    for name in ("generator", "discriminator"):
        kernels = [getattr(state, name).params["Dense_0"]["kernel"] for state in (first, other)]
        assert not np.allclose(*kernels)


def test_init_looks_at_the_shape_of_an_image_alone():
    gan, first = small_gan(), init(small_gan(), KEY, BATCH)
    assert same(first, init(gan, KEY, {"image": BATCH["image"][:1] * 7, "label": np.zeros(1)}))
    assert same(first, init(gan, KEY, {"image": jax.ShapeDtypeStruct((64, 3), jnp.float32)}))


def test_the_two_networks_start_from_different_numbers():
    gan = small_gan()
    state = init(gan, KEY, {"image": np.zeros((1, 2), np.float32)})  # the width of the latents
    g, d = state.generator.params["Dense_0"], state.discriminator.params["Dense_0"]
    assert g["kernel"].shape == d["kernel"].shape
    assert not np.allclose(g["kernel"], d["kernel"])


def test_a_state_starts_at_step_0_with_fresh_optimizers():
    gan = small_gan()
    state = init(gan, KEY, BATCH)
    assert state.step == 0 and state.step.dtype == jnp.int32 and state.step.shape == ()
    assert same(state.generator.opt_state, gan.generator_optimizer.init(state.generator.params))
    judge = state.discriminator
    assert same(judge.opt_state, gan.discriminator_optimizer.init(judge.params))
    assert state.extra == {}


@pytest.mark.parametrize("updates", [(), (update_average(0.9),)])
def test_a_state_holds_arrays_only_so_that_equal_states_have_equal_trees(updates):
    # Two GANs made apart: their modules and optimizers are different objects.
    states = [init(small_gan(), KEY, BATCH, chain(*updates)) for _ in range(2)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(states[0]))
    assert "function" not in str(jax.tree.structure(states[0]))


def test_no_two_leaves_of_a_state_share_a_buffer():
    state = init(
        small_gan(generator_optimizer=optax.contrib.dog()), KEY, BATCH, update_average(0.9)
    )
    places = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
    assert len(set(places)) == len(places)


@pytest.mark.slow
def test_images_come_from_the_running_averages():
    gan = small_gan()
    state = moved(gan)
    z = jax.random.normal(KEY, (5, 2))
    net = state.generator
    expected, _ = gan.generator.apply(net.params, net.collections, z, KEY, False)
    np.testing.assert_allclose(generate(gan, state, z), expected, atol=1e-6)
    np.testing.assert_allclose(generate(gan, state, z)[:2], generate(gan, state, z[:2]), atol=1e-6)


def test_images_come_from_batch_statistics_where_the_generator_always_trains():
    gan = small_gan(generator=always_training(linen(Generator())))
    state = moved(gan)
    z = jax.random.normal(KEY, (5, 2))
    net = state.generator
    expected, _ = gan.generator.apply(net.params, net.collections, z, KEY, True)
    np.testing.assert_allclose(generate(gan, state, z), expected, atol=1e-6)
    assert not np.allclose(generate(small_gan(), state, z), expected, atol=1e-3)


def test_images_come_from_the_average_where_there_is_one():
    gan = small_gan()
    state = moved(gan, update_average(0.5))
    average = state.extra["average"]
    z = jax.random.normal(KEY, (5, 2))
    expected, _ = gan.generator.apply(average.params, average.collections, z, KEY, False)
    np.testing.assert_allclose(generate(gan, state, z), expected, atol=1e-6)
    own = generate(gan, state.replace(extra={}), z)
    assert not np.allclose(own, expected, atol=1e-3)


@pytest.mark.slow
def test_images_can_be_differentiated_by_their_latents():
    gan = small_gan()
    state = moved(gan)
    with jax.enable_x64(True):
        z = jnp.array([[0.7, -0.4]])

        def brightness(z):
            return generate(gan, state, z).sum()

        gradient = jax.grad(brightness)(z)
        for axis in range(2):
            nudge = 1e-5 * np.eye(2)[axis][None]
            slope = (brightness(z + nudge) - brightness(z - nudge)) / 2e-5
            np.testing.assert_allclose(gradient[0, axis], slope, rtol=1e-5)
            assert abs(float(slope)) > 1e-4


@pytest.mark.parametrize(
    "wrap", [lambda network: network, pytest.param(always_training, marks=pytest.mark.slow)]
)
def test_the_first_samples_are_the_same_whatever_their_number(wrap):
    gan = small_gan(generator=wrap(linen(Generator())))
    state = moved(gan)
    few, some, many = (sample(gan, state, KEY, n) for n in (3, SAMPLE_BATCH, SAMPLE_BATCH + 2))
    assert (len(few), len(some), len(many)) == (3, SAMPLE_BATCH, SAMPLE_BATCH + 2)
    np.testing.assert_array_equal(few, many[:3])
    np.testing.assert_array_equal(some, many[:SAMPLE_BATCH])
    assert len(np.unique(np.asarray(many), axis=0)) == len(many)


def test_sampling_again_traces_nothing():
    traced = []

    def inputs(key, n, batch):
        traced.append(n)
        return jax.random.normal(key, (n, 2))

    gan = replace(small_gan(), inputs=inputs)
    state = moved(gan)
    traced.clear()
    once, again = (sample(gan, state, jax.random.key(seed), 3) for seed in (1, 2))
    assert len(traced) == 1 and not np.array_equal(once, again)


def test_samples_depend_on_the_key_and_come_from_the_inputs():
    gan = small_gan()
    state = moved(gan)
    assert not np.allclose(sample(gan, state, KEY, 4), sample(gan, state, jax.random.key(1), 4))
    plain = small_gan(inputs=lambda key, n, batch: jnp.full((n, 2), 0.5))
    expected = generate(plain, state, jnp.full((4, 2), 0.5))
    np.testing.assert_allclose(sample(plain, state, KEY, 4), expected, atol=1e-6)


def labeled(key, n, batch):
    return jnp.stack([jnp.zeros(n), batch["label"].astype(jnp.float32)], axis=1)


def test_samples_are_conditioned_one_by_one():
    gan = small_gan(inputs=labeled, generator=linen(Plain(3)))
    state = init(gan, KEY, BATCH | {"label": np.zeros(8, np.int32)})
    labels = np.arange(SAMPLE_BATCH + 3) % 10
    images = sample(gan, state, KEY, len(labels), {"label": labels})
    expected = generate(gan, state, labeled(KEY, len(labels), {"label": jnp.asarray(labels)}))
    np.testing.assert_allclose(images, expected, atol=1e-6)
    listed = sample(gan, state, KEY, len(labels), {"label": labels.tolist()})
    np.testing.assert_array_equal(listed, images)


def test_a_conditional_gan_is_not_sampled_without_conditions():
    gan = small_gan(inputs=labeled)
    state = init(gan, KEY, BATCH | {"label": np.zeros(8, np.int32)})
    with pytest.raises(KeyError, match="label"):
        sample(gan, state, KEY, 4)


def test_a_generator_may_draw_as_it_samples():
    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, z, train: bool):
            noise = jax.random.normal(self.make_rng("noise"), (len(z), 3))
            return nn.Dense(3)(z) + noise

    gan = small_gan(generator=linen(Noisy()), inputs=lambda key, n, batch: jnp.zeros((n, 2)))
    state = init(gan, KEY, BATCH)
    images = np.asarray(sample(gan, state, KEY, SAMPLE_BATCH + 2))
    assert len(np.unique(images, axis=0)) == len(images)
    np.testing.assert_array_equal(images[:3], sample(gan, state, KEY, 3))
