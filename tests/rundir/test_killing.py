"""Runs that are killed at random moments, again and again, end as if they had never stopped."""

import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import JAXGAN, TINY, command, process, result_of

SECONDS = 120  # for a process to come to the moment at which it is killed
EVERY = "--log-every 1 --sample-every 5 --checkpoint-every 4".split()  # nearly always saving
WORDS = {
    "pattern_1010": ["train", "pattern_1010", *EVERY],
    "mnist_mlp": ["train", "mnist_mlp", *TINY["mnist_mlp"], *EVERY],
}
PER_KILL = 40  # steps: more than a process does until it is killed
MOMENTS = ["in a save", "in a save", "soon", "at any time"]


def newest(run: Path) -> int:
    """The step of the newest checkpoint; -1 where there is none."""
    names = [path.name for path in (run / "checkpoints").glob("*")]
    return max((int(name) for name in names if name.isdecimal()), default=-1)


def half_a_save(run: Path) -> bool:
    return any((run / "checkpoints").glob("*.partial"))


def wait(child: subprocess.Popen, until: Callable[[], object], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while child.poll() is None and not until() and time.monotonic() < end:
        time.sleep(0.001)


def signal_once(
    words: list[str], run: Path, number: int, moment: str, chance: random.Random
) -> str:
    """Starts a run, or goes on with it, and sends a signal. Returns what it told."""
    if (run / "config.json").exists():
        words = [*words[:2], "--resume"]
    told = run.with_suffix(".err")
    before = newest(run)
    with open(told, "w") as err:
        child = subprocess.Popen([*JAXGAN, *words, "--out", str(run)], stderr=err)
    if moment == "at any time":
        wait(child, lambda: newest(run) > before + PER_KILL // 2, chance.uniform(0, 8))
    else:
        wait(child, lambda: newest(run) > before)
        wait(child, lambda: False, chance.uniform(0, 0.2))
        if moment == "in a save":
            wait(child, lambda: half_a_save(run))
    child.send_signal(number)
    status = child.wait(SECONDS)
    assert status == (-number if number == signal.SIGKILL else 128 + number), told.read_text()
    assert "Traceback" not in told.read_text()
    return told.read_text()


def interrupt(recipe: str, here: Path, number: int, moments: list[str]) -> Counter:
    """Interrupts a run at some moments, ends it, and compares. Returns what was hit."""
    chance = random.Random(f"{recipe} {number} {len(moments)}")
    steps = len(moments) * PER_KILL
    words = [*WORDS[recipe], "--steps", str(steps)]
    run = here / "run"
    hit = Counter()
    for moment in moments:
        told = signal_once(words, run, number, moment, chance)
        assert newest(run) < steps, "it was at its end: make it longer"
        hit["half a save"] += half_a_save(run)
        if number == signal.SIGTERM:
            last = told.splitlines()[-1]
            stopped = re.match(r"jaxgan: stopped at step (\d+); go on with: jaxgan train", last)
            assert stopped and int(stopped[1]) == newest(run)
    done = process(*words[:2], "--resume", "--out", run)
    assert done.status == 0, done.err
    assert "Traceback" not in done.err
    once = [*words, "--checkpoint-every", str(steps), "--out", "whole"]
    assert command(*once).status == 0
    assert result_of(run) == result_of(here / "whole")
    return hit


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_bit_for_bit(here):
    hit = interrupt("pattern_1010", here, signal.SIGKILL, MOMENTS[1:2])
    assert hit["half a save"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "rounds"), [("pattern_1010", 4), ("mnist_mlp", 2)])
def test_a_run_that_is_killed_many_times_goes_on_bit_for_bit(recipe, rounds, here):
    moments = random.Random(recipe).sample(MOMENTS * rounds, 4 * rounds)
    hit = interrupt(recipe, here, signal.SIGKILL, moments)
    assert hit["half a save"] >= rounds


@pytest.mark.slow
def test_a_run_that_is_stopped_many_times_goes_on_bit_for_bit(here):
    hit = interrupt("pattern_1010", here, signal.SIGTERM, ["in a save", "soon"] * 3)
    assert hit["half a save"] == 0  # it waits until its last save is done
