from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.devices import mesh as parallel
from jaxgan.recipes import find_recipe
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

# What several processes do is tested in tests/devices/test_distributed.py.


def test_a_mesh_takes_the_first_devices_or_all():
    assert list(parallel.make_mesh(3).devices.flat) == jax.devices()[:3]
    assert parallel.make_mesh(None).size == 8
    assert parallel.make_mesh(2).axis_names == (parallel.AXIS,)


@pytest.mark.parametrize(("count", "told"), [(0, "at least 1"), (-1, "at least 1"), (9, "are 8")])
def test_devices_that_are_not_there_are_refused(count, told):
    with pytest.raises(UserError, match=told):
        parallel.make_mesh(count)


def test_rows_are_spread_and_the_rest_is_copied():
    mesh = parallel.make_mesh(4)
    rows = parallel.put_rows({"x": np.arange(24).reshape(2, 12), "t": np.arange(2)}, mesh)
    assert rows["x"].sharding.spec == P(None, parallel.AXIS)
    assert rows["t"].sharding.is_fully_replicated
    assert [shard.data.tolist() for shard in rows["x"].addressable_shards][1] == [
        [3, 4, 5],
        [15, 16, 17],
    ]
    key, number = parallel.put((jax.random.key(1), np.float32(2)), parallel.replicated(mesh))
    assert len(key.devices()) == len(number.devices()) == 4
    assert len(parallel.local_copy(number).devices()) == 1


def test_copies_of_an_array_are_made_only_where_it_is_not_yet():
    mesh, given = parallel.make_mesh(4), jnp.arange(3)
    placed, key = parallel.put_copies((given, jax.random.key(1)), mesh)
    assert placed.sharding.is_fully_replicated and len(placed.devices()) == len(key.devices()) == 4
    assert [shard.data.tolist() for shard in placed.addressable_shards] == [[0, 1, 2]] * 4
    own = placed.addressable_data(0).unsafe_buffer_pointer()
    assert own == given.unsafe_buffer_pointer()


def test_arrays_are_split_along_the_longest_axis_that_the_devices_divide():
    rule = parallel.fully_sharded(parallel.make_mesh(4))
    shapes = {
        "dense": ((8, 12), P(None, parallel.AXIS)),
        "stacked": ((4, 16, 8), P(None, parallel.AXIS)),
        "odd": ((3, 8), P(None, parallel.AXIS)),
        "undivided": ((3, 5), P()),
        "scalar": ((), P()),
        "empty": ((0, 3), P()),
    }
    arrays = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, (shape, _) in shapes.items()}
    assert {name: x.spec for name, x in rule(arrays).items()} == {
        name: spec for name, (_, spec) in shapes.items()
    }


@pytest.mark.slow
def test_a_transformer_trains_alike_whether_its_state_is_split_or_not():
    kind: Any = find_recipe("mnist_gat")
    sizes = {"depth": 4, "width": 16, "heads": 2, "patch": 4, "code_size": 8}
    recipe = kind(batch_size=8, representation_weight=0.0, **sizes)
    gan = replace(
        recipe.gan(DataSpec((8, 8, 1), 10)),
        generator_optimizer=optax.sgd(0.1),
        discriminator_optimizer=optax.sgd(0.1),
    )
    update, key = recipe.update(gan), jax.random.key(0)
    batch = {
        "image": jax.random.uniform(key, (8, 8, 8, 1), minval=-1.0),
        "label": jnp.arange(8, dtype=jnp.int32),
    }
    state = init(gan, key, batch, update)
    first = state

    step = jax.jit(make_step(update))
    for _ in range(2):
        state, metrics = step(state, batch, key)

    mesh = parallel.make_mesh(8)
    shardings = parallel.fully_sharded(mesh)(first)
    split, spread = jax.device_put((first, batch), (shardings, parallel.by_leading_axis(mesh)))
    step = jax.jit(
        make_step(update, sharding=parallel.by_leading_axis(mesh)),
        out_shardings=(shardings, parallel.replicated(mesh)),
    )
    for _ in range(2):
        split, found = step(split, spread, key)

    kernel = split.discriminator.params["blocks"]["SwiGlu_0"]["inputs"]["kernel"]
    assert {x.data.size for x in kernel.addressable_shards} == {kernel.size // 8}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        (split, found),
        (state, metrics),
    )
    moved = [bool((a != b).any()) for a, b in zip(
        *map(jax.tree.leaves, (first.generator.params, state.generator.params)), strict=True
    )]  # fmt: skip
    assert all(moved)


def test_members_are_spread_with_their_keys_and_rows():
    def function(state, key, rows, offset):
        drawn = jax.vmap(jax.random.uniform)(key)
        number = rows["x"] + rows["t"][:, None] + state[None] + offset
        return state + drawn, {"number": number}

    state, keys = np.arange(4.0), jax.vmap(jax.random.key)(np.arange(4))
    rows = {"x": np.arange(8.0).reshape(2, 4), "t": np.arange(2.0)}
    for count in (1, 2, 4):
        mesh = parallel.make_mesh(count)
        spread = jax.jit(parallel.map_members(function, mesh, rows, arguments=1))
        placed = parallel.put(keys, parallel.by_leading_axis(mesh))
        moved, metrics = spread(state, placed, parallel.put_rows(rows, mesh), 10)
        np.testing.assert_array_equal(moved, state + jax.vmap(jax.random.uniform)(keys))
        np.testing.assert_array_equal(
            metrics["number"], rows["x"] + rows["t"][:, None] + state + 10
        )
        assert len({shard.device for shard in moved.addressable_shards}) == count
        assert parallel.local_copy(moved).shape == (4,)


def test_a_batch_is_shared_where_the_devices_divide_it():
    assert parallel.share(8, parallel.make_mesh(4)) == slice(0, 8)
    with pytest.raises(UserError, match="batch of 6 cannot be spread over 4 devices"):
        parallel.share(6, parallel.make_mesh(4))


def test_one_process_agrees_with_itself():
    assert parallel.is_main_process()
    assert parallel.max_over_processes(-3) == -3
    with parallel.fail_together():
        pass
    with pytest.raises(ZeroDivisionError), parallel.fail_together():
        raise ZeroDivisionError
