import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxgan.data import order

SIZES = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))
SEEDS = st.integers(0, 2**70)


def epoch(seed: int | None, number: int, batch_size: int, size: int) -> np.ndarray:
    steps = size // batch_size
    first = number * steps
    batches = [order.rows(seed, first + i, batch_size, size) for i in range(steps)]
    return np.concatenate(batches)


@given(SEEDS, st.integers(0, 5), SIZES)
def test_an_epoch_visits_each_example_at_most_once(seed, number, sizes):
    size, batch_size = sizes
    seen = epoch(seed, number, batch_size, size)
    assert seen.dtype == np.int32
    assert len(seen) == size // batch_size * batch_size
    assert len(set(seen.tolist())) == len(seen)
    assert set(seen.tolist()) <= set(range(size))


@given(SEEDS, st.integers(0, 10**12), SIZES)
def test_rows_depend_on_seed_and_step_alone(seed, step, sizes):
    size, batch_size = sizes
    first = order.rows(seed, step, batch_size, size).copy()
    order.rows(seed + 1, step + 17, batch_size, size)
    order._permutation.cache_clear()
    np.testing.assert_array_equal(first, order.rows(seed, step, batch_size, size))


@given(SEEDS, st.integers(0, 1000))
def test_epochs_and_seeds_differ(seed, number):
    this = epoch(seed, number, 10, 60)
    assert (this != epoch(seed, number + 1, 10, 60)).any()
    assert (this != epoch(seed + 1, number, 10, 60)).any()


def test_an_epoch_without_remainder_is_a_permutation():
    np.testing.assert_array_equal(np.sort(epoch(3, 2, 5, 20)), np.arange(20))


def test_without_a_seed_the_order_is_that_of_the_data_set():
    for size, batch_size in ((7, 1), (6, 2)):
        seen = [epoch(None, number, batch_size, size) for number in (0, 1)]
        np.testing.assert_array_equal(seen, [np.arange(size)] * 2)
