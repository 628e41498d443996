"""Steps, loops of steps, and the promise that n devices compute what one would."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from tiny_systems import NAMES, System, small_gan, system, to_float64

from jaxgan import axes, losses, penalties
from jaxgan.core.combinators import chain, every, repeat, update_average
from jaxgan.core.gan import init
from jaxgan.core.networks import in_packs, linen
from jaxgan.core.state import GANState
from jaxgan.core.steps import make_step, run_steps
from jaxgan.core.updates import stateless, update_both, update_discriminator, update_generator
from jaxgan.nn.layers import Dropout, batch_norm

TWO = jax.devices()[:2]
KEY = jax.random.key(7)
STATE = GANState(jnp.zeros((), jnp.int32), None, None, {})  # pyright: ignore


def some_slow(*quick: str) -> list:
    """All systems, for tests where some of them say enough in everyday life."""
    slow = [name for name in ["study", *NAMES] if name not in quick]
    return [*quick, *(pytest.param(name, marks=pytest.mark.slow) for name in slow)]


class Forgetful(nn.Module):
    """A discriminator with all that makes its slopes depend on other examples, and on draws."""

    @nn.compact
    def __call__(self, inputs, train: bool):
        x = Dropout(0.4)(nn.Dense(16)(inputs), train)
        x = jnp.tanh(batch_norm(0.6, 1e-3, train)()(x))
        return nn.Dense(1)(x)[:, 0]


SPREAD = ["study", pytest.param("packs", marks=pytest.mark.slow)]


@cache
def get(name: str) -> System:
    """One of the five systems, or a study of what these do not do."""
    if name == "study":
        gan = small_gan(loss=losses.relativistic)
        update = chain(
            every(2, update_discriminator(gan)),
            repeat(update_generator(gan), 2),
            update_average(0.9),
        )
    elif name == "packs":
        gan = small_gan(
            discriminator=in_packs(linen(Forgetful()), 2),
            loss=losses.relativistic,
            penalty=penalties.total(penalties.gradient_penalty(), penalties.r1(2.0)),
        )
        update = update_both(gan)
    else:
        return system(name)
    images = np.random.default_rng(0).normal(1, 2, (3, 8, 3))
    state = init(gan, jax.random.key(0), {"image": images[0]}, update)
    with jax.enable_x64(True):
        return System(None, gan, update, to_float64(state), {"image": jnp.asarray(images)})  # pyright: ignore


@cache
def solo(name: str):
    """State and metrics after three steps on one device."""
    _, _, update, state, batches = get(name)
    with jax.enable_x64(True):
        return jax.jit(partial(run_steps, make_step(update)))(state, batches, KEY)


def check_as_solo(name: str, result):
    # The true gradient of a bias before batch norm is 0, and Adam makes steps of its rounding: in
    # float64 of some 1e-9, in float32 of some 1e-2, which is why this is float64. Moments are
    # compared too, for Adam's steps alone would not tell a sum of gradients from their mean.
    check = partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-8)
    jax.tree.map(check, result, solo(name))


@stateless
def record(state, batch, key):
    """An update that tells what it got."""
    return state, {"number": jax.random.uniform(key), "sum": batch["image"].sum()}


def test_a_step_folds_its_number_into_the_runs_key_and_counts():
    step = make_step(record)
    batch = {"image": jnp.ones((2, 1))}
    for number in (0, 1, 5):
        before = STATE.replace(step=jnp.asarray(number, jnp.int32))
        after, metrics = step(before, batch, KEY)
        assert metrics["number"] == jax.random.uniform(jax.random.fold_in(KEY, number))
        assert after.step == number + 1 and after.step.dtype == jnp.int32


def test_a_step_tells_its_updates_of_its_axis_while_it_is_traced():
    @stateless
    def tell(state, batch, key):
        assert axes.axis_name() == "devices"
        return state, {"index": jax.lax.axis_index("devices")}

    step = make_step(tell, axis_name="devices")
    mapped = jax.pmap(step, "devices", in_axes=(None, 0, None), devices=TWO)
    _, metrics = mapped(STATE, {"image": jnp.ones((2, 1))}, KEY)
    assert metrics["index"].tolist() == [0, 1]
    assert axes.axis_name() is None


def batches(length: int) -> dict[str, jax.Array]:
    return {"image": jnp.arange(1.0, 3 * length + 1).reshape(length, 3)}


def test_run_steps_takes_a_batch_for_each_step():
    state, metrics = run_steps(make_step(record), STATE, batches(4), KEY)
    assert state.step == 4
    assert metrics["sum"].tolist() == [6, 15, 24, 33]
    expected = [jax.random.uniform(jax.random.fold_in(KEY, step)) for step in range(4)]
    np.testing.assert_array_equal(metrics["number"], expected)


def test_a_run_may_be_cut_anywhere():
    step = make_step(record)
    state, whole = run_steps(step, STATE, batches(5), KEY)
    for cut in (1, 4):
        one, first = run_steps(step, STATE, {"image": batches(5)["image"][:cut]}, KEY)
        two, second = run_steps(step, one, {"image": batches(5)["image"][cut:]}, KEY)
        assert two.step == state.step
        joined = jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second)
        jax.tree.map(np.testing.assert_array_equal, joined, whole)


def test_a_count_leaves_the_rest_unused_and_needs_no_compilation_of_its_own():
    traced = []

    @stateless
    def tell(state, batch, key):
        traced.append(1)
        return record.apply(state, batch, key)

    run = jax.jit(partial(run_steps, make_step(tell)))
    _, whole = run_steps(make_step(record), STATE, batches(4), KEY)
    times = None
    for count in range(5):
        state, metrics = run(STATE, batches(4), KEY, jnp.asarray(count))
        assert state.step == count
        for name in ("number", "sum"):
            np.testing.assert_array_equal(metrics[name][:count], whole[name][:count])
            np.testing.assert_array_equal(metrics[name][count:], 0)
        times = times or len(traced)
    assert len(traced) == times
    state, _ = run_steps(make_step(record), STATE, batches(4), KEY, 3)  # a number of Python's
    assert state.step == 3
    with pytest.raises(ValueError, match="5 steps take as many batches, of which there are 4"):
        run_steps(make_step(record), STATE, batches(4), KEY, 5)
    for count in (jnp.asarray(5), -1):
        with pytest.raises(ValueError, match=r"^-?\d steps take as many batches"):
            run_steps(make_step(record), STATE, batches(4), KEY, count)


def test_a_step_without_metrics_can_be_run():
    @stateless
    def silent(state, batch, key):
        return state, {}

    state, metrics = run_steps(make_step(silent), STATE, batches(3), KEY)
    assert state.step == 3 and metrics == {}


@pytest.mark.parametrize("name", some_slow("study", "pattern_1010"))
def test_run_steps_is_a_loop_over_steps_bit_for_bit_unless_compiled_whole(name):
    _, _, update, state, batches = get(name)
    with jax.enable_x64(True):
        step = jax.jit(make_step(update))
        metrics = []
        for index in range(3):
            state, new = step(state, jax.tree.map(lambda x, i=index: x[i], batches), KEY)
            metrics.append(new)
    stacked = jax.tree.map(lambda *rows: np.stack(rows), *metrics)
    # A small loop is compiled as one function, which may round products and sums in one go.
    rounding = 1e-13 if name == "pattern_1010" else 0
    check = partial(np.testing.assert_allclose, rtol=rounding, atol=rounding / 100)
    jax.tree.map(check, (state, stacked), solo(name))


@pytest.mark.parametrize("name", SPREAD)
def test_pmap_over_two_devices_computes_what_one_does(name):
    _, _, update, state, batches = get(name)
    step = make_step(update, axis_name="devices")
    mapped = jax.pmap(partial(run_steps, step), "devices", in_axes=(None, 1, None), devices=TWO)
    with jax.enable_x64(True):
        shares = jax.tree.map(lambda x: x.reshape(3, 2, x.shape[1] // 2, *x.shape[2:]), batches)
        result = jax.device_get(mapped(state, shares, KEY))
    for device in (0, 1):
        check_as_solo(name, jax.tree.map(lambda x, device=device: x[device], result))


def mesh():
    return jax.make_mesh((2,), ("devices",), axis_types=(AxisType.Auto,), devices=TWO)


@pytest.mark.parametrize("name", SPREAD)
@pytest.mark.parametrize("constrained", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_jit_over_sharded_batches_computes_what_one_device_does(name, constrained):
    _, _, update, state, batches = get(name)
    sharding = NamedSharding(mesh(), P("devices")) if constrained else None
    with jax.enable_x64(True):
        state = jax.device_put(state, NamedSharding(mesh(), P()))
        batches = jax.device_put(batches, NamedSharding(mesh(), P(None, "devices")))
        step = make_step(update, sharding=sharding)
        result = jax.jit(partial(run_steps, step))(state, batches, KEY)
    assert len(result[0].step.devices()) == 2
    check_as_solo(name, result)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPREAD)
def test_shard_map_without_its_check_computes_what_one_device_does(name):
    _, _, update, state, batches = get(name)
    step = make_step(update, axis_name="devices")
    specs = P(), P(None, "devices"), P()
    mapped = jax.shard_map(
        partial(run_steps, step), mesh=mesh(), in_specs=specs, out_specs=P(), check_vma=False
    )
    with jax.enable_x64(True):
        check_as_solo(name, jax.jit(mapped)(state, batches, KEY))


def test_shard_map_with_its_check_is_refused():
    # There the transpose of replicated parameters sums their gradients over the devices already;
    # the updates' own mean would leave that sum, a step too large by the number of devices.
    _, _, update, state, batches = get("pattern_1010")
    step = make_step(update, axis_name="devices")
    specs = P(), P("devices"), P()
    mapped = jax.shard_map(step, mesh=mesh(), in_specs=specs, out_specs=P())
    with jax.enable_x64(True), pytest.raises(ValueError, match="check_vma=False"):
        mapped(state, {"image": batches["image"][0]}, KEY)


@pytest.mark.parametrize("name", some_slow("pattern_1010"))
def test_vmap_over_runs_computes_what_each_computes_alone(name):
    _, _, update, state, batches = get(name)
    run = partial(run_steps, make_step(update))
    with jax.enable_x64(True):
        # The same run twice, and between them one of other parameters, data and key.
        states = jax.tree.map(
            lambda x: jnp.stack([x, 1.1 * x, x]).astype(x.dtype), state.replace(step=state.step)
        )
        images = batches["image"]
        keys = jnp.stack([KEY, jax.random.key(8), KEY])
        mapped = jax.jit(jax.vmap(run))
        result = mapped(states, {"image": jnp.stack([images, images[::-1], images])}, keys)
    for run in (0, 2):
        check_as_solo(name, jax.tree.map(lambda x, run=run: x[run], result))
    apart = jax.tree.map(lambda x: x[0] - x[1], result[1])
    assert all(np.abs(difference).max() > 1e-6 for difference in jax.tree.leaves(apart))


# Not of the study, whose loss of pairs does not depend on D's last bias.
@pytest.mark.parametrize(
    "name",
    [pytest.param(x, marks=() if x == "pattern_1010" else pytest.mark.slow) for x in NAMES],
)
def test_all_parameters_move_in_three_steps(name):
    # Or the comparisons above would compare what stands still.
    before, (after, metrics) = get(name).state, solo(name)
    for net in ("generator", "discriminator"):
        for tree in ("params", "collections"):
            old, new = (getattr(getattr(state, net), tree) for state in (before, after))
            still = jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), old, new)
            assert not any(jax.tree.leaves(still)), still
    assert all(np.isfinite(values).all() for values in metrics.values())


def test_a_state_without_what_an_update_keeps_is_refused():
    gan = small_gan()
    update = chain(update_generator(gan), update_average(0.9))
    batch = {"image": jnp.ones((8, 3))}
    state = init(gan, KEY, batch)
    with pytest.raises(ValueError, match=r"lacks 'average'.*init\(gan, key, batch, update\)"):
        make_step(update)(state, batch, KEY)


def test_a_state_with_what_no_update_moves_is_refused():
    gan = small_gan()
    batch = {"image": jnp.ones((8, 3))}
    state = init(gan, KEY, batch, update_average(0.9))
    with pytest.raises(ValueError, match="'average', which nothing in this update moves"):
        make_step(update_generator(gan))(state, batch, KEY)


def test_metrics_that_are_no_scalars_are_refused_by_name():
    update = stateless(lambda state, batch, key: (state, {"logits": jnp.zeros((2, 3))}))
    with pytest.raises(ValueError, match=r"'logits' has the shape \(2, 3\)"):
        make_step(update)(STATE, batches(1), KEY)


class Stock(nn.Module):
    """A network with Flax's own batch norm, which knows nothing of devices."""

    outputs: int

    @nn.compact
    def __call__(self, inputs, train: bool):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(nn.Dense(4)(inputs))
        x = nn.Dense(self.outputs)(jnp.tanh(x))
        return x if self.outputs > 1 else x[:, 0]


def test_stock_modules_do_not_let_replicas_drift_apart():
    gan = small_gan(generator=linen(Stock(3)), discriminator=linen(Stock(1)))
    step = make_step(update_both(gan), axis_name="devices")
    images = jnp.asarray(np.random.default_rng(0).normal(1, 2, (3, 2, 4, 3)), jnp.float32)
    state = init(gan, KEY, {"image": images[0, 0]})
    mapped = jax.pmap(partial(run_steps, step), "devices", in_axes=(None, 1, None), devices=TWO)
    after, metrics = jax.device_get(mapped(state, {"image": images}, KEY))
    jax.tree.map(lambda x: np.testing.assert_array_equal(x[0], x[1]), (after, metrics))
    moved = after.discriminator.collections["batch_stats"]["BatchNorm_0"]["mean"][0]
    assert np.abs(moved).max() > 0.01
