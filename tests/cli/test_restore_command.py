"""`jaxgan restore`: what it writes, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from runs import assert_refused, command, contents, copy

from jaxgan.data.decoding import decode
from jaxgan.data.sources import open_source
from jaxgan.report.pictures import save_png

QUICK = "--iterations 4 --starts 3".split()


@pytest.fixture
def run(here, whole_run):
    return copy(whole_run("mnist_mlp"), here / "run")


@pytest.fixture
def digits(here, mnist_dir):
    """Six digits of the test set, uint8 [6, 28, 28, 1]."""
    source = open_source("mnist@test[:6]", image_size=None, default_size=28, data_dir=mnist_dir)
    return decode(source, None)[0]


def picture(path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened)


def test_holes_are_filled_and_known_pixels_stay_bit_for_bit(run, digits):
    done = command("restore", "run", "data:test[:6]", "--mask", "left", *QUICK)
    folder = run / "restored_mask_left_step40_seed0"
    assert (done.status, done.out) == (0, "run/restored_mask_left_step40_seed0/index.html\n")
    assert "step 4/4 loss" in done.err
    names = sorted(path.name for path in folder.iterdir())
    assert names == [*(f"0000{i}.png" for i in range(6)), "index.html", "scores.json"]
    restored = np.stack([picture(folder / name) for name in names[:6]])[..., None]
    np.testing.assert_array_equal(restored[:, :, 14:], digits[:, :, 14:])
    scores = json.loads((folder / "scores.json").read_text())
    error = ((restored / 255 - digits / 255)[:, :, :14] ** 2).mean()
    assert scores["scores"]["restored"]["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-3)
    black = (digits[:, :, :14] / 255.0) ** 2
    damaged = scores["scores"]["damaged"]
    assert damaged["psnr"] == pytest.approx(-10 * np.log10(black.mean()), abs=1e-3)
    assert {"psnr", "ssim", "digits"} == damaged.keys() and len(scores["pictures"]) == 6
    page = (folder / "index.html").read_text()
    # Input, three starts, truth.
    assert page.count("<img") == 6 * 5 and "https://" not in page
    assert "another" in page and "truth" in page and f"{damaged['psnr']:.2f}" in page


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files_and_another_one_others(run):
    words = ["restore", "run", "data:test[:2]", "--mask", "random:0.5", *QUICK]
    for out in ("a", "b"):
        assert command(*words, "--out", out).status == 0
    assert command(*words, "--out", "c", "--seed", "1").status == 0
    a, b, c = (contents(run.parent / out) for out in "abc")
    assert {**a, "scores.json": b""} == {**b, "scores.json": b""}
    assert a["00000.png"] != c["00000.png"]


def test_pictures_of_a_folder_are_damaged_already(run, here, digits):
    folder = here / "small"
    for name, digit in (("a.png", digits[0]), ("below/b.bmp", digits[1])):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        small = digit[..., 0].reshape(7, 4, 7, 4).mean((1, 3)).round().astype(np.uint8)
        Image.fromarray(small).save(folder / name)
    done = command("restore", "run", "small", "--scale", "4", "--out", "new/out", *QUICK)
    assert (done.status, done.out) == (0, "new/out/index.html\n")
    assert {*contents(here / "new/out")} == {
        "a.png",
        "below/b.bmp.png",
        "index.html",
        "scores.json",
    }
    restored = picture(here / "new/out/a.png").astype(float)
    seen = restored.reshape(7, 4, 7, 4).mean((1, 3))
    inside = (restored.reshape(7, 4, 7, 4) % 255 > 0).all((1, 3))  # nothing was clipped
    assert inside.any()
    np.testing.assert_allclose(seen[inside], picture(folder / "a.png")[inside], atol=1.01)
    scores = json.loads((here / "new/out/scores.json").read_text())
    assert scores["scores"] == {} and scores["pictures"][1] == {"name": "below/b.bmp"}
    assert "truth" not in (here / "new/out/index.html").read_text()


def test_a_mask_and_a_picture_of_a_file(run, here, digits):
    mask = np.full((28, 28), 255, np.uint8)
    mask[3:9, 20:] = 0
    Image.fromarray(mask).save(here / "mask.png")
    Image.fromarray(digits[0, ..., 0]).save(here / "digit.png")
    words = ["restore", "run", "digit.png", "--mask", "mask.png", "--near", "--out", "out"]
    assert command(*words, "--realism", "0.01", "--gaussian", "0", *QUICK).status == 0
    restored = picture(here / "out" / "digit.png")
    np.testing.assert_array_equal(restored[mask > 0], digits[0, ..., 0][mask > 0])
    assert (restored[mask == 0] != digits[0, ..., 0][mask == 0]).any()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "say what is missing: --mask, --blur, --scale or --gray"),
        ("--mask left --blur 1", "--mask does not go with --blur: give one of them"),
        ("--blur 1 --near", "--near weighs the known pixels of a mask"),
        ("--mask absent.png", "there is no mask absent.png: name a picture, or center, left"),
        ("--mask ~nosuchuser/a.png", "there is no mask ~nosuchuser/a.png: name a picture"),
        ("--mask small.png", "the mask small.png is 8 x 9, and the pictures are 28 x 28"),
        ("--mask white.png", "the mask white.png hides nothing"),
        ("--mask torn.png", "are broken: torn.png; repair"),
        ("--mask random:2", "random: needs the share of missing pixels, 0 to 1, not '2'"),
        ("--mask random:0.0001", "the mask random:0.0001 hides nothing of 28 x 28 pixels: choose"),
        ("--mask random:0.9999", "the mask random:0.9999 hides everything of 28 x 28"),
        ("--mask random:x", "random: needs the share of missing pixels, 0 to 1, not 'x'"),
        ("--blur 0", "blur must be above 0 and at most 1000, not 0.0"),
        ("--blur nan", "blur must be above 0 and at most 1000, not nan"),
        ("--scale 1", "scale must be from 2 to 28, not 1"),
        ("--scale 5", "squares of 5 pixels do not divide 28 x 28"),
        ("--gray", "images of 1 channels have no color to take out"),
        ("--mask left --starts 0", "starts must be from 1 to 1000000, not 0"),
        ("--mask left --starts 9000", "9,000 starts each are more than the 8,192 searches"),
        ("--mask left --iterations 0", "iterations must be from 1 to 1000000, not 0"),
        ("--mask left --learning-rate -1", "learning_rate must be above 0"),
        ("--mask left --gaussian -1", "gaussian must be from 0"),
        ("--mask left --realism -1", "realism must be from 0 to 1000, not -1.0"),
        ("--mask left --label 3", "mnist_mlp is not conditioned on labels: leave out --label"),
        ("--mask left --seed -1", "seed must be from 0 to 4294967295, not -1"),
        ("--mask left --step 7", "no checkpoint of step 7"),
        ("--mask left --member 0", "is of one GAN: leave out --member"),
        ("--mask left --out small.png", "small.png exists and is not an empty folder"),
    ],
)
def test_options_that_make_no_sense_get_one_line(words, told, run, here):
    Image.new("L", (9, 8)).save(here / "small.png")
    Image.new("L", (28, 28), 255).save(here / "white.png")
    (here / "torn.png").write_bytes((here / "small.png").read_bytes()[:40])
    before = contents(here)
    assert_refused(command("restore", "run", "data:test[:2]", *words.split()), told)
    assert contents(here) == before


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("absent", "there is no picture and no folder absent"),
        ("~nosuchuser/a.png", "there is no picture and no folder ~nosuchuser/a.png"),
        ("empty", r"there are no pictures \(.*\) in empty"),
        ("color.png", "color.png is in color, where pictures gray are needed: convert it first"),
        ("mixed", "mixed/b.png is in color"),
        ("torn.png", "are broken: torn.png"),
        ("data:", "'mnist@' is not a data set"),
        ("data:tset", "no split 'tset'"),
        ("data:folder:mixed", r"data:folder:mixed has pictures .28, 28, 3., mnist_mlp .28, 28, 1."),
        ("data:folder:absent", "there is no folder absent"),
    ],
)
def test_pictures_that_do_not_suit_get_one_line(source, told, run, here):
    (here / "empty").mkdir()
    (here / "mixed").mkdir()
    Image.new("RGB", (28, 28)).save(here / "color.png")
    Image.new("L", (28, 28)).save(here / "mixed" / "a.png")
    shutil.copy(here / "color.png", here / "mixed" / "b.png")
    (here / "torn.png").write_bytes((here / "color.png").read_bytes()[:40])
    before = contents(here)
    assert_refused(command("restore", "run", source, "--mask", "left"), told)
    assert contents(here) == before


def test_pictures_are_not_replaced_by_restorations(run, here):
    (here / "in" / "below").mkdir(parents=True)
    for name in ("a.png", "below/a.png"):
        Image.new("L", (28, 28)).save(here / "in" / name)
    words = ["restore", "run", "in", "--mask", "left", *QUICK]
    assert command(*words).status == 0  # the default folder is now in use
    before = contents(here)
    for out in ("in", "run/../in", "in/below", None):
        done = command(*words, *([] if out is None else ["--out", out]))
        assert_refused(done, "exists and is not an empty folder: choose another --out")
    assert contents(here) == before


def test_a_folder_of_restorations_is_whole_or_absent(run, here, monkeypatch):
    def fail(image, path):
        if path.name == "00001.png":
            raise OSError(28, "No space left on device", str(path))
        save_png(image, path)

    monkeypatch.setattr("jaxgan.cli.restore.save_png", fail)
    before = contents(here)
    words = ["restore", "run", "data:test[:2]", "--mask", "left", "--out", "new/out", *QUICK]
    done = command(*words)
    assert done.status == 2 and "00001.png: No space left on device" in done.err
    assert contents(here) == before


def test_a_run_of_vectors_restores_no_pictures(here, whole_run):
    copy(whole_run("pattern_1010"), here / "run")
    told = "pattern_1010 makes no pictures"
    assert_refused(command("restore", "run", "data:test", "--mask", "left"), told)
