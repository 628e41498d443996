import hashlib
import json
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxgan.data import load, spec_of
from jaxgan.data.openmoji import builder
from jaxgan.data.pixels import to_png
from jaxgan.data.sources import open_source, open_sources
from jaxgan.types import DataSpec

DIGESTS = {  # as jaxgan/data/openmoji/README.md has them
    "color": "6ad7d32e3cef08c5dd4e32e45ddc6d48a62da7a295e3f04c7785f964d2db8c16",
    "black": "e01bac49b5cbd0530f1b18bc1aff6206aa044622846549a8befbc8b0a5428d47",
    "label": "7c32d34e59319554b7a33e34ff36d14c9815c85bcf64e800577d368dbc037869",
}
FEW = 40  # examples of each split, for the quick tests


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(Path(str(resources.files("jaxgan.data.openmoji"))) / "openmoji64.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> str:
    """A data directory in which the first emoji of each split are prepared."""
    root = tmp_path_factory.mktemp("openmoji")
    generate = builder.JaxganOpenmoji._generate_examples
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            builder.JaxganOpenmoji,
            "_generate_examples",
            lambda *args: islice(generate(*args), FEW),
        )
        openmoji("openmoji", root)
    return str(root)


def openmoji(spec: str, data_dir, image_size: int | None = None) -> Any:
    return open_source(spec, image_size=image_size, default_size=28, data_dir=str(data_dir))


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def family(code: str) -> str:
    return code.split("-")[0]


def test_packaged_arrays_are_those_that_the_readme_names(arrays):
    readme = resources.files("jaxgan.data.openmoji").joinpath("README.md").read_text("utf-8")
    for name, expected in DIGESTS.items():
        assert digest(arrays[name]) == expected and f" {expected} |" in readme
    assert arrays["group"].tolist() == builder.CLASSES


def test_every_tenth_emoji_is_held_out_with_all_its_variants(arrays):
    held_out = builder._held_out(arrays["code"])
    families = np.array([family(code) for code in arrays["code"]])
    assert (held_out.sum(), (~held_out).sum()) == (345, 4150)
    assert not set(families[held_out]) & set(families[~held_out])
    assert len(set(families[held_out])) == -(-len(set(families)) // 10)
    assert set(arrays["label"][held_out]) == set(range(12))


def test_both_splits_hold_pictures_and_classes_as_they_are_in_the_file(few, arrays):
    held_out = builder._held_out(arrays["code"])
    for split, chosen in (("train", ~held_out), ("test", held_out)):
        source = openmoji(f"openmoji@{split}", few)
        images, labels = source.read(range(FEW))
        np.testing.assert_array_equal(images, arrays["color"][chosen][:FEW])
        np.testing.assert_array_equal(labels, arrays["label"][chosen][:FEW])
        assert (len(source), source.shape, source.classes) == (FEW, (64, 64, 3), 12)


def test_batches_are_colored_at_the_stored_size_or_another_one(few):
    options: dict[str, Any] = {"batch_size": 8, "default_size": 28, "data_dir": few}
    for image_size, side in ((None, 64), (32, 32)):
        feed = load("openmoji@test", image_size=image_size, **options)
        assert (feed.shape, feed.classes, feed.size) == ((side, side, 3), 12, FEW)


def test_pairs_are_made_from_drawings(few, arrays):
    held_out = builder._held_out(arrays["code"])
    for spec, names in (
        ("openmoji-pairs@test", ("color", "black")),
        ("openmoji@test#image,drawing", ("black", "color")),
    ):
        sources = open_sources(spec, image_size=None, default_size=28, data_dir=few)
        for source, name in zip(sources, names, strict=True):
            expected = arrays[name][held_out][:FEW].reshape(FEW, *source.shape)
            np.testing.assert_array_equal(source.read(range(FEW))[0], expected)
    feed = load("openmoji-pairs@test", batch_size=8, data_dir=few)
    assert spec_of(feed) == DataSpec((64, 64, 3), 12, (64, 64, 1))


def test_a_drawing_a_code_and_a_name_go_with_each_picture(few, arrays):
    prepared: Any = tfds.builder_from_directory(f"{few}/jaxgan_openmoji/1.0.0")
    raw = {"image": tfds.decode.SkipDecoding(), "drawing": tfds.decode.SkipDecoding()}
    example = prepared.as_data_source("train", decoders=raw)[0]
    assert example["code"].decode() == "002A-FE0F-20E3"
    assert example["annotation"].decode() == "keycap: *"
    index = arrays["code"].tolist().index("002A-FE0F-20E3")
    assert example["drawing"] == to_png(arrays["black"][index])
    assert prepared.info.features["label"].names == builder.CLASSES


def test_whoever_holds_the_data_is_told_whom_to_credit(few):
    folder = Path(few) / "jaxgan_openmoji/1.0.0"
    info = json.loads((folder / "dataset_info.json").read_text())
    for text in (
        info["description"],
        (folder / "LICENSE").read_text(),
        resources.files("jaxgan.data.openmoji").joinpath("README.md").read_text("utf-8"),
    ):
        assert "All emojis designed by" in text and "CC BY-SA 4.0" in text
    assert "openmoji.org" in info["citation"]


@pytest.mark.slow
def test_all_of_both_splits_are_the_packaged_arrays(tmp_path, arrays):
    held_out = builder._held_out(arrays["code"])
    for split, chosen in (("train", ~held_out), ("test", held_out)):
        images, labels = openmoji(f"openmoji@{split}", tmp_path).read(range(chosen.sum()))
        assert digest(images) == digest(arrays["color"][chosen])
        np.testing.assert_array_equal(labels, arrays["label"][chosen])
