"""What is kept of real examples: used again, and made again where it is damaged."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxgan.evaluation import caching, registry
from jaxgan.evaluation.caching import remembered
from jaxgan.evaluation.evaluator import Evaluator
from jaxgan.evaluation.examples import real_examples
from jaxgan.evaluation.registry import Samples
from jaxgan.features import digits
from jaxgan.recipes.mnist_mlp import MnistMlp

KEY = {"what": "numbers", "of": "a set"}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "jaxgan" / "evaluation"


def make_once(made: list[int]):
    def make():
        made.append(1)
        return {"array": np.arange(3.0), "other": np.ones((2, 2), np.float32)}

    return make


def test_arrays_are_made_once_for_each_key(cache, monkeypatch):
    made: list[int] = []
    for _ in range(2):
        found = remembered(KEY, make_once(made))
        np.testing.assert_array_equal(found["array"], np.arange(3.0))
        assert found["other"].dtype == np.float32 and set(found) == {"array", "other"}
    assert len(made) == len(list(cache.iterdir())) == 1
    remembered(KEY | {"of": "another"}, make_once(made))
    monkeypatch.setattr(caching, "versions", lambda: {"jaxgan": "another"})
    remembered(KEY, make_once(made))
    assert len(made) == len(list(cache.iterdir())) == 3


def test_what_was_used_least_recently_goes_first(cache, monkeypatch):
    made: list[int] = []
    for place in range(3):
        remembered(KEY | {"of": place}, make_once(made))
        for path in cache.iterdir():  # as if what is there were older
            os.utime(path, ns=(0, path.stat().st_mtime_ns - 10**12))
    remembered(KEY | {"of": 0}, make_once(made))  # now the newest
    sizes = [path.stat().st_size for path in cache.iterdir()]
    assert len(made) == len(sizes) == 3
    monkeypatch.setattr(caching, "LARGEST", sum(sizes) + 1)
    remembered(KEY | {"of": 3}, make_once(made))
    assert len(list(cache.iterdir())) == 3
    for place in (0, 2, 3):
        remembered(KEY | {"of": place}, make_once(made))
    assert len(made) == 4  # all of these are there
    remembered(KEY | {"of": 1}, make_once(made))
    assert len(made) == 5 and len(list(cache.iterdir())) == 3


def test_what_alone_is_too_large_is_not_kept(cache, monkeypatch):
    made: list[int] = []
    remembered(KEY, make_once(made))
    monkeypatch.setattr(caching, "LARGEST", next(cache.iterdir()).stat().st_size)
    remembered({"what": "more"}, lambda: {"array": np.zeros(1000)})
    remembered(KEY, make_once(made))
    assert len(made) == len(list(cache.iterdir())) == 1


def test_damaged_files_are_made_again(cache):
    made: list[int] = []
    remembered(KEY, make_once(made))
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    flipped = [
        whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(0, len(whole), 37)
    ]
    for damaged in (b"", whole[:50], whole[:-9], b"\x80\x04N.", *flipped):
        path.write_bytes(damaged)
        found = remembered(KEY, make_once(made))
        np.testing.assert_array_equal(found["array"], np.arange(3.0))
    assert len(made) > 4
    os.replace(path, moved := path.with_name("x"))
    remembered(KEY | {"of": "another"}, make_once(made))
    (other,) = (each for each in cache.iterdir() if each != moved)
    os.replace(moved, other)  # sound, but of something else
    before = len(made)
    remembered(KEY | {"of": "another"}, make_once(made))
    assert len(made) == before + 1


def test_without_a_cache_all_is_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    made: list[int] = []
    for _ in range(2):
        remembered(KEY, make_once(made))
    assert len(made) == 2


def test_a_second_evaluation_computes_nothing_of_real_examples(cache, mnist_dir, monkeypatch):
    recipe = MnistMlp(data="mnist@train[:400]", batch_size=8)
    samples = real_examples(recipe, 40, 5, mnist_dir)

    def evaluate():
        measure = Evaluator(recipe, num=40, choices=2, names=["fd", "prdc"], data_dir=mnist_dir)
        return measure([samples] * 2)

    first, extracted = evaluate(), []
    extract = registry.extract

    def see(extractor, images):
        extracted.append(len(images))
        return extract(extractor, images)

    monkeypatch.setattr(registry, "extract", see)
    assert evaluate() == first
    assert extracted == [40, 40]  # the samples of both draws
    for path in cache.iterdir():
        path.write_bytes(b"")
    assert evaluate() == first
    assert len(extracted) == 2 + 2 + 4


def test_a_floor_is_measured_again_where_what_is_held_out_has_changed(cache, mnist_dir, tmp_path):
    recipe = MnistMlp(data="mnist@train[:400]", batch_size=8)
    folder = tmp_path / "held_out"
    folder.mkdir()
    floors = []
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256 >> seed, (40, 28, 28), np.uint8)
        for number, picture in enumerate(noise):
            Image.fromarray(picture).save(folder / f"{number}.png")
        measure = Evaluator(
            recipe,
            num=40,
            names=["fd_held_out"],
            held_out=f"folder:{folder}",
            data_dir=mnist_dir,
        )
        floors.append(measure.floors["fd_held_out_digits"])
    assert floors[0] != pytest.approx(floors[1], rel=1e-3)


def test_other_labels_are_other_examples():
    images = np.zeros((2, 28, 28, 1), np.uint8)
    keys = [
        Samples(images, digits.load(), labels, remember=True).key
        for labels in (None, np.array([0, 1], np.int32), np.array([1, 0], np.int32))
    ]
    assert all(a != b for a, b in itertools.combinations(keys, 2)) and None not in keys
