import jax
import numpy as np

from jaxgan.data import Resident, Stacked, scaled

IMAGES = np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1) * np.ones((7, 2, 2, 1), np.uint8)
LABELS = np.arange(7, dtype=np.int32)
KEY = jax.random.key(0)


def feed(seed: int = 0) -> Stacked:
    return Stacked(
        Resident(IMAGES, LABELS, batch_size=3, seed=seed, to_batch=scaled(0.0, 255.0)), 3, 10
    )


def batches(of: Stacked, steps: int) -> list[dict]:
    return [dict(of.batch(of.arrays, row, KEY)) for row in of.rows(0, steps)]


def test_each_channel_has_a_picture_of_its_own_and_the_label_names_them():
    for batch in batches(feed(), 4):
        assert batch["image"].shape == (3, 2, 2, 3)
        pixels = np.asarray(batch["image"]).round().astype(int)
        corner = pixels[:, 0, 0]
        assert (pixels == corner[:, None, None]).all()
        np.testing.assert_array_equal(batch["label"], corner @ np.array([100, 10, 1]))


def test_channels_are_shuffled_apart():
    rows = feed().rows(0, 2)  # an epoch, but for one
    assert rows.shape == (2, 3, 3)
    orders = rows.reshape(-1, 3).T
    assert all(len(set(order)) == 6 for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert not np.array_equal(rows, feed(1).rows(0, 2))
    np.testing.assert_array_equal(feed().with_seed(1).rows(0, 2), feed(1).rows(0, 2))
    np.testing.assert_array_equal(feed().rows(1, 2, slice(1, 3)), rows[1:, 1:3])


def test_an_epoch_of_batches_that_divide_it_has_all_pictures_in_each_channel():
    rows = feed().with_batch_size(7).rows(0, 1)[0]
    assert all(sorted(order) == list(range(7)) for order in rows.T)
    np.testing.assert_array_equal(feed().rows(0, 2).reshape(-1, 3), rows[:6])


def test_the_rows_of_all_seeds_differ():
    everyone = [feed(seed).rows(0, 2).reshape(-1, 3).T for seed in range(4)]
    assert len({tuple(order) for orders in everyone for order in orders}) == 12
