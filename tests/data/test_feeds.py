import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import Counted, noise, save

from jaxgan import data
from jaxgan.data import Drawn, Feed, Resident, Stream, order, scale, scaled
from jaxgan.data.folder import open_folder
from jaxgan.keys import stream
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)


def batches(feed: Feed, start: int, stop: int) -> list[dict[str, np.ndarray]]:
    """The batches of some steps, as a compiled training step gets them."""
    make = jax.jit(feed.batch)
    found = []
    for first in range(start, stop, feed.longest):
        last = min(first + feed.longest, stop)
        rows = feed.rows(first, last)
        found += [
            jax.device_get(make(feed.arrays, jax.tree.map(lambda leaf, i=i: leaf[i], rows), KEY))
            for i in range(last - first)
        ]
    return found


def pair(batch_size: int = 7, labeled: bool = True) -> tuple[Resident, Stream]:
    source = Counted(30, labeled)
    resident = Resident(
        source.images, source.labels, batch_size=batch_size, seed=5, to_batch=scaled(-1.0, 1.0)
    )
    return resident, Stream(source, batch_size, 5, scaled(-1.0, 1.0))


def test_a_resident_batch_is_the_scaled_examples_of_the_order():
    feed, _ = pair()
    assert (feed.shape, feed.size, feed.batch_size) == ((5, 4, 3), 30, 7)
    assert feed.rows(2, 5).shape == (3, 7) and feed.rows(2, 5).dtype == np.int32
    (batch,) = batches(feed, 9, 10)
    rows = order.rows(5, 9, 7, 30)
    expected = scale(noise(30, 5, 4, 3)[rows], -1.0, 1.0)
    np.testing.assert_allclose(batch["image"], expected, atol=1e-6)  # one is compiled
    np.testing.assert_array_equal(batch["label"], rows)
    assert batch["image"].dtype == np.float32 and batch["label"].dtype == np.int32


@pytest.mark.parametrize("feed", pair(), ids=["resident", "stream"])
def test_other_batches_hold_the_same_examples_in_the_same_order(feed):
    sevens, tens = batches(feed, 0, 4), batches(feed.with_batch_size(10), 0, 3)
    for name in ("image", "label"):
        ours, theirs = (np.concatenate([x[name] for x in found]) for found in (sevens, tens))
        np.testing.assert_array_equal(ours, theirs[:28])
        assert len(theirs) == 30
    assert feed.batch_size == 7 and sorted(theirs) == list(range(30))


@pytest.mark.parametrize("labeled", [True, False])
@pytest.mark.parametrize("start", [0, 3, 123_456_789])
def test_streamed_batches_are_the_resident_ones_bit_by_bit(start, labeled):
    resident, stream = pair(labeled=labeled)
    assert (stream.shape, stream.size, stream.batch_size) == ((5, 4, 3), 30, 7)
    stop = start + 2 * stream.longest + 3  # over the ends of many epochs and of chunks
    ours, theirs = batches(stream, start, stop), batches(resident, start, stop)
    assert len(ours) == stop - start
    for our, their in zip(ours, theirs, strict=True):
        assert our.keys() == their.keys() == ({"image", "label"} if labeled else {"image"})
        for name in our:
            np.testing.assert_array_equal(our[name], their[name])


def test_a_stream_may_jump():
    resident, stream = pair()
    for start in (4, 50, 0):
        for ours, theirs in zip(
            batches(stream, start, start + 3), batches(resident, start, start + 3), strict=True
        ):
            np.testing.assert_array_equal(ours["image"], theirs["image"])


def test_a_stream_reads_in_order_without_waste():
    source = Counted(30)
    stream = Stream(source, 7, 0, scaled(0.0, 1.0))
    stream.rows(0, 4)
    stream.rows(4, 8)
    assert source.count <= (8 + stream.longest) * 7


def test_the_shapes_of_batches_take_one_example_to_learn():
    source = Counted(5000)
    feed = Stream(source, 4000, 0, scaled(0.0, 1.0))
    assert data.batch_like(feed) == {
        "image": jax.ShapeDtypeStruct((4000, 5, 4, 3), np.float32),
        "label": jax.ShapeDtypeStruct((4000,), np.int32),
    }
    assert source.count <= 2 * feed.longest  # read ahead


def test_large_pictures_are_streamed_in_short_chunks():
    source = Counted(2)
    source.shape = (4096, 4096, 3)
    assert Stream(source, 2, 0, scaled(0.0, 1.0)).longest == 2


def test_a_picture_that_breaks_during_a_run_is_named(tmp_path):
    for i in range(4):
        save(tmp_path / f"{i}.png", 8, 8)
    stream = Stream(open_folder(tmp_path, 8), 2, 0, scaled(-1.0, 1.0))
    stream.rows(0, 1)
    (tmp_path / "2.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot read the picture .*2\.png"):
        stream.rows(100, 104)
    save(tmp_path / "2.png", 8, 8)
    assert stream.rows(100, 104)["image"].shape == (4, 2, 8, 8, 1)


def test_drawn_examples_come_from_the_key_as_it_is():
    def draw(key, n):
        return jax.random.uniform(key, (n, 4))

    feed = Drawn(draw, (4,), 3)
    assert (feed.shape, feed.size, feed.batch_size, feed.arrays) == ((4,), None, 3, ())
    np.testing.assert_array_equal(feed.rows(5, 8), [5, 6, 7])
    batch = feed.batch(feed.arrays, jnp.int32(5), KEY)
    assert batch.keys() == {"image"}
    np.testing.assert_array_equal(batch["image"], draw(KEY, 3))


def test_all_are_feeds():
    drawn = Drawn(lambda key, n: jnp.zeros((n, 4)), (4,), 1)
    assert all(isinstance(feed, Feed) for feed in (*pair(), drawn))


def test_batches_one_by_one_are_those_of_the_runner_and_begin_anywhere():
    feed = Drawn(lambda key, n: jax.random.uniform(key, (n, 4)), (4,), 3)
    own = stream(jax.random.fold_in(KEY, 6), "data")  # as jaxgan.training.experiment has it
    _, second = data.batches(feed, KEY, 5, 7)
    np.testing.assert_array_equal(second["image"], feed.batch((), (), own)["image"])
    feed = Resident(
        noise(30, 5, 4, 3),
        np.arange(30, dtype=np.int32),
        batch_size=7,
        seed=5,
        to_batch=scaled(-1.0, 1.0),
    )
    some = list(data.batches(feed, KEY, 2, 6))
    for batch, rest in zip(some[2:], data.batches(feed, KEY, 4, 6), strict=True):
        jax.tree.map(np.testing.assert_array_equal, batch, rest)
