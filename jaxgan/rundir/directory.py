"""The run directory: the files of a run, and who may write them.

config.json        the recipe, every hyperparameter, seed, length, versions and device
metrics.jsonl      a line per log point
evaluations.jsonl  a line per evaluation, if there are any
evaluation.json    finished evaluations (see `jaxgan.rundir.evaluated`), if there are any
samples/           a picture (or an array, for vectors) of fixed latents per sample point
checkpoints/       states (see `jaxgan.rundir.checkpoints`)
best/              the best of the evaluated states, and that until each checkpoint
lock               held by the process that trains
final.png, losses.png, progress.gif (or points.png, pattern.png, series.png), report.html
tensorboard/       events, if they were asked for (see `jaxgan.training.tensorboard`)
nearest.png, nearest.html    samples beside training pictures (`jaxgan evaluate --held-out`)
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from jaxgan.rundir.checkpoints import PARTIAL
from jaxgan.rundir.config import parse_config, write_config
from jaxgan.rundir.evaluated import EVALUATED
from jaxgan.rundir.log import EVALUATIONS, METRICS
from jaxgan.rundir.schema import Config
from jaxgan.util.errors import UserError
from jaxgan.util.files import make_folder, naming, read_bytes, unfinished, write_atomically

BEST = "best"  #: the folder of the best checkpoint
CHECKPOINTS = "checkpoints"  #: the folder of all others
WEIGHTS = "weights.safetensors"  #: the file of a bundle (see `jaxgan.rundir.bundles`)
LOCK = "lock"  # the file that `locked` locks
# What no command can make again.
_RECORDS = {"config.json", METRICS, EVALUATIONS, EVALUATED, BEST, CHECKPOINTS, WEIGHTS, "samples"}
# What training, reports and the other commands write where no --out is given.
_WRITTEN = re.compile(
    r"config\.json|lock|metrics\.jsonl|evaluations\.jsonl|\.?evaluation(\.\d+)?\.json(\.lock)?"
    r"|samples|checkpoints|best|tensorboard|explorer(\.html)?|nearest\.(png|html)|report\.html"
    r"|(final|losses|points|pattern|series)\.png|progress\.gif|summary\.(txt|json)"
    r"|(sample|interpolation|directions|restored|translated|dataset)_.*step\d+.*|\..+\.(tmp|partial)"
)


class Sample(NamedTuple):
    """A stored sample, and the step it was taken at."""

    step: int
    path: Path


def check_unkept(out: Path) -> None:
    """Checks that writing a file or a folder loses nothing of a run.

    Args:
        out: its path.

    Raises:
        UserError: if it belongs to the record of a run, which no command can make again.
    """
    with naming(out):
        path = out.resolve()
        for folder in path.parents:
            if path.relative_to(folder).parts[0] in _RECORDS and _is_run(folder):
                raise UserError(f"{out} belongs to the record of a run: choose another --out")


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run, or a bundle of one."""
    logged = any((folder / name).exists() for name in (METRICS, WEIGHTS))
    return logged and (folder / "config.json").exists()


def check_free(run: Path, *, overwrite: bool) -> None:
    """Checks that a new run may be made somewhere.

    Args:
        run: path of its directory.
        overwrite: whether a run that is there already may be deleted.

    Raises:
        UserError: if something is there that may not be deleted.
    """
    with naming(run):
        check_unkept(run)
        if (run / "config.json").exists():
            if not overwrite:
                raise UserError(
                    f"{run} holds a run already: go on with --resume, choose another --out, or "
                    "replace it with --overwrite"
                )
            parse_config(run)  # many a directory that is no run has a file of this name
            seen = sorted(path.name for path in run.iterdir() if not path.name.startswith("."))
            if others := [name for name in seen if not _WRITTEN.fullmatch(name)]:
                raise UserError(
                    f"{run} holds {', '.join(others[:3])} besides the run: move that elsewhere, or "
                    "choose another --out"
                )
        elif run.exists() and not (run.is_dir() and all(map(_is_left, run.iterdir()))):
            raise UserError(f"{run} exists and is not a run directory: choose another --out")


def check_place(run: Path) -> None:
    """Checks that checkpoints can be written at a path.

    Raises:
        UserError: if they cannot.
    """
    if "[" in str(run.absolute()):  # which Orbax takes for a pattern as it merges what it wrote
        raise UserError(
            f"{run.absolute()} has a [ in it, where no checkpoint can be written: choose another "
            "--out, or another directory to run this in"
        )


def _is_left(path: Path) -> bool:
    """Whether a file is what remains of a run that came to nothing."""
    if path.name in (CHECKPOINTS, BEST) and path.is_dir():
        return all(each.name.endswith(PARTIAL) for each in path.iterdir())
    return path.name == LOCK or unfinished(path) == "config.json"


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keeps other processes from training in a run directory, within a `with` block.

    The system lifts the lock when the process ends, however it ends.

    Args:
        run: path of the directory, which is made if need be.

    Raises:
        UserError: if another process trains in it.
    """
    make_folder(run)
    lock = FileLock(run / LOCK, blocking=False)
    with naming(run / LOCK, missing=True):
        try:
            lock.acquire()
        except Timeout:
            told = f"another process trains in {run}: wait for it, or choose another --out"
            raise UserError(told) from None
        except NotImplementedError:
            told = f"{run} is on a file system without locks: choose an --out on another"
            raise UserError(told) from None
    try:
        yield
    finally:
        lock.release()


def create(run: Path, config: Config) -> None:
    """Makes the directory of a new run, in place of one that is there (see `check_free`).

    Of the old one, what a run or a command wrote is deleted; hidden files of others stay.

    Args:
        run: its path.
        config: what `describe` made.
    """
    make_folder(run)
    with naming(run, missing=True):
        for path in run.iterdir():  # not `run`, which may be a link or the working directory
            if path.name not in (LOCK, "config.json") and _WRITTEN.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    write_config(run, config)  # until then it is the old run, or none, if it should be killed here
    make_folder(run / "samples")


def sample_path(run: Path, step: int, suffix: str) -> Path:
    """Names the file of the samples taken at a step."""
    return run / "samples" / f"step_{step:09d}.{suffix}"


def find_samples(run: Path, suffix: str) -> list[Sample]:
    """Lists the stored samples of one kind, in the order of steps.

    Raises:
        UserError: if their folder cannot be read.
    """
    folder = run / "samples"
    with naming(folder):
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return []
    found = ((re.fullmatch(rf"step_(\d+)\.{suffix}", name), name) for name in names)
    return sorted(Sample(int(match[1]), folder / name) for match, name in found if match)


def write_vectors(path: Path, vectors: np.ndarray) -> None:
    """Writes samples that are no images, float32 `[N, ...]`; `[M, N, ...]` of a population."""
    data = BytesIO()
    np.save(data, vectors)
    write_atomically(path, data.getvalue())


def read_vectors(path: Path) -> np.ndarray:
    """Reads what `write_vectors` wrote.

    Raises:
        UserError: if the file is damaged or cannot be read.
    """
    with naming(path, missing=True):
        data = read_bytes(path)
    try:
        vectors = np.load(BytesIO(data), allow_pickle=False)
        if vectors.ndim < 2 or not vectors.size or vectors.dtype.kind != "f":
            raise ValueError(f"it holds {vectors.dtype} of the shape {vectors.shape}")
    except (ValueError, EOFError, AttributeError, SyntaxError) as error:  # as NumPy tells damage
        raise UserError(f"{path} is damaged: {str(error)[:100]}") from None
    return vectors
