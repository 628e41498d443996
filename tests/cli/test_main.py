"""Commands: what they refuse, what they overwrite, and how they end."""

import dataclasses
import errno
import os
import shutil
import signal
import subprocess

import numpy as np
import pytest
from PIL import Image
from runs import JAXGAN, TINY, assert_refused, command, contents, copy, process

from jaxgan import rundir, training
from jaxgan.devices.mesh import make_mesh
from jaxgan.evaluation import finished
from jaxgan.recipes.mnist_dcgan_bn import MnistDcganBn
from jaxgan.report import page
from jaxgan.rundir import check_free, loading, read_config
from jaxgan.types import DataSpec

SPEC = DataSpec((28, 28, 1), 10)  # of MNIST


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


# Bad input: one line, and nothing written


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "bogus",
            r"no command 'bogus': choose train, population, sample, interpolate",
        ),
        ("--bogus", r"no command '--bogus'"),
        ("train", r"needs the name of a recipe: .*mnist_conv, .*pattern_1010"),
        ("train --steps 3", r"needs the name of a recipe"),
        ("train mnist_mpl", r"no recipe 'mnist_mpl': did you mean mnist_mlp"),
        ("train dcgan_bn", r"no recipe 'dcgan_bn': did you mean mnist_dcgan_bn or"),
        ("train mnist_mlp --batch-sze 3", r"'--batch-sze', '3': did you mean --batch-size\?"),
        ("train mnist_mlp --width 3", r"unrecognized options '--width', '3'"),
        ("train mnist_mlp 3", r"unrecognized options '3' \(jaxgan train mnist_mlp --help lists"),
        ("train mnist_mlp --batch-size x", r"--batch-size must be a whole number, not 'x'"),
        ("train mnist_mlp --batch-size 1.5", r"--batch-size must be a whole number, not '1.5'"),
        ("train mnist_mlp --steps x", r"--steps must be a whole number, not 'x'"),
        (f"train mnist_mlp --steps {'9' * 5000}", r"--steps must be a whole number, not '999"),
        ("train mnist_mlp --dtype float16", r"--dtype must be one of float32, bfloat16, not 'flo"),
        ("train mnist_mlp --lr 1", r"'--lr', '1': did you mean --learning-rate\?"),
        ("train zzz", r"^jaxgan: there is no recipe 'zzz': jaxgan recipes lists them$"),
        ("trian mnist_mlp", r"no command 'trian': did you mean train\?"),
        ("train mnist_mlp --import", r"--import needs the name of a module or a .py file"),
        ("train mnist_mlp --import absent.py", r"no file .*absent.py"),
        ("recipes --import absent_module", r"no module 'absent_module'"),
        ("train mnist_mlp --best-by fid\udcff", r"^jaxgan: 'fid.udcff' is not text in UTF-8"),
        ("train \ud800", r"^jaxgan: '.ud800' is not text in UTF-8"),
        ("sample \udcff", r"^jaxgan: '.udcff' is not text in UTF-8"),
        (f"report {'x' * 9000}", r"^jaxgan: x+ \.\.\. x*"),
        ("train mnist_mlp --slope x", r"--slope must be a number, not 'x'"),
        ("train mnist_mlp --batch-size", r"--batch-size needs a value: INT \("),
        ("train mnist_mlp --grid 5", r"--grid needs a value: INT INT \("),
        ("train mnist_mlp --grid 5 x", r"--grid must be a whole number, not 'x'"),
        ("train mnist_mlp --grid 0 5", r"grid\[0\] must be a whole number >= 1, not 0"),
        ("train mnist_mlp --batch-size 0", r"batch_size must be a whole number >= 1, not 0"),
        ("train mnist_mlp --batch-size -8", r"batch_size must be a whole number >= 1, not -8"),
        (
            "train mnist_mlp --data mnist@train[:9] --batch-size 10",
            "10 is larger than the 9 examples of",
        ),
        ("train mnist_mlp --steps 0", r"steps must be a whole number >= 1, not 0"),
        ("train mnist_mlp --epochs 0", r"epochs must be a whole number >= 1, not 0"),
        ("train mnist_mlp --steps 3 --epochs 3", r"steps and epochs .*: give one of them"),
        ("train mnist_mlp --steps 99999999999", r"steps must be .* <= 2147483647"),
        ("train mnist_mlp --generator-widths 8 0", r"generator_widths\[1\] must be .* >= 1"),
        ("train mnist_mlp --generator-widths", r"generator_widths must be a list of length >= 1"),
        ("train mnist_mlp --learning-rate nan", r"learning_rate must be .*, not nan"),
        ("train mnist_mlp --learning-rate inf", r"learning_rate must be finite, not inf"),
        ("train mnist_mlp --learning-rate 4e38", r"learning_rate .* that float32 can hold"),
        ("train mnist_mlp --learning-rate -1", r"learning_rate must be a number > 0.0, not -1.0"),
        ("train mnist_mlp --beta1 1", r"beta1 must be a number < 1.0, not 1.0"),
        (
            "train mnist_dcgan_bn --discriminator-channels 4 4 4 4 --data mnist@train[:300]",
            r"multiples of 4 and at least 61, not 28 x 28: choose another size with image_size",
        ),
        ("train mnist_mlp --seed -1", r"seed must be from 0 to 4294967295, not -1"),
        ("train mnist_mlp --seed 4294967296", r"seed must be from 0 to 4294967295"),
        ("train mnist_mlp --seed x", r"--seed must be a whole number, not 'x'"),
        ("train mnist_mlp --devices 0", r"devices is 0; it must be at least 1"),
        ("train mnist_mlp --devices 1000000", r"devices is 1000000; it must be at most 128"),
        ("train mnist_mlp --preset slow", r"mnist_mlp has no presets: leave out --preset"),
        ("train mnist_dcgan_bn --preset slo", r"no preset 'slo'; it has: fast, slow"),
        ("train pattern_1010 --epochs 3", r"draws its examples, so it has no epochs: give steps"),
        ("train mnist_mlp --data nmist", r"'nmist' is not a data set; write mnist"),
        ("train mnist_mlp --data tfds:fashion_mnits", r"no data set .*mean fashion_mnist"),
        ("train mnist_mlp --data mnist@tset", r"no split 'tset'"),
        ("train mnist_mlp --data folder:absent", r"there is no folder absent"),
        ("train mnist_mlp --data folder:~nosuchuser/x", r"there is no folder ~nosuchuser/x"),
        ("train mnist_mlp --data prepared:~nosuchuser/x", r"~nosuchuser/x is not a prepared data"),
        ("train mnist_mlp --data-dir /dev/null/x", r"cannot write to /dev/null/x .*--data-dir"),
        ("train mnist_mlp --out /dev/null", r"/dev/null exists and is not a run directory"),
        ("train pattern_1010 --out /dev/null/x", r"^jaxgan: /dev/null"),
        ("train mnist_mlp --out /etc", r"/etc exists and is not a run directory"),
        ("train mnist_mlp --resume", r"there is no run directory runs/mnist_mlp-seed0"),
        (
            "train mnist_mlp --resume --out /etc",
            r"/etc is not a run directory: it has no config.json",
        ),
        ("sample", r"RUN is missing \(jaxgan sample --help lists the options\)"),
        ("restore run", r"INPUT is missing \(jaxgan restore --help lists the options\)"),
        ("translate run", r"INPUT is missing \(jaxgan translate --help lists the options\)"),
        ("sample absent", r"there is no run directory absent"),
        ("sample /dev/null", r"/dev/null is not a run directory"),
        ("report absent", r"there is no run directory absent"),
        ("report absent extra", r"unrecognized options 'extra'"),
        ("recipes all", r"unrecognized options 'all'"),
        ("info --all", r"unrecognized options '--all'"),
        ("features", r"write jaxgan features import-\{clip,dinov2,dinov2-base,inception\} FILE"),
        (
            "features import-vgg file",
            r"write jaxgan features import-\{clip,dinov2,dinov2-base,inception\} FILE",
        ),
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


@pytest.mark.parametrize(
    "recipe", ["mnist_mlp", pytest.param("mnist_dcgan", marks=pytest.mark.slow)]
)
def test_a_folder_of_pictures_is_learned_in_color(recipe, here, pictures):
    data = f"--data folder:{pictures}/good --image-size 12 --batch-size 4 --steps 3".split()
    words = [word for word in TINY[recipe] if word != "mnist@train[:64]"]
    words.remove("--data")
    assert command("train", recipe, *words, *data, "--out", "rün dir").status == 0
    assert read_config(here / "rün dir").shape == (12, 12, 3)
    with Image.open(here / "rün dir" / "final.png") as picture:
        assert picture.mode == "RGB"


def test_errors_and_help_in_a_process_of_its_own(here):
    """A terminal that knows only ASCII, and a path that is not text in UTF-8."""
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    assert_refused(
        process("sample", os.fsdecode(b"\xff\xc3\xa4"), env=ascii_only), r"^jaxgan: '.udcff"
    )
    helped = process("train", "mnist_mlp", "--help", env=ascii_only)
    assert (helped.status, helped.err) == (0, "")
    assert helped.out.isascii()
    assert max(map(len, helped.out.splitlines())) <= 80
    assert list(here.iterdir()) == []


# The run directory


def test_a_run_is_not_overwritten_without_being_asked(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    (run / "notes.txt").write_text("mine")
    before = contents(run)
    words = ["train", "pattern_1010", *TINY["pattern_1010"], "--steps", "10", "--out", "run"]
    assert_refused(command(*words), "run holds a run already: go on with --resume, choose another")
    assert contents(run) == before
    assert_refused(command(*words, "--overwrite"), "run holds notes.txt besides the run: move that")
    assert contents(run) == before
    (run / "notes.txt").unlink()
    assert command("sample", "run").status == 0
    assert command(*words, "--overwrite").status == 0
    assert read_config(run).steps == 10
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["10"]
    assert not [*run.glob("sample_*")]


def test_what_commands_write_into_a_run_is_replaced_with_it(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    for words in ("interpolate run", "directions run", "report run", "sample run --num 2"):
        assert command(*words.split()).status == 0
    restore = "restore run data:mnist@test[:1] --mask center --iterations 1 --starts 1"
    assert command(*restore.split()).status == 0
    check_free(run, overwrite=True)


def test_a_run_is_kept_where_checkpoints_can_be_written(here):
    told = command("train", "pattern_1010", "--out", "br[1]/run")
    assert_refused(told, r"/br\[1\]/run has a \[ in it, where no checkpoint can be written")
    assert not (here / "br[1]").exists()


def test_home_directories_are_found(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    words = ["train", "pattern_1010", *TINY["pattern_1010"], "--steps", "2"]
    assert command(*words, "--out", "~/run").status == 0
    assert command("sample", "~/run", "--out=~/vectors.npz").status == 0
    assert sorted(x.name for x in (here / "home").iterdir()) == ["run", "vectors.npz"]
    assert [x.name for x in here.iterdir()] == ["home"]


def test_a_run_that_cannot_begin_replaces_nothing(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    before = contents(run)
    words = ["train", "mnist_mlp", "--out", "run", "--overwrite"]
    few = ["--data", "mnist@train[:64]", "--batch-size", "65"]
    assert_refused(command(*words, *few), "is larger than the 64 examples")
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
        ("mnist_conv", r"recipe \('mnist_mlp' there, 'mnist_conv' here\)$"),
        ("mnist_mlp --seed 3", r"seed \(0 there, 3 here\)$"),
        ("mnist_mlp --slope 0.3", r"slope \(0.2 there, 0.3 here\)$"),
        (
            "mnist_mlp --steps 50 --grid 2 3 --latent-size 5",
            r": grid \(.2, 2. there, .2, 3. here\), latent_size \(4 there, 5 here\)$",
        ),
        ("mnist_mlp --data mnist", r"data \('mnist@train\[:64\]' there, 'mnist' here\)$"),
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


def fail_with(error, monkeypatch):
    """Lets every command fail as it begins its work."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(training, "train", fail)
    monkeypatch.setattr(loading, "load", fail)
    monkeypatch.setattr(finished, "evaluate", fail)
    monkeypatch.setattr(page, "write_report", fail)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("train mnist_mlp", "choose a smaller --batch-size, or a --microbatch"),
        ("population mnist_mlp", "choose a smaller --at-once, "),
        ("sample run", "choose a smaller --num"),
        ("interpolate run", "choose fewer --rows or --columns"),
        ("directions run", "choose fewer --rows or --columns"),
        ("restore run data:test --gray", "choose fewer pictures or --starts"),
        ("translate run data:mnist", "choose smaller pictures, or fewer"),
        ("dataset run", "choose a smaller --num, --sources or --knob-num"),
        ("evaluate run", "choose a smaller --num"),
        ("report run", "close other programs"),
    ],
)
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory")]
)
def test_too_little_memory_gets_a_line_with_a_way_out(error, words, told, monkeypatch):
    fail_with(error, monkeypatch)
    assert_refused(command(*words.split()), f"^jaxgan: out of memory: {told}")


def test_errors_of_the_file_system_name_a_path(here, monkeypatch):
    fail_with(OSError(errno.ENOSPC, "No space left on device"), monkeypatch)
    full = "No space left on device"
    assert_refused(command("train", "mnist_mlp"), f"^jaxgan: runs/mnist_mlp-seed0: {full}")
    assert_refused(command("report", "run"), f"^jaxgan: run: {full}")
    assert_refused(command("evaluate", "run"), f"^jaxgan: jaxgan evaluate: {full}")


def test_errors_of_the_program_are_not_hidden(monkeypatch):
    fail_with(RuntimeError("a bug"), monkeypatch)
    with pytest.raises(RuntimeError, match="a bug"):
        command("train", "mnist_mlp")


def test_ctrl_c_in_any_command_gets_one_line(monkeypatch):
    monkeypatch.setattr(training, "train", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    done = command("train", "mnist_mlp")
    assert (done.status, done.err) == (130, "jaxgan: stopped\n")


@pytest.mark.slow
def test_the_program_is_quiet_where_nobody_looks(here):
    words = ["train", "pattern_1010", "--steps", "20"]
    done = subprocess.run([*JAXGAN, *words], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "done: runs/pattern_1010-seed0/report.html\n")
    first, last = done.stderr.splitlines()
    assert first == "compiling pattern_1010"
    assert last.startswith("step 20/20 loss_d_")
