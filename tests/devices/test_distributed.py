"""`jaxgan train --distributed`: processes that a user starts, here all on one machine."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from runs import JAXGAN, TINY, command, contents, process, result_of

from jaxgan.rundir.log import read_metrics

OPTIONS = [*TINY["mnist_mlp"], "--out", "run", "--devices", "2"]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(*words: str) -> list[subprocess.Popen]:
    """Two processes with the same words."""
    together = f"--distributed --coordinator 127.0.0.1:{free_port()} --process-count 2".split()
    return [
        subprocess.Popen(
            [*JAXGAN, *words, *together, "--process-index", str(index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in (0, 1)
    ]


def finish(children: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Status, output and messages of each, without what the transport says of itself."""
    results = []
    for child in children:
        out, err = child.communicate(timeout=120)
        results.append((child.returncode, without_transport(out), err))
    return results


def without_transport(out: str) -> str:
    """Leaves out "... connected peer ranks is : 3", which two threads may write into each other."""
    return "".join(
        line
        for line in out.splitlines(True)
        if "peer ranks" not in line and line.strip(" 0123456789\n")
    )


def test_lines_of_the_transport_are_left_out_also_torn_ones():
    said = (
        "[Gloo] Rank 0 is connected to 1 peer ranks. Expected number of connected peer ranks is : "
    )
    assert without_transport(f"{said}{said}1\n1\ndone: 3\n") == "done: 3\n"


@pytest.mark.slow
def test_two_processes_train_resume_and_verify_as_one_with_four_devices(here):
    first, second = finish(start("train", "mnist_mlp", *OPTIONS, "--steps", "18"))
    assert (first[0], second[0]) == (0, 0), (first, second)
    assert first[1] == "done: run/report.html\n" and second[1] == ""
    resumed = finish(start("train", "mnist_mlp", "--out", "run", "--resume", "--steps", "40"))
    assert [status for status, *_ in resumed] == [0, 0], resumed

    words = [*TINY["mnist_mlp"], "--devices", "4", "--steps", "40", "--out", "alone"]
    assert command("train", "mnist_mlp", *words).status == 0
    together, alone = result_of(here / "run"), result_of(here / "alone")
    assert together["samples"].keys() == alone["samples"].keys()
    for ours, theirs in zip(together["metrics"], alone["metrics"], strict=True):
        for name in ours.keys() - {"digest"}:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4)

    before = contents(Path("run"))
    first, second = finish(start("verify", "run"))
    assert (first[:2], second[:2]) == ((0, "reproduced: 10 of 10 points\n"), (0, ""))
    assert contents(Path("run")) == before

    for status, _, err in finish(start("train", "mnist_mlp", *OPTIONS, "--steps", "18")):
        assert status == 2 and "Traceback" not in err, err
    assert contents(Path("run")) == before


@pytest.mark.slow
@pytest.mark.parametrize("told", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_signal_to_one_process_ends_all_and_saves(told, here):
    children = start("train", "mnist_mlp", *OPTIONS, "--steps", "100000")
    until = time.monotonic() + 100
    while not (here / "run" / "metrics.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.02)
    children[told].send_signal(signal.SIGTERM)
    results = finish(children)
    for status, _, err in results:
        assert status == 143, err
        assert "go on with: jaxgan train mnist_mlp --out run --resume --distributed" in err
        assert "Traceback" not in err
    saved = max(int(path.name) for path in (here / "run" / "checkpoints").iterdir())
    assert f"stopped at step {saved};" in results[0][2]
    assert all(record["step"] <= saved for record in read_metrics(here / "run"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--coordinator 127.0.0.1:1", "needs --distributed"),
        ("--process-index 0", "needs --distributed"),
        ("--distributed --coordinator host", "coordinator must be HOST:PORT, not 'host'"),
        ("--devices 3", "a batch of 8 cannot be spread over 3 devices"),
        ("--devices 9", "9 devices were asked for, but there are 8"),
        ("--devices 0", "devices is 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused(words, told, here):
    done = command("train", "mnist_mlp", *TINY["mnist_mlp"], *words.split())
    assert done.status == 2
    (line,) = done.err.splitlines()
    assert told in line
    assert not (here / "runs").exists()


def test_a_process_that_is_told_too_little_says_what_it_needs(here):
    done = process("train", "mnist_mlp", *OPTIONS, "--distributed", "--process-count", "2")
    assert done.status == 2
    (line,) = done.err.splitlines()
    assert line.startswith("jaxgan: cannot join the other processes (coordinator_address should")
    assert not (here / "run").exists()


@pytest.mark.slow
def test_processes_that_train_together_go_on_from_what_the_main_one_finds_sound(here):
    words = ["train", "mnist_mlp", *OPTIONS]
    for status, _, err in finish(start(*words, "--steps", "20")):
        assert status == 0, err
    whole = result_of(here / "run")
    for file in (here / "run" / "checkpoints" / "20").rglob("d/*"):
        file.write_bytes(file.read_bytes()[:-1])
    first, second = finish(start(*words, "--steps", "20", "--resume"))
    assert (first[0], second[0]) == (0, 0), (first, second)
    assert "20 is damaged" in first[2] and "20 is damaged" not in second[2]
    assert result_of(here / "run") == whole


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_one_of_two_processes_ends_both(failing, here, monkeypatch):
    words = ["train", "mnist_mlp", *OPTIONS]
    for status, _, err in finish(start(*words, "--steps", "20")):
        assert status == 0, err
    before = contents(here / "run" / "checkpoints")
    (here / "sitecustomize.py").write_text(
        f"""
import os, sys
really = os.open
def fail(path, *arguments, **options):
    if "/20/default/" in str(path) and sys.argv[-1] == "{failing}":
        raise OSError(5, "Input/output error", str(path))
    return really(path, *arguments, **options)
os.open = fail
"""
    )
    monkeypatch.setenv("PYTHONPATH", str(here))
    results = finish(start(*words, "--steps", "40", "--resume"))
    assert [status for status, *_ in results] == [2, 2], results
    assert "Input/output error" in results[failing][2]
    assert "another process of this run has failed" in results[1 - failing][2]
    assert contents(here / "run" / "checkpoints") == before


@pytest.mark.slow
def test_a_process_that_cannot_read_its_share_ends_both(here):
    (here / "unreadable.py").write_text(
        """
from dataclasses import dataclass
from typing import ClassVar
import jax
from jaxgan.data import Drawn
from jaxgan.recipes.pattern_1010 import Pattern1010, draw_real
from jaxgan.util.errors import UserError

class Failing(Drawn):
    def rows(self, start, stop, share=slice(None)):
        if jax.process_index() == 1 and stop > 5:
            raise UserError("5.png is damaged: replace it")
        return super().rows(start, stop, share)

@dataclass(frozen=True, kw_only=True)
class Unreadable(Pattern1010):
    name: ClassVar[str] = "unreadable"
    def feed(self, seed, data_dir=None):
        return Failing(draw_real, (4,), self.batch_size)
"""
    )
    words = "train unreadable --import unreadable.py --batch-size 2 --steps 100".split()
    first, second = finish(start(*words))
    assert (first[0], second[0]) == (2, 2), (first, second)
    assert first[2].splitlines()[-1].startswith("jaxgan: another process of this run has failed")
    assert second[2].splitlines()[-1] == "jaxgan: 5.png is damaged: replace it"
