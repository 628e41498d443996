import hashlib
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from jaxgan.data import Unpaired, load
from jaxgan.data.sources import open_sources

DIGESTS = {  # as jaxgan/data/faces/README.md has them
    "without": "5416aba6d421f72a7184ce6f2e701ad1bba6f7e3521ae7b5381e169b7c831d67",
    "with": "94283c4c55eb1e8bd3ad308684cb8ec0ca4ec4d635468c7c562bef3c9b8dc3db",
}


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(Path(str(resources.files("jaxgan.data.faces"))) / "faces16.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("faces"))


def read(spec: str, root: str) -> list[np.ndarray]:
    sources = open_sources(spec, image_size=None, default_size=64, data_dir=root)
    return [source.read(range(len(source)))[0] for source in sources]


def test_packaged_arrays_are_those_that_the_readme_names(arrays):
    readme = resources.files("jaxgan.data.faces").joinpath("README.md").read_text("utf-8")
    for name, expected in DIGESTS.items():
        found = hashlib.sha256(arrays[name].tobytes()).hexdigest()
        assert found == expected and f" {expected} |" in readme


def test_faces_differ_in_their_glasses_alone(arrays):
    differing = (arrays["without"] != arrays["with"]).any((0, 3))
    assert differing.any() and not np.delete(differing, range(4, 9), axis=0).any()
    assert not np.delete(differing, range(2, 14), axis=1).any()


@pytest.mark.parametrize(("split", "chosen"), [("train", slice(900)), ("test", slice(900, None))])
def test_either_kind_of_face_and_pairs_of_both(root, arrays, split, chosen):
    without, glasses = arrays["without"][chosen], arrays["with"][chosen]
    for spec, expected in {
        f"faces@{split}": [without],
        f"faces@{split}#glasses": [glasses],
        f"faces-pairs@{split}": [without, glasses],  # the source is the second
        f"faces@{split}#image,glasses": [glasses, without],
    }.items():
        for found, faces in zip(read(spec, root), expected, strict=True):
            np.testing.assert_array_equal(found, faces)
    if split == "train":
        np.testing.assert_array_equal(read("faces-pairs", root)[0], without)


def test_baselines_of_taking_glasses_off(root):
    """Numbers that networks are compared with: leave the face as it is, or add the mean change."""
    (train, from_train), (test, from_test) = (
        [x / 127.5 - 1 for x in read(f"faces-pairs@{split}", root)] for split in ("train", "test")
    )
    change = (train - from_train).mean(0)
    errors = [np.abs(from_test - test).mean(), np.abs(from_test + change - test).mean()]
    np.testing.assert_allclose(errors, [0.0775, 0.0671], atol=5e-5)


def test_unpaired_faces_are_no_pairs(root, arrays):
    feeds = [load(spec, batch_size=100, data_dir=root) for spec in ("faces", "faces#glasses")]
    feed = Unpaired(*feeds, seed=0)
    (image, source) = (rows.ravel() for rows in feed.rows(0, 9))
    np.testing.assert_array_equal(np.sort(image), np.sort(source))  # an epoch of either
    assert (image == source).mean() < 0.01  # 1 / 900 by chance


def test_whoever_holds_the_data_is_told_its_license(root):
    read("faces", root)
    folder = Path(root) / "jaxgan_faces/1.0.0"
    info = json.loads((folder / "dataset_info.json").read_text())
    for text in (
        info["description"],
        (folder / "LICENSE").read_text(),
        resources.files("jaxgan.data.faces").joinpath("README.md").read_text("utf-8"),
    ):
        assert "DiceBear" in text and "CC0 1.0" in text
