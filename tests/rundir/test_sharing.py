"""Two runs in one directory at once, and a directory that becomes read-only under a run."""

import contextlib
import signal
import subprocess
import time
from pathlib import Path

import pytest
from runs import JAXGAN, Result, command

NEW = "train pattern_1010 --out run".split()
OPTIONS = "--log-every 10 --sample-every 1000 --checkpoint-every 50".split()


def newest(run: Path) -> int:
    names = [path.name for path in (run / "checkpoints").glob("*")]
    return max((int(name) for name in names if name.isdecimal()), default=-1)


def begin(steps: int) -> subprocess.Popen:
    words = [*JAXGAN, *NEW, *OPTIONS, "--steps", str(steps)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(child: subprocess.Popen) -> Result:
    out, err = child.communicate(timeout=120)
    assert "Traceback" not in err
    return Result(child.returncode, out, err)


def wait_for_step(child: subprocess.Popen, run: Path, step: int) -> None:
    until = time.monotonic() + 60
    while newest(run) < step and time.monotonic() < until:
        assert child.poll() is None
        time.sleep(0.01)


@pytest.fixture
def long_run(here):
    """The process of a run that goes on for long, and has saved something."""
    child = begin(1_000_000)
    wait_for_step(child, here / "run", 50)
    yield child
    child.kill()
    child.communicate()


def test_only_one_process_trains_in_a_directory(long_run, here):
    for words, told in [
        (NEW, "run holds a run already: go on with --resume, choose another --out, or replace it"),
        ([*NEW, "--resume"], "another process trains in run: wait for it, or choose another --out"),
        ([*NEW, "--overwrite"], "another process trains in run: wait for it, or choose another"),
    ]:
        done = command(*words)
        assert (done.status, done.out) == (2, "")
        (line,) = done.err.splitlines()
        assert line.startswith(f"jaxgan: {told}")
    wait_for_step(long_run, here / "run", newest(here / "run") + 50)
    long_run.send_signal(signal.SIGTERM)
    assert ended(long_run).status == 143
    assert command("verify", "run", "--steps", "100").out == "reproduced: 10 of 10 points\n"


@pytest.mark.slow
def test_a_killed_process_leaves_no_lock(long_run, here):
    done = command(*NEW, "--resume")
    assert done.status == 2
    long_run.kill()
    assert long_run.wait(60) == -signal.SIGKILL
    steps = newest(here / "run") + 100
    assert command(*NEW, "--resume", "--steps", str(steps)).status == 0
    assert newest(here / "run") == steps


@pytest.mark.slow
def test_of_two_new_runs_in_one_directory_one_trains(here):
    both = [begin(2000), begin(2000)]
    first, second = sorted(map(ended, both), key=lambda done: done.status)
    assert (first.status, second.status) == (0, 2)
    assert first.out == "done: run/report.html\n"
    lines = [line for line in second.err.splitlines() if line.startswith("jaxgan: ")]
    assert len(lines) == 1
    assert second.err.splitlines()[-1] == lines[0]
    assert "another process trains in run" in lines[0] or "run holds a run already" in lines[0]
    assert command("verify", "run").out == "reproduced: 200 of 200 points\n"


@contextlib.contextmanager
def unchangeable(folder: Path):
    """Forbids every change in a folder, also to root."""
    made = subprocess.run(["chattr", "-R", "+i", folder], capture_output=True, check=False)
    try:
        if made.returncode:
            pytest.skip("only root may do that, and not on every file system")
        yield
    finally:
        subprocess.run(["chattr", "-R", "-i", folder], capture_output=True, check=False)


@pytest.mark.slow
def test_a_directory_that_becomes_read_only_ends_a_run_in_a_line(long_run, here):
    with unchangeable(here / "run"):
        done = ended(long_run)
        assert done.status == 2
        (line,) = [line for line in done.err.splitlines() if line.startswith("jaxgan: ")]
        assert line == done.err.splitlines()[-1]
        assert "peration not permitted" in line
    steps = newest(here / "run") + 100
    assert command(*NEW, "--resume", "--steps", str(steps)).status == 0
    assert command("verify", "run", "--steps", "100").out == "reproduced: 10 of 10 points\n"
