"""A member of a population goes as it would alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from tiny_systems import NAMES, SHAPES, small_gan, system, to_float64

import jaxgan
from jaxgan import population
from jaxgan.core.updates import update_both

MEMBERS = 3
KEYS = jax.vmap(jax.random.key)(jnp.arange(MEMBERS))


def close(found, expected, rtol=1e-9, atol=1e-12):
    # A bias before batch norm has gradients of mere rounding, which Adam makes steps of: 1e-12.
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=atol), found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["pattern_1010", pytest.param("mnist_mlp", marks=pytest.mark.slow)]
)
def test_the_first_states_are_those_of_the_members_bit_for_bit(name):
    one = system(name)
    batch = {"image": np.zeros((1, *SHAPES[name]), np.float32)}
    states = population.init(one.gan, KEYS, batch)
    for index in range(MEMBERS):
        alone = jaxgan.init(one.gan, KEYS[index], batch)
        jax.tree.map(np.testing.assert_array_equal, population.member(states, index), alone)
    kernels = [x for x in jax.tree.leaves(states.generator.params) if x.ndim > 2]
    assert all(not np.array_equal(kernel[0], kernel[1]) for kernel in kernels)


@pytest.mark.parametrize(
    ("name", "at_once"),
    [
        ("pattern_1010", None),
        ("pattern_1010", 2),
        *[pytest.param("mnist_mlp", n, marks=pytest.mark.slow) for n in (1, 2)],
        *[pytest.param(n, None, marks=pytest.mark.slow) for n in NAMES if n != "pattern_1010"],
        *[pytest.param(n, 1, marks=pytest.mark.slow) for n in NAMES if n != "pattern_1010"],
    ],
)
def test_every_member_trains_as_it_would_alone(name, at_once):
    one = system(name)
    with jax.enable_x64(True):
        first = one.batches["image"][0]
        states = to_float64(population.init(one.gan, KEYS, {"image": first}))
        images = np.random.default_rng(1).uniform(-1, 1, (3, MEMBERS, *first.shape))
        step = jax.jit(population.make_step(lambda: one.update, at_once=at_once))
        alone = jax.jit(jaxgan.make_step(one.update))
        solo = [population.member(states, index) for index in range(MEMBERS)]
        for batches in images:
            states, metrics = step(states, {"image": batches}, KEYS)
            for index in range(MEMBERS):
                own = {"image": batches[index]}
                solo[index], expected = alone(solo[index], own, KEYS[index])
                close(population.member(metrics, index), expected)
        for index in range(MEMBERS):
            close(population.member(states, index), solo[index], 1e-7, 1e-9)


RATES = jnp.asarray([0.001, 0.01, 0.1])


def with_rate(learning_rate):
    sgd = optax.sgd(learning_rate)
    gan = small_gan(generator_optimizer=sgd, discriminator_optimizer=sgd)
    return update_both(gan)


@pytest.mark.slow
def test_members_may_have_hyper_parameters_of_their_own():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(8, 3)), jnp.float32)
    gan = small_gan(generator_optimizer=optax.sgd(1.0), discriminator_optimizer=optax.sgd(1.0))
    same = jax.vmap(lambda _: jax.random.key(0))(RATES)
    states = population.init(gan, same, {"image": images})
    step = jax.jit(population.make_step(with_rate, learning_rate=RATES))
    moved, _ = step(states, {"image": jnp.stack([images] * 3)}, same)
    for index, rate in enumerate(RATES.tolist()):
        alone = jaxgan.make_step(with_rate(rate))
        expected, _ = alone(population.member(states, index), {"image": images}, same[index])
        close(
            population.member(moved, index).generator.params, expected.generator.params, 1e-5, 1e-7
        )
    kernel = moved.generator.params["Dense_1"]["kernel"]
    before = states.generator.params["Dense_1"]["kernel"]
    lengths = jnp.linalg.norm((kernel - before).reshape(3, -1), axis=1)
    assert lengths[1] > 5 * lengths[0] and lengths[2] > 5 * lengths[1]


def test_members_spread_over_devices_and_over_chunks():
    """With members sharded over a mesh, each device trains its own; in a loop of many steps."""
    gan = small_gan()
    run = jax.jit(partial(jaxgan.run_steps, population.make_step(lambda: update_both(gan))))
    keys = jax.vmap(jax.random.key)(jnp.arange(4))
    mesh = Mesh(np.array(jax.devices()[:4]), ("members",), axis_types=(AxisType.Auto,))
    by_member = NamedSharding(mesh, P("members"))
    with jax.enable_x64(True):
        batches = {"image": jnp.asarray(np.random.default_rng(0).normal(size=(5, 4, 8, 3)))}
        states = to_float64(population.init(gan, keys, {"image": batches["image"][0, 0]}))
        expected, metrics = run(states, batches, keys)
        assert metrics["loss_g"].shape == (5, 4)
        spread = jax.device_put((states, keys), by_member)
        batches = jax.device_put(batches, NamedSharding(mesh, P(None, "members")))
        found, _ = run(spread[0], batches, spread[1])
    assert len(found.step.devices()) == 4
    close(found, expected, 1e-7, 1e-7)
