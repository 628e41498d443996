"""Conversion of weights and their files; tests/parity compares them with PyTorch."""

import os
from collections.abc import Callable
from functools import partial

import hypothesis.extra.numpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_systems import NAMES, SHAPES, system

from jaxgan.core.combinators import chain, update_average
from jaxgan.core.gan import init
from jaxgan.core.networks import linen
from jaxgan.core.state import GANState, TrainState
from jaxgan.core.updates import Update, update_both
from jaxgan.interop import (
    from_arrays,
    from_torch_state_dict,
    layer_names,
    load_safetensors,
    load_variables,
    save_safetensors,
    save_variables,
    to_arrays,
    to_torch_state_dict,
)
from jaxgan.recipes.mnist_mlp import MnistMlp
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
LATENTS = np.zeros((1, 100))


@pytest.fixture(scope="module")
def trained():
    gan = MnistMlp(generator_widths=(4, 6)).gan(DataSpec((4, 4, 1)))
    example = {"image": np.zeros((1, 4, 4, 1), np.float32)}
    return gan, jax.jit(partial(init, gan, batch=example))(jax.random.key(0))


def test_weights_survive_the_way_to_a_file_and_back(trained, tmp_path):
    gan, state = trained
    weights = to_torch_state_dict(gan.generator, state.generator, inputs=LATENTS)
    save_safetensors(tmp_path / "g.safetensors", weights)
    loaded = load_safetensors(tmp_path / "g.safetensors")
    blank = jax.tree.map(np.zeros_like, state.generator)
    back = from_torch_state_dict(gan.generator, blank, loaded, inputs=LATENTS)
    same = jax.tree.map(np.array_equal, back.params, state.generator.params)
    assert all(jax.tree.leaves(same))


@pytest.mark.parametrize("role", ["generator", "discriminator"])
@pytest.mark.parametrize("name", NAMES)
def test_both_networks_of_every_recipe_are_converted_and_back(name, role):
    one = system(name)
    state = jax.tree.map(lambda x: np.asarray(x, np.float32), one.state)
    network, net = getattr(one.gan, role), getattr(state, role)
    inputs = np.zeros((1, *SHAPES[name]))
    if role == "generator":
        inputs = one.gan.inputs(KEY, 1, {})
    weights = to_torch_state_dict(network, net, inputs=inputs)
    leaves = jax.tree.leaves((net.params, net.collections))
    assert sum(weight.size for weight in weights.values()) == sum(leaf.size for leaf in leaves)
    blank = jax.tree.map(np.zeros_like, net)
    back = from_torch_state_dict(network, blank, weights, inputs=inputs)
    jax.tree.map(np.testing.assert_array_equal, back.params, net.params)
    jax.tree.map(np.testing.assert_array_equal, back.collections, net.collections)
    jax.tree.map(np.testing.assert_array_equal, back.opt_state, blank.opt_state)
    # And with the names of another module, in the order in which its layers are applied.
    names = [f"main.{index}" for index in range(len(layer_names(weights)))]
    renamed = to_torch_state_dict(network, net, inputs=inputs, layers=names)
    assert layer_names(sorted(renamed, key=lambda name: int(name.split(".")[1]))) == names
    for theirs, ours in zip(sorted(renamed), sorted(weights), strict=True):
        assert renamed[theirs].dtype == weights[ours].dtype
    again = from_torch_state_dict(network, blank, renamed, inputs=inputs, layers=names)
    jax.tree.map(np.testing.assert_array_equal, again.params, net.params)


ARRAYS = hypothesis.extra.numpy.arrays(
    st.sampled_from([np.float32, np.float64, np.float16, np.int32, np.uint8]),
    hypothesis.extra.numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


@given(st.dictionaries(st.text("abc.0", min_size=1, max_size=9), ARRAYS, max_size=4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_arrays_come_back_from_a_file_bit_for_bit(tmp_path_factory, arrays, turned):
    if turned:  # the same numbers, laid out in memory the other way round
        arrays = {name: np.asfortranarray(array) for name, array in arrays.items()}
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save_safetensors(path, arrays)
    found = load_safetensors(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w, n: w | {n: w[n][..., :1]}, "has the shape"),
        (lambda w, n: w | {"other.weight": w[n]}, "unexpected other.weight"),
        (lambda w, n: w | {"a\nb": w[n]}, r"unexpected a\?b"),
        (lambda w, n: w | {n: "not an array"}, "not an array of numbers"),
        (lambda w, n: w | {n: [[1], [2, 3]]}, "cannot be read as an array"),
        (lambda w, n: w | {n: w[n].astype(complex)}, "not an array of numbers"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, told, trained):
    gan, state = trained
    weights = to_torch_state_dict(gan.generator, state.generator, inputs=LATENTS)
    name = next(name for name in weights if weights[name].ndim == 2)
    with pytest.raises(UserError, match=told) as raised:
        from_torch_state_dict(gan.generator, state.generator, change(weights, name), inputs=LATENTS)
    assert name in str(raised.value) or told.startswith("unexpected")
    assert "\n" not in str(raised.value)


class Grouped(nn.Module):
    """Dense layers, and a norm that is not supported."""

    @nn.compact
    def __call__(self, x, train: bool):
        return nn.GroupNorm(2)(nn.Dense(4)(x))


def test_arrays_of_other_layers_are_refused():
    network, inputs = linen(Grouped()), np.zeros((1, 2))
    net = TrainState(*network.init(KEY, inputs), opt_state=())
    with pytest.raises(UserError, match="cannot convert params/GroupNorm_0/.*no supported layer"):
        to_torch_state_dict(network, net, inputs=inputs)


class Flattening(nn.Module):
    """A map of 5 channels, and a way to go on."""

    way: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x, train: bool):
        return self.way(nn.Conv(5, (3, 3))(x))


class FlatDense(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(7)(flatten(x))


def flatten(x):
    return x.reshape(len(x), -1)


flatten_by_a_rule = jax.custom_jvp(flatten)
flatten_by_a_rule.defjvp(lambda x, dx: (flatten(*x), flatten(*dx)))


def converted(way):
    network, inputs = linen(Flattening(way)), np.zeros((2, 4, 4, 2), np.float32)
    net = TrainState(*network.init(KEY, inputs), opt_state=())
    return net.params, to_torch_state_dict(network, net, inputs=inputs)


@pytest.mark.parametrize(
    "way",
    [
        lambda x: nn.Dense(7)(flatten(x)),
        lambda x: nn.Dense(7)(jax.jit(flatten)(x)),
        lambda x: nn.Dense(7)(jax.checkpoint(jax.jit(flatten))(x)),
        lambda x: nn.Dense(7)(jax.nn.relu(flatten_by_a_rule(x))),
        lambda x: nn.remat(FlatDense)()(x),
        lambda x: nn.Dense(7)(jnp.concatenate([flatten(x), flatten(-x)])),
        # Cut or joined elsewhere.
        lambda x: nn.Dense(7)(flatten(x)) * flatten(x)[:, :9].max(1, keepdims=True),
        lambda x: (nn.Dense(7)(flatten(x)), nn.Dense(9)(x), jnp.hstack([flatten(x), x[:, 0, 0]])),
    ],
)
def test_flattened_maps_are_found_wherever_they_are(way):
    params, weights = converted(way)
    (kernel,) = [x for x in jax.tree.leaves(params) if x.shape == (80, 7)]
    (weight,) = [x for x in weights.values() if x.shape == (7, 80)]
    expected = kernel.reshape(4, 4, 5, 7).transpose(3, 2, 0, 1).reshape(7, 80)
    np.testing.assert_array_equal(weight, expected)


def test_an_order_that_is_known_later_is_that_of_what_came_before():
    def way(x):
        first, second = nn.Dense(80)(x[:, 0, 0]), nn.Dense(80)(x[:, 1, 1])
        beside = jnp.sin(jnp.tanh(first))
        return (first + second).reshape(x.shape), nn.Dense(7)(beside)

    params, weights = converted(way)
    kernel = params["Dense_2"]["kernel"]
    expected = kernel.reshape(4, 4, 5, 7).transpose(3, 2, 0, 1).reshape(7, 80)
    np.testing.assert_array_equal(weights["Dense_2.weight"], expected)


def as_in_pytorch(x):
    return x.transpose(0, 3, 1, 2)


def back(x):
    return x.transpose(0, 2, 3, 1)


@pytest.mark.parametrize(
    "way",
    [
        lambda x: nn.Dense(7)(flatten(as_in_pytorch(x))),
        lambda x: nn.Dense(7)(flatten(jnp.tanh(jax.jit(as_in_pytorch)(x)) * 2)),
        lambda x: nn.Dense(7)(flatten(as_in_pytorch(x.swapaxes(1, 2)))),
        lambda x: nn.Dense(7)(jnp.hstack([flatten(as_in_pytorch(x)), jnp.ones((2, 3))])),
    ],
)
def test_maps_with_channels_first_are_flattened_in_pytorchs_order(way):
    params, weights = converted(way)
    np.testing.assert_array_equal(weights["Dense_0.weight"], params["Dense_0"]["kernel"].T)


@pytest.mark.parametrize("then", [lambda x: x, lambda x: nn.Conv(5, (3, 3))(jnp.tanh(x))])
def test_maps_with_channels_first_are_made_in_pytorchs_order(then):
    def way(x):
        flat = nn.Dense(80)(x[:, 0, 0])
        return then(back(jnp.tanh(flat.reshape(2, 5, 4, 4)) + 1))

    params, weights = converted(way)
    np.testing.assert_array_equal(weights["Dense_0.weight"], params["Dense_0"]["kernel"].T)


@pytest.mark.parametrize(
    "way",
    [
        lambda x: nn.Dense(7)(flatten(back(as_in_pytorch(x)))),
        lambda x: nn.Dense(7)(flatten(x.swapaxes(1, 2))),
    ],
)
def test_maps_with_channels_last_again_are_reordered(way):
    params, weights = converted(way)
    expected = params["Dense_0"]["kernel"].reshape(4, 4, 5, 7).transpose(3, 2, 0, 1).reshape(7, 80)
    np.testing.assert_array_equal(weights["Dense_0.weight"], expected)


@pytest.mark.parametrize(
    ("way", "layer"),
    [
        (lambda x: nn.Dense(7)(flatten(x.transpose(0, 1, 3, 2))), "Dense_0"),
        (lambda x: nn.Dense(7)(flatten(x) + flatten(as_in_pytorch(x))), "Dense_0"),
        (lambda x: nn.Dense(80)(x[:, 0, 0]).reshape(2, 4, 5, 4).swapaxes(2, 3), "Dense_0"),
        (lambda x: nn.Dense(7)(jnp.hstack([flatten(x), jnp.ones((2, 3))])), "Dense_0"),
        (lambda x: nn.Dense(7)(jnp.tanh(jax.jit(lambda x: flatten(x)[:, :40])(x))), "Dense_0"),
        (lambda x: nn.Dense(7)(jnp.split(flatten(x), 2, 1)[1]), "Dense_0"),
        (lambda x: jnp.split(nn.Dense(160)(x[:, 0, 0]), 2, 1)[0].reshape(x.shape), "Dense_0"),
        (lambda x: nn.Dense(7)(flatten(x) + flatten(x.reshape(2, 4, 2, 10))), "Dense_0"),
        (lambda x: nn.BatchNorm(True)(jnp.roll(flatten(x), 1, 1)), "BatchNorm_0"),
    ],
)
def test_layers_of_parts_of_flattened_maps_are_refused(way, layer):
    with pytest.raises(UserError, match=f"cannot convert params/{layer}/.* a layer of its own"):
        converted(way)


def test_too_few_names_of_layers_are_refused(trained):
    gan, state = trained
    with pytest.raises(UserError, match="layers must name each"):
        to_torch_state_dict(gan.generator, state.generator, inputs=LATENTS, layers=["0", "1"])


def test_pytorchs_counts_of_batches_are_ignored(trained):
    gan, state = trained
    weights = to_torch_state_dict(gan.generator, state.generator, inputs=LATENTS)
    counted = weights | {"BatchNorm_0.num_batches_tracked": np.array(7)}
    back = from_torch_state_dict(gan.generator, state.generator, counted, inputs=LATENTS)
    jax.tree.map(np.testing.assert_array_equal, back.params, state.generator.params)


def test_a_missing_weight_is_named(trained):
    gan, state = trained
    weights = to_torch_state_dict(gan.generator, state.generator, inputs=LATENTS)
    name = sorted(weights)[0]
    del weights[name]
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        from_torch_state_dict(gan.generator, state.generator, weights, inputs=LATENTS)


def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path):
    (tmp_path / "g.safetensors").write_bytes(b"not at all")
    with pytest.raises(UserError, match="cannot read .*g.safetensors"):
        load_safetensors(tmp_path / "g.safetensors")
    with pytest.raises(UserError, match="cannot read .*absent: there is no such file"):
        load_safetensors(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe is not a regular file"):
        load_safetensors(tmp_path / "pipe")


def averaged(gan) -> tuple[Update, GANState]:
    update = chain(update_both(gan), update_average(0.9))
    example = {"image": np.zeros((1, 4, 4, 1), np.float32)}
    return update, init(gan, jax.random.key(1), example, update)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_a_state_takes_the_weights_of_another_by_way_of_a_file(trained, tmp_path):
    gan, state = trained
    save_safetensors(tmp_path / "gan.safetensors", to_arrays(state))
    arrays = load_safetensors(tmp_path / "gan.safetensors")
    assert arrays["generator/params/FanInDense_0/kernel"].shape == (100, 4)
    assert "generator/batch_stats/BatchNorm_0/mean" in arrays
    _, fresh = averaged(gan)
    taken = from_arrays(fresh, arrays)
    for net in ("generator", "discriminator"):
        assert_same(getattr(taken, net).params, getattr(state, net).params)
        assert_same(getattr(taken, net).opt_state, getattr(fresh, net).opt_state)
    assert_same(taken.extra["average"].params, state.generator.params)  # which has no average yet


def test_an_average_comes_with_the_weights_or_stays_behind(trained):
    gan, plain = trained
    _, state = averaged(gan)
    moved = jax.tree.map(lambda x: x + 1, state.extra["average"])
    arrays = to_arrays(state.with_extra(average=moved))
    assert_same(from_arrays(state, arrays).extra["average"], moved)
    assert not from_arrays(plain, arrays).extra


def test_weights_of_another_gan_are_refused(trained):
    gan, state = trained
    arrays = to_arrays(state)
    with pytest.raises(UserError, match="lacks discriminator/params/FanInDense_0/bias"):
        rest = {k: v for k, v in arrays.items() if k != "discriminator/params/FanInDense_0/bias"}
        from_arrays(state, rest)
    with pytest.raises(UserError, match="unexpected generator/params/more"):
        from_arrays(state, arrays | {"generator/params/more": np.zeros(1)})
    with pytest.raises(UserError, match=r"FanInDense_0/bias has the shape \(9,\)"):
        from_arrays(state, arrays | {"discriminator/params/FanInDense_0/bias": np.zeros(9)})


def test_variables_survive_the_way_to_a_file_and_back(tmp_path):
    module = nn.Sequential([nn.Dense(3), nn.BatchNorm(use_running_average=True)])
    variables = module.init(jax.random.key(0), np.ones((2, 4)))
    save_variables(tmp_path / "module.safetensors", variables)
    loaded = load_variables(tmp_path / "module.safetensors")
    jax.tree.map(np.testing.assert_array_equal, loaded, dict(variables))


def test_names_that_contradict_each_other_are_refused(tmp_path):
    arrays = {"params/a": np.ones(2), "params/a/b": np.ones(3)}
    save_safetensors(tmp_path / "odd.safetensors", arrays)
    with pytest.raises(UserError, match="params/a is an array and holds others"):
        load_variables(tmp_path / "odd.safetensors")


def test_names_with_slashes_survive_too(tmp_path):
    variables = {"batch_stats": {"Norm_0": {"Dense_0/kernel/u": np.ones(2)}, "50%": np.zeros(1)}}
    save_variables(tmp_path / "module.safetensors", variables)
    loaded = load_variables(tmp_path / "module.safetensors")
    jax.tree.map(np.testing.assert_array_equal, loaded, variables)


def test_bfloat16_is_written_as_float32_and_read_back(tmp_path, trained):
    _, state = trained
    rounded = jax.tree.map(lambda x: x.astype(jnp.bfloat16), state.generator.params)
    state = state.replace(generator=state.generator.replace(params=rounded))
    save_safetensors(tmp_path / "weights.safetensors", to_arrays(state))
    arrays = load_safetensors(tmp_path / "weights.safetensors")
    kinds = {x.dtype for name, x in arrays.items() if name.startswith("generator/params")}
    assert kinds == {np.dtype(np.float32)}
    found = from_arrays(state, arrays).generator.params
    jax.tree.map(np.testing.assert_array_equal, found, state.generator.params)
    assert {x.dtype for x in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
