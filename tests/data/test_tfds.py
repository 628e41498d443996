import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds
from tiny import define, encode, noise, prepare

from jaxgan.data.sources import open_source
from jaxgan.util.errors import UserError

IMAGE = {"image": tfds.features.Image(shape=(4, 4, 3))}
EXAMPLES = [{"image": encode(image)} for image in noise(3, 4, 4, 3)]


def open_spec(spec: str, data_dir, image_size: int | None = None):
    return open_source(spec, image_size=image_size, default_size=6, data_dir=str(data_dir))


def message(spec: str, data_dir) -> str:
    with pytest.raises(UserError) as caught:
        source = open_spec(spec, data_dir)
        source.read(range(len(source)))
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def copy(tiny_dir, tmp_path) -> Path:
    """A copy of the prepared data sets that a test may damage."""
    return Path(shutil.copytree(tiny_dir, tmp_path / "copy"))


def test_prepared_data_load_by_name_without_their_code(tiny_dir, tiny_images):
    source = open_spec("tfds:tiny_fixed", tiny_dir)
    images, labels = source.read([3, 0, 19])
    assert source.shape == (12, 10, 3)
    np.testing.assert_array_equal(images, tiny_images[[3, 0, 19]])
    np.testing.assert_array_equal(labels, [3, 0, 3])
    assert images.dtype == np.uint8
    assert labels is not None and labels.dtype == np.int32


def test_versions_and_splits(tiny_dir, tiny_images):
    source = open_spec("tfds:tiny_fixed:1.0.0@train[15:]", tiny_dir)
    np.testing.assert_array_equal(source.read(range(len(source)))[0], tiny_images[15:])


def test_pictures_of_many_sizes_become_squares(tiny_dir):
    assert open_spec("tfds:tiny_free", tiny_dir).shape == (6, 6, 3)
    images, labels = open_spec("tfds:tiny_free", tiny_dir, image_size=9).read(range(4))
    assert images.shape == (4, 9, 9, 3)
    assert labels is None


def test_the_default_directory_follows_the_environment(tiny_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", tiny_dir)
    source = open_source("tfds:tiny_fixed", image_size=None, default_size=6, data_dir=None)
    assert len(source) == 20


def test_cache_names_tell_splits_and_sizes_apart(tiny_dir):
    names = {
        open_spec(spec, tiny_dir, size).cache
        for spec in ("tfds:tiny_fixed", "tfds:tiny_fixed@train[:5]", "tfds:tiny_free")
        for size in (None, 8)
    }
    assert len(names) == 6


@pytest.mark.parametrize(
    "spec",
    [
        *("cifar10", "tfds:", "tfds:a b", "tfds:a:1.0", "mnist@", "mnist:3", "folder:", ""),
        *("mnist#", "mnist#a,", "mnist#a,b,c", "mnist#image@test", "mnist-pairs", "halves:"),
    ],
)
def test_malformed(spec, tmp_path):
    told = "write mnist, openmoji, faces or tfds:NAME[/CONFIG][:VERSION], each with [@SPLIT]"
    assert told in message(spec, tmp_path)


def test_unknown_name(tiny_dir):
    assert "did you mean mnist" in message("tfds:mnistt", tiny_dir)
    assert "tiny_fixed" in message("tfds:tiny_fixd", tiny_dir)
    assert "only 1.0.0" in message("tfds:tiny_fixed/config", tiny_dir)


def test_unknown_version_and_config(tmp_path):
    assert "only: 3.0.1" in message("tfds:mnist:9.9.9", tmp_path)
    assert "did you mean balanced?" in message("tfds:emnist/balancd", tmp_path)


def test_unknown_split(tiny_dir):
    for split in ("test", "train[", "train[50:]"):
        text = message(f"tfds:tiny_fixed@{split}", tiny_dir)
        assert f"no split '{split}'" in text and "train (20 examples)" in text
    assert "is empty" in message("tfds:tiny_fixed@train[3:3]", tiny_dir)


def test_no_pictures(tiny_dir, tmp_path):
    assert "its features are text" in message("tfds:tiny_text", tiny_dir)
    assert "its features are text, label" in message("tfds:imdb_reviews", tmp_path)


def test_another_file_format(copy):
    file = copy / "tiny_fixed/1.0.0/dataset_info.json"
    info = json.loads(file.read_text()) | {"fileFormat": "tfrecord"}
    file.write_text(json.dumps(info))
    text = message("tfds:tiny_fixed", copy)
    assert "prepared as tfrecord, not array_record" in text and str(file.parent) in text


@pytest.mark.parametrize("damage", ["cut", "empty", "missing"])
def test_damaged_records(copy, damage):
    (file,) = (copy / "tiny_fixed/1.0.0").glob("*.array_record-*")
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 70_000 if damage == "cut" else 0])
    text = message("tfds:tiny_fixed", copy)
    assert "damaged" in text and str(file.parent) in text


FAILURES = [
    (RuntimeError("can't start new thread"), "starts no more threads"),
    (RuntimeError("open() failed: Too many open files; opening a"), "Too many open files"),
    (MemoryError(), "out of memory"),
    (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "Too many open files"),
    (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
]


READING = "jaxgan.data.tfds.Tfds._picture"
FINDING = "tensorflow_datasets.core.read_only_builder.builder_from_files"


@pytest.mark.parametrize(
    ("place", "error", "told"),
    [
        *((READING, *failure) for failure in FAILURES),
        *((FINDING, *failure) for failure in FAILURES if "open()" not in str(failure[0])),
    ],
)
def test_failures_of_the_system_are_not_called_damage(tiny_dir, monkeypatch, place, error, told):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(place, fail)
    text = message("tfds:tiny_fixed", tiny_dir)
    assert told in text and f"{tiny_dir}/tiny_fixed" in text
    assert "damaged" not in text and "remove" not in text and "move" not in text.split("more")[0]


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_damaged_descriptions(copy, name):
    (copy / "tiny_fixed/1.0.0" / name).write_text("{")
    text = message("tfds:tiny_fixed", copy)
    assert f"move {copy / 'tiny_fixed'} away" in text


def test_a_broken_picture(tmp_path):
    prepare(define("tiny_broken", IMAGE, [{"image": b"not a picture"}]), tmp_path)
    assert "damaged" in message("tfds:tiny_broken", tmp_path)


def test_a_directory_that_cannot_be_written_to(tmp_path):
    file = tmp_path / "file"
    file.touch()
    text = message("mnist", file / "below")
    assert f"cannot write to {file / 'below'}" in text
    assert "with TFDS_DATA_DIR, or --data-dir where there is one" in text


def test_no_network(tmp_path, monkeypatch):
    def fail(url, **_):
        raise requests.ConnectionError(request=requests.Request("GET", url).prepare())

    monkeypatch.setattr(requests, "head", fail)
    assert "no network: www.cs.toronto.edu cannot be reached" in message("tfds:cifar10", tmp_path)


def test_data_sets_that_need_packages(tmp_path):
    def needs(package: str):
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    define("needs_tf", IMAGE, lambda: needs("tensorflow.io"), registered=True)
    define("needs_scipy", IMAGE, lambda: needs("scipy"), registered=True)
    assert "pip install 'jaxgan[tf]'" in message("tfds:needs_tf", tmp_path)
    assert "pip install scipy" in message("tfds:needs_scipy", tmp_path)


def test_other_failures(tmp_path):
    def fail():
        raise OSError(28, "No space left on device")

    define("fails", IMAGE, fail, registered=True)
    assert "No space left on device" in message("tfds:fails", tmp_path)


def test_an_empty_directory_of_the_right_name(tmp_path):
    define("hollow", IMAGE, EXAMPLES, registered=True)
    (tmp_path / "hollow/1.0.0").mkdir(parents=True)
    text = message("tfds:hollow", tmp_path)
    assert f"{tmp_path}/hollow/1.0.0 holds no data set; move it away" in text


def test_an_interrupted_preparation_starts_over(tmp_path):
    tries = []

    def examples():
        tries.append(1)
        yield EXAMPLES[0]
        if len(tries) == 1:
            raise KeyboardInterrupt
        yield from EXAMPLES[1:]

    define("interrupted", IMAGE, examples, registered=True)
    with pytest.raises(KeyboardInterrupt):
        open_spec("tfds:interrupted", tmp_path)
    assert len(open_spec("tfds:interrupted", tmp_path)) == 3


def test_two_processes_may_prepare_at_once(tmp_path):
    tries = []

    def examples():
        tries.append(1)
        if len(tries) == 1:  # the other process, which is done before this one
            open_spec("tfds:contested", tmp_path)
        yield from EXAMPLES

    define("contested", IMAGE, examples, registered=True)
    assert len(open_spec("tfds:contested", tmp_path)) == 3
    assert len(tries) == 2
