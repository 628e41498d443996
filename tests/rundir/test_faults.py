"""Disks that are full or read-only, and file systems of which any call may fail."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs import JAXGAN, TINY, Result, command, contents, copy, process, result_of

OPTIONS = [*TINY["mnist_mlp"], "--steps", "40"]


@contextlib.contextmanager
def mounted(path: Path, options: str):
    """A small disk in memory."""
    path.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def assert_one_line(done: Result, *told: str) -> None:
    assert done.status == 2
    assert "Traceback" not in done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("jaxgan: ")]
    assert line == done.err.splitlines()[-1]
    assert all(words in line for words in told), line


@pytest.mark.slow
@pytest.mark.parametrize("size", [60, 300])
def test_a_full_disk_ends_a_run_in_a_line_and_space_lets_it_go_on(size, here, whole_run):
    with mounted(here / "disk", f"size={size}k") as disk:
        done = process("train", "mnist_mlp", *OPTIONS, "--out", "disk/run")
        assert_one_line(done, "o space left on device")
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        again = command("train", "mnist_mlp", "--out", "disk/run", "--resume")
        assert again.status == 0, again.err
        assert result_of(disk / "run") == result_of(whole_run("mnist_mlp"))


@pytest.mark.slow
def test_files_that_may_not_grow_large_enough_are_named(here):
    words = ["train", "mnist_mlp", "--data", "mnist@train[:64]", "--batch-size", "8"]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 200; exec "$@"', "sh", *JAXGAN, *words, "--steps", "5"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},
    )
    told = ("cannot write a checkpoint to", "fix that, then continue with --resume")
    assert_one_line(Result(done.returncode, done.stdout, done.stderr), *told)


def test_a_read_only_disk_is_named_and_nothing_is_lost(here, whole_run):
    with mounted(here / "disk", "size=20m") as disk:
        run = copy(whole_run("pattern_1010"), disk / "run")
        before = contents(disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for words in (
            ["train", "pattern_1010", "--out", "disk/new"],
            ["train", "pattern_1010", "--out", "disk/run", "--overwrite"],
            ["train", "pattern_1010", "--out", "disk/run", "--resume", "--steps", "50"],
            ["sample", run],
            ["report", run],
        ):
            done = command(*words)
            assert (done.status, done.out) == (2, "")
            assert_one_line(done, "Read-only file system")
        assert contents(disk) == before
        assert command("sample", "disk/run", "--out", "a.npz").status == 0


def test_two_names_of_one_run_are_the_same_run(here, whole_run):
    copy(whole_run("pattern_1010"), here / "run")
    os.symlink("run", here / "alias")
    assert command("train", "pattern_1010", "--out", "alias", "--resume").status == 0
    assert result_of(here / "alias") == result_of(whole_run("pattern_1010"))


@pytest.fixture(scope="module")
def shim(tmp_path_factory) -> Path:
    """A library that lets a call of the file system fail, in Python, Orbax and TensorStore."""
    if sys.platform != "linux" or (compiler := shutil.which("cc")) is None:
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("shim") / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def losses(shim: Path, folder: Path, which: str, points: str) -> list[str]:
    """What is lost when a call fails at some points of a run."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("faulty.py")), folder, which, points],
        env={**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lost, last = done.stdout.splitlines()
    assert " points of " in last
    return lost


# Each open, read, write, sync, rename, listing and deletion in the run directory counts, those of
# threads and of TensorStore's C++ among them; not so what only asks for a file's status.
@pytest.mark.parametrize("which", [pytest.param("new", marks=pytest.mark.slow), "resumed"])
def test_whichever_call_fails_nothing_is_lost_at_some_points(which, shim, tmp_path):
    assert losses(shim, tmp_path, which, "5") == []


@pytest.mark.slow
@pytest.mark.parametrize("which", ["new", "resumed"])
def test_whichever_call_fails_nothing_is_lost(which, shim, tmp_path):
    assert losses(shim, tmp_path, which, "all") == []
