from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_systems import NAMES, small_gan, system

from jaxgan.core.combinators import chain
from jaxgan.core.gan import SAMPLE_BATCH, apply, generate, init, sample
from jaxgan.core.networks import pack
from jaxgan.core.state import GANState
from jaxgan.core.updates import update_average, update_discriminator, update_generator

KEY = jax.random.key(0)
BATCH = {"image": np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)}


def same(a, b) -> bool:
    equal = jax.tree.map(lambda x, y: np.array_equal(x, y), a, b)
    return jax.tree.all(equal)


def moved(gan) -> GANState:
    """A state whose running averages are not the first ones."""
    updates = [update_discriminator(gan), update_generator(gan)]
    if gan.average_decay is not None:
        updates.append(update_average(gan))
    return jax.jit(chain(*updates))(init(gan, KEY, BATCH), BATCH, KEY)[0]


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
    assert same(first, init(gan, KEY, {"image": BATCH["image"][:1] * 7, "label": None}))
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
    assert state.average is None


@pytest.mark.parametrize("decay", [None, 0.9])
def test_a_state_holds_arrays_only_so_that_equal_states_have_equal_trees(decay):
    # Two GANs made apart: their modules and optimizers are different objects.
    states = [init(small_gan(average_decay=decay), KEY, BATCH) for _ in range(2)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(states[0]))
    assert "function" not in str(jax.tree.structure(states[0]))


def test_the_average_starts_as_a_copy_of_the_generator():
    state = init(small_gan(average_decay=0.9), KEY, BATCH)
    assert state.average is not None
    assert same(state.average.params, state.generator.params)
    assert same(state.average.batch_stats, state.generator.batch_stats)
    assert jax.tree.leaves(state.average.opt_state) == []
    places = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
    assert len(set(places)) == len(places)  # or the state could not be donated


def test_apply_moves_running_averages_in_training_only():
    gan = small_gan()
    net = init(gan, KEY, BATCH).discriminator
    run = partial(
        apply, gan.discriminator, net.params, net.batch_stats, jnp.asarray(BATCH["image"])
    )
    scores, stats = run(train=False)
    assert scores.shape == (8,) and same(stats, net.batch_stats)
    trained, stats = run(train=True)
    assert not same(stats, net.batch_stats) and not np.allclose(trained, scores)


def test_apply_of_a_network_without_batch_norm_returns_the_averages_it_got():
    _, gan, _, state, _ = system("pattern_1010")
    judge = jax.tree.map(np.float32, state.discriminator.params)
    assert apply(gan.discriminator, judge, {"kept": {}}, jnp.ones((2, 4)), train=True)[1] == {
        "kept": {}
    }


def test_images_come_from_the_running_averages():
    gan = small_gan()
    state = moved(gan)
    z = jax.random.normal(KEY, (5, 2))
    net = state.generator
    variables = {"params": net.params, "batch_stats": net.batch_stats}
    expected: Any = gan.generator.apply(variables, z, train=False)
    np.testing.assert_allclose(generate(gan, state, z), expected, atol=1e-6)
    np.testing.assert_allclose(generate(gan, state, z)[:2], generate(gan, state, z[:2]), atol=1e-6)


def test_images_come_from_batch_statistics_where_the_gan_says_so():
    gan = small_gan(sample_in_batches=True)
    state = moved(gan)
    z = jax.random.normal(KEY, (5, 2))
    net = state.generator
    variables = {"params": net.params, "batch_stats": net.batch_stats}
    expected, _ = gan.generator.apply(variables, z, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(generate(gan, state, z), expected, atol=1e-6)
    assert not np.allclose(generate(small_gan(), state, z), expected, atol=1e-3)


def test_images_come_from_the_average_where_there_is_one():
    gan = small_gan(average_decay=0.5)
    state = moved(gan)
    assert state.average is not None
    z = jax.random.normal(KEY, (5, 2))
    variables = {"params": state.average.params, "batch_stats": state.average.batch_stats}
    expected: Any = gan.generator.apply(variables, z, train=False)
    np.testing.assert_allclose(generate(gan, state, z), expected, atol=1e-6)
    own = generate(gan, state.replace(average=None), z)
    assert not np.allclose(own, expected, atol=1e-3)


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


@pytest.mark.parametrize("in_batches", [False, True])
def test_the_first_samples_are_the_same_whatever_their_number(in_batches):
    gan = small_gan(sample_in_batches=in_batches)
    state = moved(gan)
    few, some, many = (sample(gan, state, KEY, n) for n in (3, SAMPLE_BATCH, SAMPLE_BATCH + 2))
    assert (len(few), len(some), len(many)) == (3, SAMPLE_BATCH, SAMPLE_BATCH + 2)
    np.testing.assert_array_equal(few, many[:3])
    np.testing.assert_array_equal(some, many[:SAMPLE_BATCH])
    assert len(np.unique(np.asarray(many), axis=0)) == len(many)


def test_samples_depend_on_the_key_and_follow_the_law_of_the_latents():
    gan = small_gan()
    state = moved(gan)
    assert not np.allclose(sample(gan, state, KEY, 4), sample(gan, state, jax.random.key(1), 4))
    plain = small_gan(latents=lambda key, n: jnp.full((n, 2), 0.5))
    expected = generate(plain, state, jnp.full((4, 2), 0.5))
    np.testing.assert_allclose(sample(plain, state, KEY, 4), expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_system_can_be_sampled(name):
    _, gan, _, state, batches = system(name)
    state = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float32)), state.generator)
    full = GANState(jnp.zeros((), jnp.int32), state, state, None)
    images = jax.eval_shape(lambda: sample(gan, full, KEY, 6))
    assert images.shape == (6, *batches["image"].shape[2:])


def test_packs_of_vectors_are_neighbours_in_a_row():
    vectors = jnp.arange(12.0).reshape(6, 2)
    assert pack(vectors, 3).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_packs_of_images_have_the_channels_of_each_image_in_a_row():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 5, 3)))
    packs = pack(images, 2)
    assert packs.shape == (3, 4, 5, 6)
    for index in range(3):
        np.testing.assert_array_equal(packs[index, ..., :3], images[2 * index])
        np.testing.assert_array_equal(packs[index, ..., 3:], images[2 * index + 1])


def test_packs_of_one_are_the_images_themselves():
    images = jnp.ones((3, 2))
    assert pack(images, 1) is images


def test_packs_that_do_not_come_out_even_are_an_error():
    with pytest.raises(ValueError, match="packs of 3 .*8"):
        pack(jnp.ones((8, 2)), 3)


def test_a_discriminator_of_packs_starts_with_room_for_a_pack():
    state = init(small_gan(packing=4), KEY, BATCH)
    assert state.discriminator.params["Dense_0"]["kernel"].shape == (12, 4)
    assert same(state.generator, init(small_gan(), KEY, BATCH).generator)
