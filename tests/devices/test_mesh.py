import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxgan.devices import mesh as parallel
from jaxgan.util.errors import UserError

# What several processes do is tested in tests/test_distributed.py.


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
    key, number = parallel.put((jax.random.key(1), np.float32(2)), mesh)
    assert len(key.devices()) == len(number.devices()) == 4
    assert len(parallel.local(number).devices()) == 1


def test_a_spread_function_works_on_shares_that_know_their_axis():
    def function(state, key, rows, offset):
        assert key.shape == ()
        total = jax.lax.psum(rows["x"].sum(axis=1), parallel.AXIS)
        return state + total, {"share": jax.lax.axis_size(parallel.AXIS) * rows["t"] + offset}

    rows = {"x": np.arange(24.0).reshape(2, 12), "t": np.arange(2)}
    for count in (1, 2, 4):
        mesh = parallel.make_mesh(count)
        spread = jax.jit(parallel.spread(function, mesh, parallel.BY_EXAMPLE, rows, arguments=1))
        placed = parallel.put_rows(rows, mesh)
        state, metrics = spread(np.zeros(2), jax.random.key(0), placed, 10)
        assert state.tolist() == [66, 210]
        assert metrics["share"].tolist() == [10, 10 + count]


def test_members_are_spread_with_their_keys_and_rows():
    def function(state, key, rows, offset):
        drawn = jax.vmap(jax.random.uniform)(key)
        return state + drawn, {"sum": rows + state[None] + offset}

    state, keys = np.arange(4.0), jax.vmap(jax.random.key)(np.arange(4))
    rows = np.arange(8.0).reshape(2, 4)
    for count in (1, 2, 4):
        mesh = parallel.make_mesh(count)
        spread = jax.jit(parallel.spread(function, mesh, parallel.BY_MEMBER, rows, arguments=1))
        placed = parallel.put(keys, mesh, parallel.BY_MEMBER.state)
        moved, metrics = spread(state, placed, parallel.put_rows(rows, mesh), 10)
        np.testing.assert_array_equal(moved, state + jax.vmap(jax.random.uniform)(keys))
        np.testing.assert_array_equal(metrics["sum"], rows + state + 10)
        assert len({shard.device for shard in moved.addressable_shards}) == count
        assert parallel.local(moved).shape == (4,)


def test_a_batch_is_shared_where_the_devices_divide_it():
    assert parallel.share(8, parallel.make_mesh(4)) == slice(0, 8)
    with pytest.raises(UserError, match="batch of 6 cannot be spread over 4 devices"):
        parallel.share(6, parallel.make_mesh(4))


def test_one_process_agrees_with_itself():
    assert parallel.leads()
    assert parallel.highest(-3) == -3
    with parallel.unanimous():
        pass
    with pytest.raises(ZeroDivisionError), parallel.unanimous():
        raise ZeroDivisionError
