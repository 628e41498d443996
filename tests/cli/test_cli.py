import dataclasses
import os
import re
import shutil
import signal
import subprocess

import numpy as np
import pytest
from PIL import Image
from runs import JAXGAN, TINY, Result, command, contents, copy, process

from jaxgan import rundir, training
from jaxgan.devices.mesh import make_mesh
from jaxgan.recipes import recipes
from jaxgan.recipes.mnist_dcgan_bn import MnistDcganBn
from jaxgan.rundir.config import read_config
from jaxgan.types import DataSpec

ALL = sorted(recipes())
SPEC = DataSpec((28, 28, 1), 10)  # of MNIST


def assert_refused(done: Result, told: str) -> None:
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("jaxgan: ")
    assert len(done.err.splitlines()) == 1, done.err
    assert re.search(told, done.err), done.err


@pytest.fixture
def pictures(here):
    """Folders of pictures, sound ones and others."""
    folder = here / "pictures"
    for number in range(4):
        path = folder / "good" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (30, 30, 3), np.uint8)
        Image.fromarray(noise).save(path)
    shutil.copytree(folder / "good", folder / "broken")
    (folder / "broken" / "torn.png").write_bytes((folder / "good" / "0.png").read_bytes()[:99])
    (folder / "empty").mkdir()
    return folder


# Help


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_help_names_every_command(words):
    done = command(*words)
    assert (done.status, done.err) == (0, "")
    for name in ("train", "sample", "report", "recipes", "info"):
        assert f"jaxgan {name}" in done.out


def test_help_of_train_names_every_recipe():
    done = command("train", "--help")
    assert (done.status, done.err) == (0, "")
    assert all(f"jaxgan train {name}\n" in done.out for name in ALL)


@pytest.mark.parametrize("recipe", ALL)
def test_help_of_a_recipe_lists_every_option(recipe):
    done = command("train", recipe, "--help")
    assert (done.status, done.err) == (0, "")
    names = [field.name for field in dataclasses.fields(recipes()[recipe])]
    for name in [*names, "seed", "out", "resume", "overwrite", "preset", "data_dir"]:
        assert f"--{name.replace('_', '-')}" in done.out, name


@pytest.mark.parametrize("name", ["sample", "report", "recipes", "info"])
def test_help_of_the_other_commands(name):
    done = command(name, "--help")
    assert (done.status, done.err) == (0, "")
    assert f"usage: jaxgan {name}" in done.out


def test_recipes_are_listed_with_a_line_each():
    done = command("recipes")
    assert [line.split()[0] for line in done.out.splitlines()] == ALL
    assert all(len(line) < 110 and line.endswith(".") for line in done.out.splitlines())


def test_info_names_versions_and_devices():
    done = command("info")
    assert done.status == 0
    for words in ("python", "jax ", "flax", "device           cpu 0"):
        assert words in done.out


# Bad input: one line, and nothing written


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "bogus",
            r"no command 'bogus': choose of train, population, sample, evaluate",
        ),
        ("--bogus", r"no command '--bogus'"),
        ("train", r"needs the name of a recipe: .*mnist_conv, .*pattern_1010"),
        ("train --steps 3", r"needs the name of a recipe"),
        ("train mnist_mpl", r"no recipe 'mnist_mpl': did you mean mnist_mlp"),
        ("train dcgan", r"no recipe 'dcgan': did you mean mnist_dcgan or mnist_dcgan_bn"),
        ("train mnist_mlp --batch-sze 3", r"--batch-sze.*; did you mean --batch-size\?"),
        ("train mnist_mlp --width 3", r"Unrecognized options: --width"),
        ("train mnist_mlp 3", r"Unrecognized options: 3"),
        ("train mnist_mlp --batch-size x", r"Error parsing --batch-size: not whole: 'x';"),
        ("train mnist_mlp --batch-size 1.5", r"Error parsing --batch-size: not whole: '1.5';"),
        ("train mnist_mlp --steps x", r"Error parsing --steps: not whole: 'x';"),
        ("train mnist_mlp --slope x", r"Error parsing --slope: .* 'x'"),
        ("train mnist_mlp --batch-size", r"Missing value for argument '--batch-size'"),
        ("train mnist_mlp --grid 5", r"Missing value for argument '--grid'. Expected 2"),
        ("train mnist_mlp --grid 5 x", r"Error parsing --grid: .*'x'"),
        ("train mnist_mlp --grid 0 5", r"grid must be at least 1 .* not 0"),
        ("train mnist_mlp --batch-size 0", r"batch_size must be at least 1 .* not 0"),
        ("train mnist_mlp --batch-size -8", r"batch_size must be at least 1 .* not -8"),
        ("train mnist_mlp --batch-size 60001", r"60001 is larger than the 60000 examples of mnist"),
        ("train mnist_mlp --steps 0", r"steps must be at least 1 .* not 0"),
        ("train mnist_mlp --steps -5", r"steps must be at least 1 .* not -5"),
        ("train mnist_mlp --epochs 0", r"epochs must be at least 1 .* not 0"),
        ("train mnist_mlp --steps 3 --epochs 3", r"steps and epochs .*: give one of them"),
        ("train mnist_mlp --steps 99999999999", r"steps must be .* at most 2147483647"),
        ("train mnist_mlp --log-every 0", r"log_every must be at least 1"),
        ("train mnist_mlp --latent-size 0", r"latent_size must be at least 1"),
        ("train mnist_mlp --image-size 0", r"image_size must be at least 1"),
        ("train mnist_mlp --generator-widths 8 0", r"generator_widths must be at least 1"),
        ("train mnist_mlp --generator-widths", r"generator_widths must not be empty"),
        ("train mnist_mlp --learning-rate nan", r"learning_rate must be a positive number, .* nan"),
        ("train mnist_mlp --learning-rate inf", r"learning_rate must be a positive number, .* inf"),
        ("train mnist_mlp --learning-rate 0", r"learning_rate must be a positive number, .* 0.0"),
        ("train mnist_mlp --learning-rate -1", r"learning_rate must be a positive number, .* -1"),
        ("train mnist_mlp --beta1 1", r"beta1 must be less than 1, not 1.0"),
        ("train mnist_dcgan --dropout 1.5", r"dropout must be less than 1, not 1.5"),
        ("train mnist_dcgan --dropout -0.1", r"dropout must be a positive number, not -0.1"),
        ("train mnist_dcgan_bn --norm-time 0", r"norm_time must be a positive number"),
        ("train mnist_dcgan_bn --generator-steps 0", r"generator_steps must be at least 1"),
        (
            "train mnist_dcgan_bn --discriminator-channels 4 4 4 4",
            r"multiples of 4 and at least 61, not 28 x 28: choose another size with image_size",
        ),
        ("train mnist_mlp --seed -1", r"seed must be from 0 to 4294967295, not -1"),
        ("train mnist_mlp --seed 4294967296", r"seed must be from 0 to 4294967295"),
        ("train mnist_mlp --seed x", r"Error parsing --seed: not whole: 'x'"),
        ("train mnist_mlp --devices 0", r"devices is 0; it must be at least 1"),
        ("train mnist_mlp --devices 1000000", r"devices is 1000000; it must be at most 128"),
        ("train mnist_mlp --preset slow", r"mnist_mlp has no preset 'slow'; it has: none"),
        ("train mnist_dcgan_bn --preset slo", r"no preset 'slo'; it has: fast, slow"),
        ("train pattern_1010 --epochs 3", r"draws its examples, so it has no epochs: give steps"),
        ("train mnist_mlp --data nmist", r"cannot tell what data 'nmist' is; write mnist"),
        ("train mnist_mlp --data tfds:fashion_mnits", r"no data set .*mean fashion_mnist"),
        ("train mnist_mlp --data mnist@tset", r"no split 'tset'"),
        ("train mnist_mlp --data folder:absent", r"there is no folder absent"),
        ("train mnist_mlp --data-dir /dev/null/x", r"cannot write to /dev/null/x .*--data-dir"),
        ("train mnist_mlp --out /dev/null", r"/dev/null exists and is no run directory"),
        ("train pattern_1010 --out /dev/null/x", r"/dev/null/x: Not a directory"),
        ("train mnist_mlp --out /etc", r"/etc exists and is no run directory"),
        ("train mnist_mlp --resume", r"runs/mnist_mlp-seed0 is no run directory"),
        ("train mnist_mlp --resume --out /etc", r"/etc is no run directory: it has no config.json"),
        ("sample", r"RUN|run"),
        ("sample absent", r"absent is no run directory: it has no config.json"),
        ("sample /dev/null", r"/dev/null is no run directory"),
        ("report", r"RUN|run"),
        ("report absent", r"absent is no run directory"),
        ("report absent extra", r"Unrecognized options: extra"),
        ("recipes all", r"Unrecognized options: all"),
        ("info --all", r"Unrecognized options: --all"),
    ],
)
def test_bad_input_gets_one_line_and_nothing_is_written(words, told, here):
    assert_refused(command(*words.split()), told)
    assert contents(here) == {}
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        [""],
        ["train", ""],
        ["train", "mnist_mlp", "--out", ""],
        ["train", "mnist_mlp", "--data", ""],
        ["train", "mnist_mlp", "--data-dir", ""],
        ["sample", ""],
        ["report", ""],
    ],
)
def test_an_empty_argument_gets_one_line_and_nothing_is_written(words, here):
    assert_refused(command(*words), "''|is empty")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("mnist_mlp --data folder:pictures/empty", r"no pictures \(.*\) in pictures/empty"),
        ("mnist_mlp --data folder:pictures/broken", r"1 of the 5 pictures in .*: torn.png; repair"),
        ("mnist_mlp --data folder:pictures/good/0.png", r"0.png is not a folder"),
        ("mnist_mlp --data folder:pictures/good", r"batch size 128 is larger than the 4 examples"),
        ("mnist_dcgan_bn --data folder:pictures/good --batch-size 3", r"batch size 6 is larger"),
        (
            "mnist_conv --data folder:pictures/good --image-size 30",
            r"multiples of 4 .* not 30 x 30",
        ),
        ("mnist_conv --data folder:pictures/good --image-size 12", r"at least 16, not 12 x 12"),
        ("mnist_dcgan --data folder:pictures/good --image-size 30", r"multiples of 4 .* 30 x 30"),
        ("mnist_dcgan_bn --data folder:pictures/good --image-size 12", r"least 13, not 12 x 12"),
    ],
)
def test_pictures_that_do_not_suit_get_one_line(words, told, here, pictures):
    before = contents(here)
    size = [] if "batch" in told or "--batch-size" in words else ["--batch-size", "2"]
    assert_refused(command("train", *words.split(), *size), told)
    assert contents(here) == before
    assert not (here / "runs").exists()


@pytest.mark.parametrize("recipe", ["mnist_mlp", "mnist_dcgan"])
def test_a_folder_of_pictures_is_learned_in_color(recipe, here, pictures):
    data = f"--data folder:{pictures}/good --image-size 12 --batch-size 4 --steps 3".split()
    words = [word for word in TINY[recipe] if word != "mnist@train[:64]"]
    words.remove("--data")
    assert command("train", recipe, *words, *data, "--out", "rün dir").status == 0
    assert read_config(here / "rün dir").shape == (12, 12, 3)
    with Image.open(here / "rün dir" / "final.png") as picture:
        assert picture.mode == "RGB"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_errors_in_a_process_of_its_own(encoding, here):
    words = ["train", "mnist_mlp", "--batch-sze", "3"]
    done = process(*words, cwd=here, env={**os.environ, "PYTHONIOENCODING": encoding})
    told = "Unrecognized options: --batch-sze, 3; did you mean --batch-size? jaxgan train mnist_mlp"
    assert_refused(done, re.escape(f"jaxgan: {told} --help lists the options"))
    assert list(here.iterdir()) == []


# The run directory


def test_a_run_is_not_overwritten_without_being_asked(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    (run / "notes.txt").write_text("mine")
    before = contents(run)
    words = ["train", "pattern_1010", *TINY["pattern_1010"], "--steps", "10", "--out", "run"]
    assert_refused(command(*words), "run holds a run already: go on with --resume, choose another")
    assert contents(run) == before
    assert command(*words, "--overwrite").status == 0
    assert read_config(run).steps == 10
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["10"]
    assert not (run / "notes.txt").exists()


def test_a_run_that_cannot_begin_replaces_nothing(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    before = contents(run)
    words = ["train", "mnist_mlp", "--out", "run", "--overwrite"]
    assert_refused(command(*words, "--batch-size", "70000"), "is larger than the 60000 examples")
    assert_refused(command(*words, "--data", "folder:absent"), "no folder absent")
    assert contents(run) == before


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_what_is_no_run_is_not_overwritten(overwrite, here):
    (here / "docs").mkdir()
    (here / "docs" / "config.json").write_text("{}")
    (here / "file").write_text("x")
    (here / "src").mkdir()
    (here / "src" / "main.c").write_text("x")
    before = contents(here)
    for out in ("docs", "file", "src"):
        assert_refused(command("train", "pattern_1010", "--out", out, *overwrite), out)
    assert contents(here) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("mnist_conv", r"recipe \(mnist_mlp there, mnist_conv here\)$"),
        ("mnist_mlp --seed 3", r"seed \(0 there, 3 here\)$"),
        ("mnist_mlp --slope 0.3", r"slope \(0.2 there, 0.3 here\)$"),
        (
            "mnist_mlp --steps 50 --grid 2 3 --latent-size 5",
            r": grid \(\[2, 2\] there, \[2, 3\] here\), latent_size \(4 there, 5 here\)$",
        ),
        ("mnist_mlp --data mnist", r"data \(mnist@train\[:64\] there, mnist here\)$"),
    ],
)
def test_another_run_cannot_be_resumed_as_this_one(words, told, here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    before = contents(run)
    done = command("train", *words.split(), "--out", "run", "--resume")
    assert_refused(done, told)
    assert contents(run) == before


def test_a_resumed_run_takes_its_seed_and_hyperparameters_from_the_run(here, monkeypatch):
    asked = []
    monkeypatch.setattr(training, "train", lambda *a, **options: asked.append((*a, options)))
    recipe = MnistDcganBn(epochs=7, slope=0.3, grid=(1, 2))
    rundir.create(here / "run", rundir.describe(recipe, 5, 14, SPEC, make_mesh(1)))

    def resumed(*more: str):
        done = command("train", "mnist_dcgan_bn", "--out", "run", "--resume", *more)
        assert done.status == 0, done.err
        found, _, options = asked.pop()
        return found, options["seed"]

    assert resumed() == (recipe, 5)
    assert resumed("--steps", "9") == (dataclasses.replace(recipe, epochs=None, steps=9), 5)
    assert resumed("--epochs", "9") == (dataclasses.replace(recipe, epochs=9), 5)
    assert resumed("--slope", "0.4") == (dataclasses.replace(recipe, slope=0.4), 5)
    assert resumed("--seed", "6") == (recipe, 6)


def test_a_preset_is_a_start_that_options_change(here, monkeypatch):
    asked = []
    monkeypatch.setattr(training, "train", lambda *a, **options: asked.append((*a, options)))
    for words, expected in [
        ("--preset slow", MnistDcganBn(steps=10_000, log_every=400)),
        ("--preset slow --epochs 2", MnistDcganBn(epochs=2, log_every=400)),
        (
            "--preset slow --log-every 3 --slope 0.5",
            MnistDcganBn(steps=10_000, log_every=3, slope=0.5),
        ),
    ]:
        assert command("train", "mnist_dcgan_bn", *words.split()).status == 0
        assert asked.pop()[0] == expected


def test_a_preset_that_changes_a_run_is_not_ignored_when_it_is_resumed(here):
    recipe = MnistDcganBn(log_every=7)
    rundir.create(here / "run", rundir.describe(recipe, 0, 14, SPEC, make_mesh(1)))
    words = ["train", "mnist_dcgan_bn", "--out", "run", "--resume", "--preset", "slow"]
    assert_refused(command(*words), r"log_every \(7 there, 400 here\)$")


@pytest.mark.parametrize(
    "text", ['{"recipe": ', "[]", '{"recipe": "mnist_mlp"}', '{"recipe": 3, "seed": 0}']
)
def test_a_damaged_config_is_named(text, here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    (run / "config.json").write_text(text)
    before = contents(run)
    for words in (
        ["sample", "run"],
        ["report", "run"],
        "train mnist_mlp --out run --resume".split(),
    ):
        assert_refused(command(*words), "run/config.json is damaged")
    assert contents(run) == before


# What else can happen


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to")]
)
def test_too_little_memory_gets_one_line(error, here, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(training, "train", fail)
    assert_refused(command("train", "mnist_mlp"), "out of memory: choose a smaller batch")


def test_errors_of_the_program_are_not_hidden(here, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(training, "train", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        command("train", "mnist_mlp")


def test_ctrl_c_in_any_command_gets_one_line(here, monkeypatch):
    def fail(*_, **__):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(training, "train", fail)
    done = command("train", "mnist_mlp")
    assert (done.status, done.err) == (130, "jaxgan: stopped\n")


def test_the_program_is_quiet_where_nobody_looks(here):
    words = ["train", "pattern_1010", "--steps", "20"]
    done = subprocess.run([*JAXGAN, *words], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "done: runs/pattern_1010-seed0/report.html\n")
    first, last = done.stderr.splitlines()
    assert first == "compiling pattern_1010"
    assert last.startswith("step 20/20 loss_d_")
