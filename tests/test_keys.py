import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgan import axes
from jaxgan.keys import from_seed, per_example, stream
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)


def data(key) -> tuple[int, ...]:
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=12), unique=True, min_size=2, max_size=8))
def test_names_have_keys_of_their_own_and_one_name_always_the_same(names):
    # CRC32 is not a perfect hash, but a collision among so few names would be a bug.
    first = [data(stream(KEY, name)) for name in names]
    assert len(set(first)) == len(names)
    again = {name: data(stream(KEY, name)) for name in reversed(names)}
    assert first == [again[name] for name in names]


@pytest.mark.parametrize(
    ("name", "number"), [("123456789", 0xCBF43926), ("latents", 3530432112), ("", 0)]
)
def test_a_name_stands_for_the_same_number_in_every_process(name, number):
    # Python's own hash() would differ from process to process. These are CRC-32 values
    # (the first is the one by which implementations are checked).
    assert data(stream(KEY, name)) == data(jax.random.fold_in(KEY, number))


def test_a_stream_depends_on_the_key():
    assert data(stream(KEY, "latents")) != data(stream(jax.random.key(1), "latents"))


def test_a_stream_is_not_its_key():
    assert data(stream(KEY, "latents")) != data(KEY)


def test_streams_are_the_same_under_jit_and_vmap():
    keys = jax.random.split(KEY, 3)
    mapped = jax.jit(jax.vmap(lambda key: stream(key, "a")))(keys)
    assert [data(key) for key in mapped] == [data(stream(key, "a")) for key in keys]


def test_numbers_of_two_streams_are_unrelated():
    one = jax.random.normal(stream(KEY, "one"), (4000,))
    two = jax.random.normal(stream(KEY, "two"), (4000,))
    correlation = float(np.corrcoef(one, two)[0, 1])
    assert abs(correlation) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_a_seed_makes_the_key_that_jax_makes_of_it(seed):
    assert data(from_seed(seed)) == data(jax.random.key(seed)) == (0, seed)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_an_error(seed):
    with pytest.raises(UserError, match=rf"seed .*{seed}"):
        from_seed(seed)


def test_each_example_of_a_batch_has_a_key_of_its_own_wherever_the_batch_ends():
    keys = [data(key) for key in per_example(KEY, 6)]
    assert len(set(keys)) == 6
    assert [data(key) for key in per_example(KEY, 4)] == keys[:4]


def test_devices_with_a_share_each_have_the_keys_of_the_whole_batch():
    def mine(_):
        with axes.spread(axis_name="devices"):
            return jax.random.key_data(per_example(KEY, 3))

    shares = jax.pmap(mine, "devices", devices=jax.devices()[:2])(np.zeros(2))
    expected = jax.random.key_data(per_example(KEY, 6))
    np.testing.assert_array_equal(shares.reshape(expected.shape), expected)
