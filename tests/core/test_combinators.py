import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_updates import IMAGES, KEY, close, equal, first, run
from tiny_systems import small_gan

from jaxgan.core.combinators import (
    chain,
    every,
    half_life,
    on_part,
    repeat,
    scheduled,
    share_key,
    update_average,
)
from jaxgan.core.gan import init
from jaxgan.core.state import GANState
from jaxgan.core.steps import make_step
from jaxgan.core.updates import Update, stateless, update_discriminator, update_generator


def note(name: str):
    """An update that records what it sees in its metrics and counts itself in the step."""

    @stateless
    def update(state, batch, key):
        seen = {f"{name}_sum": batch["image"].sum(), f"{name}_key": jax.random.uniform(key)}
        return state.replace(step=state.step + 1), seen | {"seen": batch["image"][:, 0]}

    return update


COUNTING = {"image": jnp.arange(12.0).reshape(12, 1), "label": jnp.arange(12)}
STATE = GANState(jnp.zeros((), jnp.int32), None, None, {})  # pyright: ignore


@pytest.mark.parametrize(("part", "parts"), [(0, 1), (0, 2), (1, 2), (0, 3), (2, 3), (3, 4)])
def test_on_part_sees_each_nth_example_of_everything(part, parts):
    @stateless
    def update(state, batch, key):
        return state, {"image": batch["image"][:, 0], "label": batch["label"], "key": key}

    _, seen = on_part(update, part, parts).apply(STATE, COUNTING, KEY)
    expected = np.arange(12)[np.arange(12) % parts == part]
    equal((seen["image"], seen["label"]), (expected, expected))
    assert seen["key"] == KEY


def test_a_batch_may_hold_trees():
    @stateless
    def update(state, batch, key):
        return state, {"seen": batch["pair"]["b"]}

    batch = {"pair": {"a": jnp.arange(4), "b": -jnp.arange(4)}}
    _, seen = on_part(update, 1, 2).apply(STATE, batch, KEY)
    assert seen["seen"].tolist() == [-1, -3]


def test_on_parts_together_see_each_example_once():
    seen = [on_part(note("a"), part, 3).apply(STATE, COUNTING, KEY)[1]["seen"] for part in range(3)]
    assert sorted(np.concatenate(seen)) == list(range(12))


def test_repeat_gives_each_time_its_own_part_and_key():
    log = []

    @stateless
    def update(state, batch, key):
        log.append((batch["image"][:, 0].tolist(), float(jax.random.uniform(key))))
        return state.replace(step=state.step + 1), {"time": state.step}

    state, metrics = repeat(update, 3).apply(STATE, COUNTING, KEY)
    assert state.step == 3 and metrics == {"time": 2}
    assert [images for images, _ in log] == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    assert len({number for _, number in log}) == 3
    first_time = log[:]
    log.clear()
    repeat(update, 3).apply(STATE, COUNTING, KEY)
    assert log == first_time


@pytest.mark.slow
def test_repeat_of_the_discriminators_step_is_two_steps():
    gan = small_gan()
    twice = run(repeat(update_discriminator(gan), 2), first(gan))[0]
    state = first(gan)
    for index in range(2):
        half = {"image": IMAGES[index::2]}
        state, _ = run(update_discriminator(gan), state, half, jax.random.fold_in(KEY, index))
    close(twice.discriminator.params["Dense_1"], state.discriminator.params["Dense_1"], 1e-5, 1e-6)
    assert twice.discriminator.opt_state[0].count == 2


def test_a_chain_merges_metrics_and_the_later_wins():
    state, metrics = chain(note("a"), note("b")).apply(STATE, COUNTING, KEY)
    assert state.step == 2
    assert metrics.keys() == {"a_sum", "a_key", "b_sum", "b_key", "seen"}
    assert metrics["a_sum"] == metrics["b_sum"] and metrics["a_key"] != metrics["b_key"]
    _, metrics = share_key(note("a"), note("b")).apply(STATE, COUNTING, KEY)
    assert metrics["a_key"] == metrics["b_key"]

    def constant(value):
        return stateless(lambda state, batch, key: (state, {"loss": jnp.asarray(value)}))

    assert chain(constant(1.0), constant(2.0)).apply(STATE, COUNTING, KEY)[1] == {"loss": 2.0}
    assert chain().apply(STATE, COUNTING, KEY) == (STATE, {})


def test_a_chain_hands_each_update_the_state_of_the_one_before():
    @stateless
    def update(state, batch, key):
        return state.replace(step=2 * state.step + 1), {}

    assert chain(update, update, update).apply(STATE, COUNTING, KEY)[0].step == 7


@pytest.mark.parametrize("period", [1, 2, 3])
def test_every_acts_at_multiples_of_its_period_only(period):
    @stateless
    def count(state, batch, key):
        return state.replace(generator=state.generator + 1), {"unseen": batch["image"].sum()}

    lazy = jax.jit(every(period, count).apply)
    counts = []
    for step in range(7):
        state = GANState(jnp.asarray(step), jnp.zeros(()), None, {})  # pyright: ignore
        state, metrics = lazy(state, COUNTING, KEY)
        assert metrics == {}
        counts.append(int(state.generator))
    assert counts == [int(step % period == 0) for step in range(7)]


def test_every_hands_on_batch_and_key():
    gan = small_gan()
    plain, _ = run(update_discriminator(gan), first(gan))
    lazy, _ = run(every(4, update_discriminator(gan)), first(gan))
    close(lazy.discriminator.params["Dense_1"], plain.discriminator.params["Dense_1"], 1e-5, 1e-6)
    left = first(gan).replace(step=jnp.asarray(3, jnp.int32))
    equal(run(every(4, update_discriminator(gan)), left)[0], left)


def counter(name: str, start: int) -> Update:
    """An update that counts in a place of its own."""

    def init(state, batch, key):
        return state.with_extra(**{name: jnp.int32(start)})

    def apply(state, batch, key):
        return state.with_extra(**{name: state.extra[name] + 1}), {name: state.extra[name]}

    return Update(init, apply)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda update: chain(update, counter("other", 0)),
        lambda update: share_key(counter("other", 0), update),
        lambda update: on_part(update, 1, 2),
        lambda update: repeat(update, 2),
        lambda update: every(2, update),
        lambda update: scheduled(lambda step: update),
    ],
    ids=["chain", "share_key", "on_part", "repeat", "every", "scheduled"],
)
def test_what_an_update_keeps_begins_also_within_others(wrap):
    update = wrap(counter("own", 5))
    state = update.init(STATE, COUNTING, KEY)
    assert state.extra["own"] == 5
    after, _ = update.apply(state, COUNTING, KEY)
    assert after.extra["own"] > 5


def test_scheduled_makes_an_update_of_the_step_number():
    def weighted(step):
        weight = jnp.where(step < 3, 1.0, 0.25)
        return stateless(lambda state, batch, key: (state, {"weight": weight}))

    step = jax.jit(make_step(scheduled(weighted)))
    state, found = STATE, []
    for _ in range(5):
        state, metrics = step(state, COUNTING, KEY)
        found.append(float(metrics["weight"]))
    assert found == [1, 1, 1, 0.25, 0.25]


def test_the_average_moves_alone_and_is_the_weighted_sum_of_all():
    gan = small_gan()
    update = chain(update_generator(gan), update_average(0.6))
    state = init(gan, KEY, {"image": IMAGES}, update)
    equal(state.extra["average"].params, state.generator.params)
    expected = np.asarray(state.generator.params["Dense_0"]["kernel"])
    apply = jax.jit(update.apply)
    for number in range(4):
        state, metrics = apply(state, {"image": IMAGES}, jax.random.key(number))
        expected = 0.6 * expected + 0.4 * np.asarray(state.generator.params["Dense_0"]["kernel"])
    close(state.extra["average"].params["Dense_0"]["kernel"], expected)
    equal(state.extra["average"].collections, state.generator.collections)
    assert metrics.keys() == {"loss_g"}
    after, metrics = run(update_average(0.6), state)
    equal(after.replace(extra={}), state.replace(extra={}))
    assert metrics == {}


def test_averages_of_several_kinds_live_side_by_side():
    gan = small_gan()
    update = chain(
        update_average(0.5), update_average(0.9, of="discriminator", name="average_of_d")
    )
    state = init(gan, KEY, {"image": IMAGES}, update)
    assert state.extra.keys() == {"average", "average_of_d"}
    equal(state.extra["average_of_d"].params, state.discriminator.params)


def test_samples_are_made_with_the_average_of_g_alone():
    with pytest.raises(ValueError, match="give the average of discriminator a name"):
        update_average(0.9, of="discriminator")


def test_half_lives():
    step = jnp.int32(30)
    assert np.isclose(half_life(10.0)(step) ** 10, 0.5)
    assert half_life(0.0)(step) == 0
    ramp = half_life(lambda step: step / 3)
    assert np.isclose(ramp(step) ** 10, 0.5) and ramp(jnp.int32(0)) == 0


def test_a_ramped_average_starts_by_following_and_then_lags():
    gan = small_gan()
    update = chain(
        update_generator(gan), update_average(lambda step: jnp.where(step < 2, 0.0, 1.0))
    )
    step = jax.jit(make_step(update))
    state = init(gan, KEY, {"image": IMAGES}, update)
    for _ in range(2):
        state, _ = step(state, {"image": IMAGES}, KEY)
    followed = state.extra["average"].params
    equal(followed, state.generator.params)
    state, _ = step(state, {"image": IMAGES}, KEY)
    equal(state.extra["average"].params, followed)
