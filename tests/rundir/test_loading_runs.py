import shutil

import numpy as np
import pytest
from PIL import Image
from runs import EACH, VECTORS, assert_refused, command, contents, copy

from jaxgan.keys import from_seed, stream
from jaxgan.report.pictures import grid
from jaxgan.rundir import loading as sampling
from jaxgan.util.errors import UserError

KEY, OTHER = (stream(from_seed(seed), "sample") for seed in (0, 1))


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("recipe", [each for each in EACH if each.values[0] not in VECTORS])
def test_images_are_drawn_of_every_recipe(recipe, whole_run):
    images = sampling.draw(sampling.load(whole_run(recipe)), 3, KEY)
    assert images.shape == (3, 28, 28, 1)
    assert images.dtype == np.uint8


def test_the_first_images_are_the_same_whatever_their_number(whole_run):
    trained = sampling.load(whole_run("mnist_mlp"))
    few, many = (
        sampling.draw(trained, 3, KEY),
        sampling.draw(trained, 150, KEY),
    )
    assert many.shape == (150, 28, 28, 1)
    assert np.array_equal(few, many[:3])
    assert len(np.unique(many, axis=0)) > 100
    assert not np.array_equal(few, sampling.draw(trained, 3, OTHER))


def test_a_step_can_be_chosen(whole_run):
    run = whole_run("mnist_mlp")
    newest, last, first = (sampling.draw(sampling.load(run, k), 2, KEY) for k in (None, 40, 10))
    assert np.array_equal(newest, last)
    assert not np.array_equal(newest, first)


def test_a_picture_an_array_and_a_folder_hold_the_same_images(here, whole_run):
    run = whole_run("mnist_mlp")
    for out in ("a.png", "deep/a.npz", "a folder"):
        done = command("sample", run, "--num", "5", "--seed", "3", "--out", out)
        assert (done.status, done.out, done.err) == (0, f"{out}\n", "")
    images = np.load("deep/a.npz")["samples"]
    assert images.shape == (5, 28, 28, 1)
    assert np.array_equal(pixels("a.png"), np.asarray(grid(images, 2, 3)))
    files = sorted((here / "a folder").iterdir())
    assert [file.name for file in files] == [f"{number:05d}.png" for number in range(5)]
    assert np.array_equal(np.stack([pixels(file) for file in files]), images[..., 0])


def test_samples_need_only_the_run_directory(here, whole_run, monkeypatch):
    expected = sampling.draw(sampling.load(whole_run("mnist_mlp")), 64, KEY)
    run = copy(whole_run("mnist_mlp"), here / "moved run")
    shutil.rmtree(run / "samples")
    for path in run.iterdir():
        if path.name not in ("config.json", "checkpoints"):
            path.unlink(missing_ok=True) if path.is_file() else shutil.rmtree(path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(here / "gone"))
    monkeypatch.setattr("jaxgan.recipes.recipe.load", None)
    done = command("sample", run)
    assert (done.status, done.out) == (0, f"{run}/sample_step40_seed0.png\n")
    picture = pixels(run / "sample_step40_seed0.png")
    assert np.array_equal(picture, np.asarray(grid(expected, 8, 8)))
    assert not (here / "gone").exists()


def test_patterns_are_drawn_as_numbers(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    done = command("sample", run, "--num", "2")
    assert (done.status, done.out) == (0, f"{run}/sample_step40_seed0.npz\n")
    samples = np.load(run / "sample_step40_seed0.npz")["samples"]
    assert samples.shape == (2, 4)
    assert samples.dtype == np.float32
    last = np.load(run / "samples" / "step_000000040.npy")
    np.testing.assert_allclose(samples[0], last[0], rtol=1e-6)
    for out in ("a.png", "folder"):
        done = command("sample", run, "--out", out)
        assert done.status == 2
        told = f"these samples are no images: give a .npz instead of {out}"
        assert done.err == f"jaxgan: {told}\n"


def test_a_folder_holds_the_samples_asked_for_and_no_others(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    for num in (3, 5):  # the second ones in place of the first
        done = command("sample", run, "--num", str(num), "--out", "made/here")
        assert (done.status, done.out) == (0, "made/here\n")
        names = sorted(path.name for path in (here / "made" / "here").iterdir())
        assert names == [f"{index:05d}.png" for index in range(num)]
    before = contents(here / "made")
    told = "made/here holds other files, such as 00002.png: choose another --out"
    assert_refused(command("sample", run, "--num", "2", "--seed", "1", "--out", "made/here"), told)
    assert contents(here / "made") == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--num", "0"], "num must be from 1 to 1000000, not 0"),
        (["--num", "-3"], "num must be from 1 to 1000000, not -3"),
        (["--num", "1000001"], "num must be from 1 to 1000000, not 1000001"),
        (["--seed", "-1"], "seed must be from 0 to 4294967295, not -1"),
        (["--seed", "4294967296"], "seed must be from 0 to 4294967295, not 4294967296"),
        (["--step", "7"], "no checkpoint of step 7 in run/checkpoints; there are: 10, 20, 30, 40"),
        (
            ["--step", "-1"],
            "no checkpoint of step -1 in run/checkpoints; there are: 10, 20, 30, 40",
        ),
        (["--out", "a.jpg"], "cannot write a.jpg: give a .png, a .npz or a folder"),
        (["--out", "file"], "file is a file, not a folder: choose another"),
        (["--out", "file/a.png"], "file is a file, not a folder: choose another"),
        (["--out", ""], "one of the arguments is empty"),
    ],
)
def test_samples_that_cannot_be_had(words, told, here, whole_run):
    copy(whole_run("mnist_mlp"), here / "run")
    (here / "file").touch()
    before = contents(here)
    done = command("sample", "run", *words)
    assert (done.status, done.out, done.err) == (2, "", f"jaxgan: {told}\n")
    assert contents(here) == before


def test_a_run_without_checkpoints_has_no_samples(tmp_path, whole_run):
    run = copy(whole_run("pattern_1010"), tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match="holds no checkpoint"):
        sampling.load(run)


@pytest.mark.parametrize("recipe", EACH)
def test_a_deleted_report_is_built_anew(recipe, here, whole_run):
    whole = whole_run(recipe)
    run = copy(whole, here / recipe)
    for path in [*run.glob("*.png"), *run.glob("*.gif"), run / "report.html"]:
        if path.name != "final.png":
            path.unlink()
    done = command("report", run)
    assert (done.status, done.out, done.err) == (0, f"{run}/report.html\n", "")
    assert contents(run) == contents(whole)
