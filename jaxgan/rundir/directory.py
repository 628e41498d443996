"""The run directory: what a run writes down about itself, and how it is found again.

config.json      the recipe, every hyper-parameter, seed, length, versions and device
metrics.jsonl    one line per log point
evaluations.jsonl  one line per evaluation, if there are any
samples/         a picture (or an array, for vectors) of fixed latents per sample point
checkpoints/     see jaxgan.checkpoint
best/            the best checkpoint of those evaluated
lock             held by the process that trains
final.png, losses.png, progress.gif, pattern.png or points.png, report.html
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from jaxgan.recipes import Recipe
from jaxgan.rundir import log
from jaxgan.rundir.config import read_config, write_config
from jaxgan.util.errors import UserError
from jaxgan.util.files import write_atomically

BEST = "best"  # the folder of the best checkpoint
LOCK = "lock"  # the file that `locked` locks
_LEFT = re.compile(rf"{LOCK}|\.config\.json\.\d+\.tmp")  # by a run that was killed as it began


class Sample(NamedTuple):
    """A stored sample, and the step it was taken at."""

    step: int
    path: Path


def check_free(run: Path, *, overwrite: bool) -> None:
    """Checks that a new run may be made somewhere.

    Args:
        run: path of its directory.
        overwrite: whether a run that is there already may be deleted.

    Raises:
        UserError: if something is there that may not be deleted.
    """
    if (run / "config.json").exists():
        if not overwrite:
            raise UserError(
                f"{run} holds a run already: go on with --resume, choose another --out, or replace "
                "it with --overwrite"
            )
        read_config(run)  # many a directory that is no run has a file of this name
    elif run.exists() and not (
        run.is_dir() and all(_LEFT.fullmatch(path.name) for path in run.iterdir())
    ):
        raise UserError(f"{run} exists and is no run directory: choose another --out")


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keeps other processes from training in a run directory, within a `with` block.

    The system lifts the lock when the process ends, however it ends.

    Args:
        run: path of the directory, which is made if need be.

    Raises:
        UserError: if another process trains in it.
    """
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        told = f"another process trains in {run}: wait for it, or choose another --out"
        raise UserError(told) from None
    try:
        yield
    finally:
        lock.release()


def create(run: Path, config: Mapping[str, Any]) -> None:
    """Makes the directory of a new run, in place of one that is there (see `check_free`).

    Args:
        run: its path.
        config: what `describe` made.
    """
    run.mkdir(parents=True, exist_ok=True)
    for path in run.iterdir():  # and not `run` itself, which may be a link or the working directory
        if path.name not in (LOCK, "config.json"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    write_config(run, config)  # until then it is the old run, or none, if it should be killed here
    (run / "samples").mkdir()


def write_evaluation(run: Path, evaluation: Mapping[str, Any]) -> None:
    """Writes evaluation.json."""
    write_atomically(run / "evaluation.json", (json.dumps(evaluation, indent=2) + "\n").encode())


def sample_path(run: Path, step: int, suffix: str) -> Path:
    """Names the file of the samples taken at a step."""
    return run / "samples" / f"step_{step:09d}.{suffix}"


def find_samples(run: Path, suffix: str) -> list[Sample]:
    """Lists the stored samples of one kind, in the order of steps."""
    paths = (run / "samples").glob(f"step_*.{suffix}")
    found = ((re.fullmatch(r"step_(\d+)", path.stem), path) for path in paths)
    return sorted(Sample(int(match[1]), path) for match, path in found if match)


def rewind(run: Path, step: int, recipe: Recipe, members: int | None = None) -> None:
    """Takes back what a run wrote that an uninterrupted one would not have written by now.

    That is everything after the step it is resumed from, and what it wrote when it ended early.

    Args:
        run: the run directory.
        step: that the run is resumed from.
        recipe: of the run.
        members: how many a population has.
    """
    kept = [
        line
        for line in log.read_metrics(run, members)
        if line["step"] <= step and line["step"] % recipe.log_every == 0
    ]
    log.replace(run / log.METRICS, kept)
    if recipe.eval_every is not None:
        every = recipe.eval_every
        done = [line for line in log.read_evaluations(run) if line["step"] <= step]
        log.replace(run / log.EVALUATIONS, [line for line in done if line["step"] % every == 0])
    (run / "samples").mkdir(exist_ok=True)  # missing if it was killed just as it began
    for suffix in ("png", "npy"):
        for sample in find_samples(run, suffix):
            if sample.step > step or sample.step % recipe.sample_every != 0:
                sample.path.unlink()
