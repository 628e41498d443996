from typing import Any

import jax
import numpy as np
import pytest
from tiny import save

from jaxgan.data import Resident, Stream, load, unscale
from jaxgan.data.sources import open_source
from jaxgan.util.errors import UserError

RANGE: dict[str, Any] = {"seed": 0, "low": -1.0, "high": 1.0, "default_size": 8}


def test_small_data_live_on_the_device_and_are_decoded_once(tiny_dir, tiny_images, monkeypatch):
    options = RANGE | {"batch_size": 4, "image_size": None, "data_dir": tiny_dir}
    feed = load("tfds:tiny_fixed", **options)
    assert isinstance(feed, Resident)
    np.testing.assert_array_equal(feed.arrays["image"], tiny_images)
    np.testing.assert_array_equal(feed.arrays["label"], np.arange(20) % 4)
    monkeypatch.setattr("jaxgan.data.tfds.Tfds.read", lambda *_: pytest.fail("read again"))
    again = load("tfds:tiny_fixed", **options)
    np.testing.assert_array_equal(again.arrays["image"], tiny_images)


def test_large_data_are_streamed(tiny_dir, tiny_images):
    limit = tiny_images.nbytes
    options = RANGE | {"batch_size": 4, "image_size": None, "data_dir": tiny_dir}
    feed = load("tfds:tiny_fixed", **options, resident_bytes=limit - 1)
    assert isinstance(feed, Stream)
    resident = load("tfds:tiny_fixed", **options, resident_bytes=limit)
    assert isinstance(resident, Resident)
    np.testing.assert_array_equal(feed.rows(0, 3)["image"], tiny_images[resident.rows(0, 3)])


@pytest.mark.parametrize("image_size", [None, 9])
@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
@pytest.mark.parametrize("kind", ["tfds", "folder"])
def test_batches_have_the_labels_of_classes(tiny_dir, tmp_path, kind, resident_bytes, image_size):
    for label in range(4):
        save(tmp_path / f"class {label}" / "a.png", 12, 10, seed=label)
    spec = {"tfds": "tfds:tiny_fixed", "folder": f"folder:{tmp_path}"}[kind]
    options = RANGE | {"batch_size": 4, "image_size": image_size, "data_dir": tiny_dir}
    feed = load(spec, **options, resident_bytes=resident_bytes)
    assert isinstance(feed, Resident if resident_bytes else Stream)
    assert feed.classes == 4
    rows = jax.tree.map(lambda x: x[0], feed.rows(3, 4))
    batch = jax.jit(feed.batch)(feed.arrays, rows, jax.random.key(0))
    assert batch.keys() == {"image", "label"}
    assert batch["image"].shape == (4, *feed.shape) and batch["image"].dtype == np.float32
    assert batch["label"].shape == (4,) and batch["label"].dtype == np.int32
    source = open_source(spec, image_size=image_size, default_size=8, data_dir=tiny_dir)
    images, labels = source.read(range(len(source)))
    assert labels is not None
    of_picture = dict(zip((image.tobytes() for image in images), labels.tolist(), strict=True))
    pixels = np.asarray(unscale(batch["image"], -1.0, 1.0))
    assert batch["label"].tolist() == [of_picture[image.tobytes()] for image in pixels]


def test_a_folder(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", 9, 7, 3)
    options: dict[str, Any] = RANGE | {"batch_size": 3}
    assert load(f"folder:{tmp_path}", **options, image_size=None).shape == (8, 8, 3)
    assert load(f"folder:{tmp_path}", **options, image_size=5).shape == (5, 5, 3)


def test_numbers_that_do_not_fit(tmp_path):
    save(tmp_path / "a.png", 8, 8)
    spec = f"folder:{tmp_path}"
    with pytest.raises(UserError, match="batch size 2 is larger than the 1 examples"):
        load(spec, **RANGE, batch_size=2, image_size=None)
    with pytest.raises(UserError, match="batch size is 0"):
        load(spec, **RANGE, batch_size=0, image_size=None)
    with pytest.raises(UserError, match="seed is -1"):
        load(spec, **dict(RANGE, seed=-1), batch_size=1, image_size=None)
    with pytest.raises(UserError, match="image size is 0"):
        load(spec, **RANGE, batch_size=1, image_size=0)
