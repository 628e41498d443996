"""Trains again and again, and lets another call of the file system fail each time.

Runs with faults.c in LD_PRELOAD, as test_faults.py starts it. Prints each loss in a line, and at
last the number of points at which a call failed.

Arguments: an empty folder; which run, "new" or "resumed"; the number of points, evenly spread over
the run, or "all".
"""

import ctypes
import errno
import faulthandler
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from runs import digest

from jaxgan.recipes.pattern_1010 import Pattern1010
from jaxgan.rundir import Checkpoints, checkpoints, read_metrics
from jaxgan.training import Observer, chunks, experiment, loop, observers, train
from jaxgan.util.errors import UserError

ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES)
EVERY, STEPS = 5, 10
RECIPE = Pattern1010(log_every=2, sample_every=EVERY, checkpoint_every=EVERY, steps=STEPS)
SECONDS = 100  # after which a run hangs


class Died(Exception):
    """A run ended without a chance to save anything."""


class Watch(Observer):
    """Keeps the digest of the state at each checkpoint."""

    period = EVERY

    def __init__(self):
        self.digests = {}

    def see(self, chunk):
        self.digests[chunk.step] = digest(chunk.state)


class Die(Observer):
    """Ends a run between two checkpoints."""

    period = EVERY + 2

    def see(self, chunk):
        if chunk.step == self.period:
            raise Died


def compile_once() -> None:
    """Lets all runs share what is compiled, and leaves out the report."""
    made = experiment.set_up(RECIPE)
    first = made.draw_first()
    advance = chunks.compile_steps(made, first)
    draw = observers.drawer(made, "samples")
    made = made._replace(init=lambda key: first)
    loop.set_up = lambda *_, **__: made
    loop.compile_steps = lambda *_: advance
    observers.drawer = lambda *_: draw
    observers.write_report = lambda run: run


def result(run: Path, state) -> dict:
    """What must be the same after every run."""
    lines = [{k: v for k, v in x.items() if k != "images_per_second"} for x in read_metrics(run)]
    samples = {path.name: path.read_bytes() for path in (run / "samples").glob("step*")}
    return {"state": digest(state), "lines": lines, "samples": samples}


class Faults:
    """The shim, which counts calls below a folder."""

    def __init__(self, folder: Path):
        self._shim = ctypes.CDLL(None)
        self._shim.faults_failed.restype = ctypes.c_char_p
        self._folder = str(folder).encode()

    def arm(self, call: int, number: int = 0) -> None:
        self._shim.faults_arm(self._folder, ctypes.c_long(call), number)

    def disarm(self) -> tuple[int, str]:
        """Returns how many calls there were, and which one failed."""
        calls, failed = self._shim.faults_calls(), self._shim.faults_failed().decode()
        self._shim.faults_arm(b"", ctypes.c_long(0), 0)
        return calls, failed


def losses(run: Path, before: list[int], expected: dict, whole: dict, fault: Faults, call: int):
    """Lets a call fail in a run, goes on with it, and tells what is not as it should be."""
    number = ERRORS[call % len(ERRORS)]
    fault.arm(call, number)
    try:
        train(RECIPE, run, resume=bool(before))
        told = None
    except UserError as error:
        told = str(error)
    finally:
        _, failed = fault.disarm()
    if not failed:
        return  # as threads do not make the same calls each time
    if told is not None and ("/" not in told or "\n" in told):
        yield f"{failed}: no path in {told!r}"
    with Checkpoints(run / "checkpoints", loop.set_up(RECIPE).state_like()) as saved:
        steps = saved.steps()
        if before and max(steps, default=0) < max(before):
            yield f"{failed}: of {before} only {steps} are left"
        for step in steps:
            if digest(saved.restore(step)) != expected[step]:
                yield f"{failed}: step {step} is another state"
    state = train(RECIPE, run, resume=(run / "config.json").exists())
    if result(run, state) != whole:
        yield f"{failed}: another result in the end"


def attempts(folder: Path, which: str, points: str) -> Iterator[str]:
    """Tries all points, and tells of losses."""
    run, base = folder / "run", folder / "base"
    compile_once()
    watch = Watch()
    whole = result(folder / "whole", train(RECIPE, folder / "whole", observers=[watch]))
    checkpoints.KEPT = 1  # so that old ones are deleted, even in a short run
    before = []
    if which == "resumed":
        try:
            train(RECIPE, base, observers=[Die()])
        except Died:
            before = [EVERY]
    fault = Faults(run)

    def start() -> None:
        shutil.rmtree(run, ignore_errors=True)
        if before:
            shutil.copytree(base, run)

    start()
    fault.arm(0)
    train(RECIPE, run, resume=bool(before))
    calls, _ = fault.disarm()
    count = calls if points == "all" else int(points)
    for point in range(count):
        call = 1 + point * calls // count
        start()
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            yield from losses(run, before, watch.digests, whole, fault, call)
        except Exception:
            yield f"call {call} of {calls}: {traceback.format_exc()!r}"
    faulthandler.cancel_dump_traceback_later()
    yield f"{count} points of {calls}"


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    for line in attempts(Path(sys.argv[1]), *sys.argv[2:]):
        print(line, flush=True)
    os._exit(0)  # whatever threads a failed save left behind
