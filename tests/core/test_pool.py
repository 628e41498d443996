"""The pool: what is shown, what is kept, and that D learns from it on any number of devices."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_systems import Plain, small_gan

from jaxgan.core.combinators import chain
from jaxgan.core.gan import batch_size, init
from jaxgan.core.networks import Network, linen
from jaxgan.core.pool import exchange, update_discriminator_from_pool
from jaxgan.core.steps import make_step, run_steps
from jaxgan.core.updates import update_discriminator, update_generator
from jaxgan.keys import per_example, stream

KEY = jax.random.key(0)


def test_the_pool_shows_earlier_fakes_half_of_the_time():
    swap = jax.jit(exchange)
    fakes = jnp.broadcast_to(jnp.arange(2000.0)[:, None, None], (2000, 2, 2)).reshape(40, 50, 2, 2)
    pool, shown = swap((jnp.zeros((50, 2, 2)), jnp.int32(0)), fakes[0], KEY)
    jax.tree.map(np.testing.assert_array_equal, (shown, pool[0]), (fakes[0], fakes[0]))
    ages = []
    for number, fake in enumerate(fakes[1:], start=1):
        pool, shown = swap(pool, fake, stream(KEY, str(number)))
        ages += np.asarray(fake - shown)[:, 0, 0].tolist()
    old = np.array(ages)[np.array(ages) != 0]
    assert abs(len(old) / len(ages) - 0.5) < 0.05
    assert old.min() > 0 and 60 < old.mean() < 120  # it tends to 100


def test_d_learns_from_new_fakes_until_the_pool_is_full():
    gan = small_gan()
    batch = {"image": jax.random.normal(KEY, (4, 3))}
    pooled = update_discriminator_from_pool(gan, 8)
    state = init(gan, KEY, batch, pooled)
    plain = init(gan, KEY, batch)
    step, plain_step = jax.jit(make_step(pooled)), jax.jit(make_step(update_discriminator(gan)))
    for number in range(5):
        state, metrics = step(state, batch, KEY)
        plain, expected = plain_step(plain, batch, KEY)
        same = np.allclose(metrics["loss_d"], expected["loss_d"], rtol=1e-6)
        assert same == (number < 2)  # the third batch finds it full
    stored, count = state.extra["pool"]
    assert count == 8 and stored.shape == (8, 3) and (stored != 0).all()


def test_discriminators_of_several_kinds_of_fakes_have_pools_and_draws_of_their_own():
    def twice(params, collections, inputs, key, train):
        fake, collections = small.generator.apply(params, collections, inputs, key, train)
        return {"a": fake, "b": fake}, collections

    small = small_gan(real=lambda batch: dict.fromkeys("ab", batch["image"]))
    gan = replace(
        small,
        generator=Network(small.generator.init, twice),
        view=lambda example, batch, key, state: example["a"],
    )
    batch = {"image": jax.random.normal(KEY, (4, 3))}
    for apart in (True, False):
        update = update_discriminator_from_pool(gan, 8, apart=apart)
        step, state = jax.jit(make_step(update)), init(gan, KEY, batch, update)
        for number in range(5):
            state, _ = step(state, batch, KEY)
            pool = state.extra["pool"]
            a, b = (pool["a"][0], pool["b"][0]) if apart else pool[0].values()
            assert bool((a == b).all()) == (
                number < 2 or not apart
            )  # the third batch finds it full


def test_a_view_may_take_nothing_but_the_size_of_the_batch():
    batch = {"image": jax.random.normal(KEY, (4, 3)), "label": jnp.arange(4)}

    def shifted(example, batch, key, state):
        keys = per_example(key, batch_size(batch))
        return example + jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys)

    def labeled(example, batch, key, state):
        return example + batch["label"][:, None]

    for view in (shifted, labeled):
        gan = small_gan(view=view)
        update = update_discriminator_from_pool(gan, 8)
        state = init(gan, KEY, batch, update)
        told = pytest.raises(ValueError, match="the view takes label of the batch")
        with told if view is labeled else nullcontext():
            jax.jit(make_step(update))(state, batch, KEY)


def test_two_devices_share_one_pool():
    gan = small_gan(generator=linen(Plain(3)), discriminator=linen(Plain()))
    update = chain(update_discriminator_from_pool(gan, 6), update_generator(gan))
    images = jax.random.normal(KEY, (3, 4, 3))
    state = init(gan, KEY, {"image": images[0]}, update)
    one, _ = jax.jit(partial(run_steps, make_step(update)))(state, {"image": images}, KEY)
    run = partial(run_steps, make_step(update, axis_name="devices"))
    mapped = jax.pmap(run, "devices", in_axes=(None, 1, None), devices=jax.devices()[:2])
    halves = images.reshape(3, 2, 2, 3)
    two, _ = mapped(state, {"image": halves}, KEY)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(lambda a, b: close(b[0], a), one, jax.device_get(two))
