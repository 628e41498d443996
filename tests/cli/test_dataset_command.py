"""`jaxgan dataset`: what it writes, and what it refuses."""

import json
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from runs import TINY, assert_refused, command, contents, copy

from jaxgan.cli import dataset as dataset_command
from jaxgan.evaluation import usefulness
from jaxgan.evaluation.synthesizing import WAY, find_sources

FEW = "--num 150 --knob-num 100 --held-out mnist@test[:400]".split()


@pytest.fixture
def quick(here, monkeypatch):
    """A place where searches and lessons are short."""
    monkeypatch.setattr(usefulness, "STEPS", 2)
    monkeypatch.setattr(dataset_command, "LEVELS", (1.0, 0.5, 0.0))
    way = WAY._replace(steps=10)
    monkeypatch.setattr(dataset_command, "find_sources", lambda *args: find_sources(*args, way=way))
    return here


@pytest.fixture
def run(quick, whole_run):
    return copy(whole_run("mnist_mlp"), quick / "run")


@pytest.mark.slow
def test_a_data_set_near_training_pictures_with_its_card_and_page(run, quick):
    done = command("dataset", "run", "--similarity", "0.8", "--sources", "5", *FEW)
    folder = run / "dataset_similarity0.8_step40_seed0"
    assert (done.status, done.out) == (0, f"run/{folder.name}/index.html\n")
    builder: Any = tfds.builder_from_directory(str(folder))
    assert builder.info.splits["train"].num_examples == 150
    assert [*builder.info.features] == ["image"]  # the run is not conditional
    card = json.loads((folder / "card.json").read_text())
    assert card["step"] == 40 and card["sources"] == 5 and card["similarity"] == 0.8
    assert len(card["digest of the state"]) == 16 and "CC BY-SA 3.0" in card["license of the data"]
    names = [each["pictures"] for each in card["measured"]]
    assert names[:4] == ["1", "0.8", "0.5", "0"]
    measured = dict(zip(names, card["measured"], strict=True))
    # A copy that is shifted by a pixel passes for a new picture only in pixels.
    copies = measured["training pictures, shifted by a pixel"]
    assert copies["features authenticity"] < copies["pixels authenticity"]
    assert card["command"].startswith("jaxgan dataset run --similarity 0.8")
    page, text = (folder / "index.html").read_text(), (folder / "README.md").read_text()
    # Sources and four similarities; pictures and five training pictures.
    assert page.count("<img") == 5 * 5 + 8 * 6 and "https://" not in page
    assert "prepared:" in text and "AuthPct" in text and "CC BY-SA 3.0" in text
    assert not [path for path in run.iterdir() if path.name.endswith(".partial")]


@pytest.mark.slow
@pytest.mark.parametrize("similarity", ["1", "0.8"])
def test_pictures_take_each_source_in_turn_and_vary_unless_they_are_the_nearest(
    similarity, run, quick
):
    words = ["--similarity", similarity, "--sources", "5", "--format", "npz", "--out", "made"]
    assert command("dataset", "run", *words, *FEW).status == 0
    with np.load(quick / "made" / "images.npz") as arrays:
        images = arrays["images"]
    assert (images[0] != images[1]).any()
    alike = [(images[i] == images[i % 5]).all() for i in range(5, 150)]
    assert all(alike) if similarity == "1" else not any(alike)


@pytest.mark.slow
def test_independent_pictures_of_a_conditional_run_are_balanced_and_repeatable(quick):
    words = [*TINY["mnist_mlp"][:6], *"--data mnist@train[:64] --batch-size 8".split()]
    words += "--latent-size 4 --grid 2 2 --generator-width 8 --generator-channels 4 4".split()
    words += "--discriminator-channels 4 4 --discriminator-width 8 --steps 4".split()
    assert command("train", "mnist_cgan", *words, "--out", "run").status == 0
    for out, form in (("a", "npz"), ("b", "folder")):
        done = command("dataset", "run", *FEW, "--format", form, "--out", out)
        assert done.status == 0, done.err
    a, b = contents(quick / "a"), contents(quick / "b")
    with np.load(quick / "a" / "images.npz") as arrays:
        images, labels = arrays["images"], arrays["labels"]
    np.testing.assert_array_equal(labels, np.arange(150) % 10)
    assert sum(name.endswith(".png") for name in b) == 150
    for index in (0, 149):
        with Image.open(quick / "b" / f"{labels[index]}" / f"{index:03d}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), images[index, ..., 0])
    card = json.loads(a["card.json"])
    assert {"synthetic", "real"} <= card["usefulness"].keys()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--num 0", "num must be from 1 to 1000000, not 0"),
        ("--similarity -0.1", "similarity must be from 0 to 1, not -0.1"),
        ("--similarity 1.1", "similarity must be from 0 to 1, not 1.1"),
        ("--similarity nan", "similarity must be from 0 to 1, not nan"),
        ("--truncation 0", "truncation must be above 0, up to 100, not 0.0"),
        ("--similarity 1 --sources 0", "sources must be from 1 to 10,000, not 0"),
        ("--sources 5", "pictures of similarity 0 have no sources: leave out --sources"),
        ("--knob-num 99", "knob_num must be from 100 to 10,000, not 99"),
        ("--seed -1", "seed must be from 0 to 4294967295, not -1"),
        ("--step 7", "no checkpoint of step 7"),
        ("--member 0", "is of one GAN: leave out --member"),
        ("--out full", "full exists and is not an empty folder: choose another --out"),
        ("--out full/file", "full/file exists and is not an empty folder"),
        ("--held-out tset", "'tset' is not a data set"),
        ("--held-out mnist@test[:9]", "has 9 pictures; hold out 200"),
        ("--format gif", "--format"),
    ],
)
def test_what_makes_no_sense_gets_one_line(words, told, run, quick):
    (quick / "full").mkdir()
    (quick / "full" / "file").write_text("x")
    before = contents(quick)
    assert_refused(command("dataset", "run", *words.split()), told)
    assert contents(quick) == before


def test_runs_that_do_not_suit_are_refused(quick, whole_run):
    copy(whole_run("pattern_1010"), quick / "vectors")
    assert_refused(command("dataset", "vectors"), "pattern_1010 makes no pictures")
    assert not [*quick.glob("**/dataset*")]


@pytest.mark.slow
def test_runs_whose_latents_cannot_be_found_make_independent_pictures(quick, whole_run):
    copy(whole_run("mnist_conv"), quick / "run")
    for words in ("--similarity 0.5", "--truncation 1"):
        told = "the latents of mnist_conv are not all from N.0, 1., as similarity and truncation"
        assert_refused(command("dataset", "run", *words.split()), told)
    assert command("dataset", "run", *FEW, "--out", "out").status == 0
    card = json.loads((quick / "out" / "card.json").read_text())
    assert card["measured"][0]["pictures"] == "0"
    assert "pixels distance" not in card["measured"][0]


def test_nothing_is_left_of_a_data_set_that_fails(run, quick, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dataset_command.knob, "measure", fail)
    before = contents(quick)
    done = command("dataset", "run", *FEW, "--out", "out")
    assert_refused(done._replace(err=done.err.splitlines()[-1]), "No space left on device")
    assert contents(quick) == before
