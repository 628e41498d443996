import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds
from tiny import Counted, define, encode, noise, prepare

from jaxgan import augment, data
from jaxgan.data import (
    Drawn,
    Feed,
    Mapped,
    Pairs,
    Resident,
    Stream,
    Unpaired,
    degraded,
    jointly,
    on_images,
    order,
    scale,
    scaled,
    spec_of,
    unscale,
)
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
TARGET, SOURCE = noise(30, 6, 4, 3), noise(30, 6, 4, 1, seed=1)


def resident(images: np.ndarray, seed: int = 5, batch_size: int = 7) -> Resident:
    return Resident(images, batch_size=batch_size, seed=seed, to_batch=scaled(-1.0, 1.0))


def pairs(seed: int = 5) -> Pairs:
    return Pairs(resident(TARGET, seed), resident(SOURCE, seed))


def unpaired(seed: int = 5, size: int = 20) -> Unpaired:
    return Unpaired(resident(TARGET), resident(SOURCE[:size]), seed)


def batch(feed: Feed, step: int, key=KEY) -> dict[str, np.ndarray]:
    (found,) = data.batches(feed, key, step, step + 1)
    return jax.device_get(found)


def as_values(pictures: np.ndarray) -> np.ndarray:
    return np.asarray(scale(pictures, -1.0, 1.0))


def which(images: np.ndarray, known: np.ndarray) -> list[int]:
    """The places of scaled images in an array of pictures."""
    places = {picture.tobytes(): place for place, picture in enumerate(known)}
    return [places[picture.tobytes()] for picture in np.asarray(unscale(images, -1.0, 1.0))]


def test_pairs_stay_pairs():
    feed = pairs()
    assert isinstance(feed, Feed) and feed.size == 30
    assert spec_of(feed) == DataSpec((6, 4, 3), None, (6, 4, 1))
    for step in (0, 3, 1000):
        found = batch(feed, step)
        rows = order.rows(5, step, 7, 30)
        np.testing.assert_allclose(found["image"], as_values(TARGET[rows]), atol=1e-6)
        np.testing.assert_allclose(found["source"], as_values(SOURCE[rows]), atol=1e-6)


def test_the_seed_of_pairs_is_that_of_both():
    one, other = batch(pairs(5).with_seed(8), 2), batch(pairs(8), 2)
    jax.tree.map(np.testing.assert_array_equal, one, other)
    assert (one["source"] != batch(pairs(5), 2)["source"]).any()


def test_a_share_of_pairs_holds_the_same_examples():
    for feed in (pairs(), unpaired()):
        whole, part = feed.rows(3, 6), feed.rows(3, 6, slice(2, 5))
        for all_rows, rows in zip(whole, part, strict=True):
            np.testing.assert_array_equal(all_rows[:, 2:5], rows)


def test_unpaired_pictures_have_orders_of_their_own():
    feed = unpaired()
    assert isinstance(feed, Feed) and (feed.size, feed.batch_size) == (30, 7)
    assert spec_of(feed) == DataSpec((6, 4, 3), None, (6, 4, 1))
    images, sources = [], []
    for step in range(4):  # an epoch of the larger, two of the smaller
        found = batch(feed, step)
        images.append(which(found["image"], TARGET))
        sources.append(which(found["source"], SOURCE[:20]))
        assert images[-1] == order.rows(5, step, 7, 30).tolist()  # as without a source
        assert images[-1] != sources[-1]
    assert len(set(sum(images, []))) == 28
    assert all(len(set(sum(sources[i : i + 2], []))) == 14 for i in (0, 2))
    assert sources[:2] != sources[2:]


def test_both_orders_depend_on_seed_and_step_alone():
    before = batch(unpaired(), 11)
    again = unpaired(seed=9).with_seed(5)
    batch(again, 3)
    jax.tree.map(np.testing.assert_array_equal, before, batch(again, 11))
    other = batch(unpaired(seed=6), 11)
    assert all((before[name] != other[name]).any() for name in before)


def test_the_orders_of_one_seed_and_of_all_seeds_of_runs_differ():
    assert order.named(2**32 - 1, "a") != order.named(2**32 - 1, "b")
    assert order.named(0, "source") >= 2**32
    epochs = [order.rows(7, epoch, 30, 30).tolist() for epoch in range(50)]
    others = [order.rows(order.named(7, "source"), e, 30, 30).tolist() for e in range(50)]
    assert not {tuple(x) for x in epochs} & {tuple(x) for x in others}


def test_streams_and_drawn_examples_join_too():
    source = Counted(30, labeled=True)
    streamed = Stream(source, 7, 5, scaled(-1.0, 1.0))
    feed = Pairs(
        Resident(source.images, source.labels, batch_size=7, seed=5, to_batch=scaled(-1.0, 1.0)),
        streamed,
    )
    assert feed.longest == streamed.longest
    found = batch(feed, 12)
    np.testing.assert_array_equal(found["image"], found["source"])
    np.testing.assert_array_equal(found["label"], order.rows(5, 12, 7, 30))
    drawn = Drawn(lambda key, n: jax.random.uniform(key, (n, 6, 4, 1)), (6, 4, 1), 7)
    both = Unpaired(drawn, drawn, 0)
    assert both.size is None
    found = batch(both, 0)
    assert (found["image"] != found["source"]).all()


def test_what_cannot_be_joined():
    small = resident(noise(30, 3, 2, 3))
    for join in (Pairs, lambda *feeds: Unpaired(*feeds, seed=0)):
        with pytest.raises(UserError, match="6 x 4 cannot be made from pictures of 3 x 2.*_size"):
            join(resident(TARGET), small)
    with pytest.raises(UserError, match="30 pictures cannot be made from 20"):
        Pairs(resident(TARGET), resident(SOURCE[:20]))


def test_any_data_set_with_two_pictures_is_one_of_pairs(tmp_path):
    features = {
        "image": tfds.features.Image(shape=(6, 4, 3)),
        "mask": tfds.features.Image(shape=(6, 4, 1)),
        "small": tfds.features.Image(shape=(3, 2, 3)),
        "label": tfds.features.ClassLabel(num_classes=30),
    }
    examples = [
        {"image": encode(a), "mask": encode(b), "small": encode(a[:3, :2]), "label": i}
        for i, (a, b) in enumerate(zip(TARGET, SOURCE, strict=True))
    ]
    prepare(define("tiny_pairs", features, examples), tmp_path)
    options = {"batch_size": 7, "seed": 5, "data_dir": str(tmp_path)}
    for spec, names in {
        "@train#mask,image": ("image", "source"),
        "#image,mask": ("source", "image"),
    }.items():
        feed = data.load(f"tfds:tiny_pairs{spec}", **options)
        assert isinstance(feed, Pairs) and feed.classes == 30
        found = batch(feed, 3)
        rows = order.rows(5, 3, 7, 30)
        for name, pictures in zip(names, (TARGET, SOURCE), strict=True):
            np.testing.assert_allclose(found[name], as_values(pictures[rows]), atol=1e-6)
        np.testing.assert_array_equal(found["label"], rows)
    single = data.load("tfds:tiny_pairs@train[:20]#mask", **options)
    assert (single.shape, single.size) == ((6, 4, 1), 20)
    with pytest.raises(UserError, match="6 x 4 cannot be made from pictures of 3 x 2"):
        data.load("tfds:tiny_pairs#small,image", **options)
    assert data.load("tfds:tiny_pairs#small,image", **options, image_size=4).shape == (4, 4, 3)
    with pytest.raises(UserError, match="no feature `line` to train on; its features are "):
        data.load("tfds:tiny_pairs#line,image", **options)
    with pytest.raises(UserError, match="`label` of tiny_pairs is not a picture"):
        data.load("tfds:tiny_pairs#label,image", **options)


def test_a_batch_is_changed_on_the_device_with_a_key_for_each_step():
    def add(images, key):
        return images + jax.random.uniform(key, (len(images), 1, 1, 1))

    feed = Mapped(resident(TARGET), on_images(add))
    assert isinstance(feed, Feed) and spec_of(feed) == DataSpec((6, 4, 3))
    plain = batch(resident(TARGET), 3)["image"]
    added = [batch(feed, 3, key)["image"] - plain for key in (KEY, KEY, jax.random.key(1))]
    np.testing.assert_array_equal(added[0], added[1])
    assert (np.ptp(added[0], axis=(1, 2, 3)) < 1e-6).all() and (added[0] != added[2]).any()
    later = batch(feed, 4)["image"] - batch(resident(TARGET), 4)["image"]
    assert (later[:, 0, 0, 0] != added[0][:, 0, 0, 0]).all()
    twice = Mapped(feed, on_images(add))  # two changes draw different numbers
    other = batch(twice, 3)["image"] - plain
    assert (np.abs(other - 2 * added[0]) > 1e-6).any()
    assert batch(feed.with_seed(8), 3)["image"].shape == plain.shape
    np.testing.assert_allclose(
        batch(feed.with_seed(8), 3)["image"] - batch(resident(TARGET, 8), 3)["image"],
        added[0],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "feed",
    [pairs(), unpaired(), Mapped(pairs(), jointly(lambda images, key: -images))],
    ids=["pairs", "unpaired", "mapped"],
)
def test_other_batches_hold_the_same_pictures_of_both(feed):
    other = feed.with_batch_size(10)
    assert (other.size, other.batch_size, feed.batch_size) == (30, 10, 7)
    small, large = ([batch(each, step) for step in range(2)] for each in (feed, other))
    for name in ("image", "source"):
        ours, theirs = (np.concatenate([x[name] for x in found]) for found in (small, large))
        assert len(theirs) == 20
        np.testing.assert_array_equal(ours, theirs[:14])


def test_one_draw_for_both_pictures_of_a_pair():
    both = Pairs(resident(TARGET), resident(TARGET[..., :1]))
    feed = Mapped(both, jointly(augment.of_batch(augment.jitter(0.5))))
    assert spec_of(feed) == DataSpec((6, 4, 3), None, (6, 4, 1))
    found = batch(feed, 3)
    np.testing.assert_allclose(found["image"][..., :1], found["source"], atol=1e-6)
    assert (np.abs(found["image"] - batch(both, 3)["image"]) > 0.1).any((1, 2, 3)).all()


def test_a_draw_of_its_own_for_each_of_two_sets():
    jitter = on_images(augment.of_batch(augment.jitter(0.5)))
    same = resident(TARGET)
    feed = Unpaired(Mapped(same, jitter), Mapped(same, jitter), 5)
    feed._source = feed._source.with_seed(5)  # pictures that are the same but for the jitter
    found = batch(feed, 3)
    assert (found["image"] != found["source"]).any((1, 2, 3)).sum() >= 5


def test_any_data_set_is_one_of_pairs_once_it_is_degraded():
    feed = Mapped(resident(TARGET), degraded(lambda images, key: images[..., :1] / 2))
    assert spec_of(feed) == DataSpec((6, 4, 3), None, (6, 4, 1))
    found = batch(feed, 3)
    np.testing.assert_allclose(found["image"], batch(resident(TARGET), 3)["image"], atol=1e-6)
    np.testing.assert_allclose(found["source"], found["image"][..., :1] / 2, atol=1e-6)
