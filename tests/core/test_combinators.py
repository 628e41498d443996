import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_updates import IMAGES, KEY, close, equal, first, run
from tiny_systems import small_gan

from jaxgan.core.combinators import chain, every, on_part, repeat
from jaxgan.core.state import GANState
from jaxgan.core.updates import update_discriminator


def note(name: str):
    """An update that records what it sees in its metrics and counts itself in the step."""

    def update(state, batch, key, axis_name=None):
        seen = {f"{name}_sum": batch["image"].sum(), f"{name}_key": jax.random.uniform(key)}
        return state.replace(step=state.step + 1), seen | {"seen": batch["image"][:, 0]}

    return update


COUNTING = {"image": jnp.arange(12.0).reshape(12, 1), "label": jnp.arange(12)}
STATE = GANState(jnp.zeros((), jnp.int32), None, None, None)  # pyright: ignore


@pytest.mark.parametrize(("part", "parts"), [(0, 1), (0, 2), (1, 2), (0, 3), (2, 3), (3, 4)])
def test_on_part_sees_each_nth_example_of_everything(part, parts):
    def update(state, batch, key, axis_name=None):
        return state, {"image": batch["image"][:, 0], "label": batch["label"], "key": key}

    _, seen = on_part(update, part, parts)(STATE, COUNTING, KEY)
    expected = np.arange(12)[np.arange(12) % parts == part]
    equal((seen["image"], seen["label"]), (expected, expected))
    assert seen["key"] == KEY


def test_on_parts_together_see_each_example_once():
    seen = [on_part(note("a"), part, 3)(STATE, COUNTING, KEY)[1]["seen"] for part in range(3)]
    assert sorted(np.concatenate(seen)) == list(range(12))


def test_repeat_gives_each_time_its_own_part_and_key():
    log = []

    def update(state, batch, key, axis_name=None):
        log.append((batch["image"][:, 0].tolist(), float(jax.random.uniform(key))))
        return state.replace(step=state.step + 1), {"time": state.step}

    state, metrics = repeat(update, 3)(STATE, COUNTING, KEY)
    assert state.step == 3 and metrics == {"time": 2}
    assert [images for images, _ in log] == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    assert len({number for _, number in log}) == 3
    first_time = log[:]
    log.clear()
    repeat(update, 3)(STATE, COUNTING, KEY)
    assert log == first_time


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
    state, metrics = chain(note("a"), note("b"))(STATE, COUNTING, KEY)
    assert state.step == 2
    assert metrics.keys() == {"a_sum", "a_key", "b_sum", "b_key", "seen"}
    assert metrics["a_sum"] == metrics["b_sum"] and metrics["a_key"] == metrics["b_key"]

    def constant(value):
        return lambda state, batch, key, axis_name=None: (state, {"loss": jnp.asarray(value)})

    assert chain(constant(1.0), constant(2.0))(STATE, COUNTING, KEY)[1] == {"loss": 2.0}
    assert chain()(STATE, COUNTING, KEY) == (STATE, {})


def test_a_chain_hands_each_update_the_state_of_the_one_before():
    def update(state, batch, key, axis_name=None):
        return state.replace(step=2 * state.step + 1), {}

    assert chain(update, update, update)(STATE, COUNTING, KEY)[0].step == 7


@pytest.mark.parametrize("period", [1, 2, 3])
def test_every_acts_at_multiples_of_its_period_only(period):
    def count(state, batch, key, axis_name=None):
        return state.replace(generator=state.generator + 1), {"unseen": batch["image"].sum()}

    lazy = jax.jit(every(period, count))
    counts = []
    for step in range(7):
        state = GANState(jnp.asarray(step), jnp.zeros(()), None, None)  # pyright: ignore
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
