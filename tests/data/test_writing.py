"""Data sets that are written: what others read of them."""

from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from runs import contents
from tiny import noise

from jaxgan.data.decoding import decode
from jaxgan.data.sources import license_of, open_source, public_name
from jaxgan.data.writing import Outline, Part, write_arrays, write_folder, write_tfds
from jaxgan.util.errors import UserError

LABELS = (np.arange(30) % 11).astype(np.int32)
READING = {write_tfds: "prepared:{0}", write_folder: "folder:{0}"}


def outline(images, labels=LABELS):
    classes = None if labels is None else 11
    return Outline("made_up", images.shape[1:], classes, len(images), "Noise.", "By nobody: CC0")


def parts(images, labels=LABELS):
    for start in range(0, len(images), 8):
        chosen = slice(start, start + 8)
        yield Part(images[chosen], None if labels is None else labels[chosen])


def read(spec, root):
    source = open_source(spec, image_size=None, default_size=6, data_dir=str(root))
    return source, *decode(source, None)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("write", READING)
@pytest.mark.parametrize("labels", [LABELS, None], ids=["labels", "none"])
def test_jaxgan_reads_what_was_written(write, channels, labels, tmp_path):
    images = noise(30, 6, 6, channels)
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", outline(images, labels), parts(images, labels))
    source, found, classes = read(READING[write].format(tmp_path / "out"), tmp_path)
    order = np.arange(30)
    if write is write_folder and labels is not None:  # which sorts by class
        order = np.argsort(labels, kind="stable")
    np.testing.assert_array_equal(found, images[order])
    assert source.shape == images.shape[1:]
    if labels is None:
        assert classes is None and source.classes is None
    else:
        np.testing.assert_array_equal(classes, labels[order])
        assert source.classes == 11


def test_tfds_reads_features_splits_and_the_license(tmp_path):
    images = noise(30, 6, 6, 3)
    write_tfds(tmp_path, outline(images), parts(images))
    builder: Any = tfds.builder_from_directory(str(tmp_path))
    assert builder.info.splits["train"].num_examples == 30
    assert builder.info.features["label"].num_classes == 11
    assert builder.info.features["image"].shape == (6, 6, 3)
    assert license_of(f"prepared:{tmp_path}@train[:3]") == "By nobody: CC0"
    assert {path.split(".")[0] for path in contents(tmp_path)} == {
        *("LICENSE", "dataset_info", "features", "made_up-train")
    }
    assert len(read(f"prepared:{tmp_path}@train[5:9]#image", tmp_path / "cache")[1]) == 4


@pytest.mark.parametrize("labels", [LABELS, None], ids=["labels", "none"])
def test_numpy_reads_arrays(labels, tmp_path):
    images = noise(30, 5, 7, 1)
    write_arrays(tmp_path, outline(images, labels), parts(images, labels))
    with np.load(tmp_path / "images.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["images"], images)
        assert [*arrays] == ["images"] if labels is None else ["images", "labels"]
        if labels is not None:
            np.testing.assert_array_equal(arrays["labels"], labels)


def test_what_goes_wrong_as_examples_are_made_is_told_as_it_is(tmp_path):
    images = noise(30, 6, 6, 1)

    def failing(error):
        yield from parts(images[:8], LABELS[:8])
        raise error

    for error in (UserError("this GAN diverged"), OSError(28, "No space left on device")):
        with pytest.raises(type(error)) as found:
            write_tfds(tmp_path, outline(images), failing(error))
        assert found.value is error


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("prepared:absent", "absent is not a prepared data set: it has no dataset_info.json"),
        ("prepared:torn", "the description of .*torn is damaged .*make it again"),
        ("prepared:whole@test", "no split 'test'; it has train .30 examples"),
        ("prepared:whole#drawing", "no feature `drawing`"),
    ],
)
def test_what_cannot_be_read_is_explained(spec, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = noise(30, 6, 6, 1)
    (tmp_path / "whole").mkdir()
    write_tfds(tmp_path / "whole", outline(images), parts(images))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "dataset_info.json").write_text("{")
    with pytest.raises(UserError, match=told):
        read(spec, tmp_path)


def test_the_data_sets_that_come_along_name_their_licenses(tmp_path):
    for spec, told in (
        ("mnist@test", "Yann LeCun.*CC BY-SA 3.0"),
        ("openmoji-pairs", "OpenMoji.*CC BY-SA 4.0"),
        ("faces#glasses", "DiceBear.*CC0 1.0"),
    ):
        credit = license_of(spec, str(tmp_path))
        assert credit is not None
        assert all(part in credit for part in told.split(".*"))
    assert license_of("folder:anything") == "unknown: ask the owner of the data"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("mnist@train[:9]", "mnist"),
        ("faces#glasses", "faces"),
        ("faces-pairs@test", "faces"),
        ("tfds:cycle_gan/horse2zebra:1.0.0@trainA#image", "cycle_gan"),
        ("folder:cifar10", None),
        ("prepared:cifar10@test", None),
        ("gaussians_ring8", None),
    ],
)
def test_data_sets_that_others_have_are_named(spec, name):
    assert public_name(spec) == name
