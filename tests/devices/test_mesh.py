import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxgan.devices import mesh as parallel
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
