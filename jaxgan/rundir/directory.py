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

import datetime
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from jax.sharding import Mesh

from jaxgan.devices import environment
from jaxgan.recipes import Recipe, find_recipe, recipes
from jaxgan.rundir import log
from jaxgan.rundir.sweep import Members, check_sweep
from jaxgan.types import DataSpec
from jaxgan.util.checking import unsound
from jaxgan.util.errors import UserError
from jaxgan.util.files import write_atomically

BEST = "best"  # the folder of the best checkpoint
LOCK = "lock"  # the file that `locked` locks
_LEFT = re.compile(rf"{LOCK}|\.config\.json\.\d+\.tmp")  # by a run that was killed as it began
_LENGTH = ("steps", "epochs")  # the hyper-parameters that a resumed run may change


class Sample(NamedTuple):
    """A stored sample, and the step it was taken at."""

    step: int
    path: Path


class Devices(NamedTuple):
    """What a run was made on."""

    per_process: int
    processes: int
    deterministic: bool


def describe(
    recipe: Recipe,
    seed: int,
    steps: int,
    spec: DataSpec,
    mesh: Mesh,
    members: Members | None = None,
) -> dict[str, Any]:
    """Puts together what config.json holds.

    Args:
        recipe: the recipe.
        seed: of the run.
        steps: length of the run.
        spec: what the examples look like.
        mesh: the devices that the run uses.
        members: of a population.

    Returns:
        A dictionary that JSON can hold.
    """
    return {
        "recipe": recipe.name,
        "description": (recipe.__doc__ or "").splitlines()[0],
        "hyperparameters": asdict(recipe),
        "seed": seed,
        **({} if members is None else {"members": asdict(members)}),
        "steps": steps,
        "shape": spec.shape,
        "classes": spec.classes,
        "versions": environment.versions(),
        "device": environment.devices(mesh),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


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


def write_config(run: Path, config: Mapping[str, Any]) -> None:
    """Writes config.json, whole or not at all."""
    write_atomically(run / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def read_config(run: Path) -> dict[str, Any]:
    """Reads config.json.

    Args:
        run: the run directory.

    Returns:
        What `describe` made.

    Raises:
        UserError: if `run` is no run directory, or the file is damaged.
    """
    path = run / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{run} is no run directory: it has no config.json") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if wrong := unsound(config):
        raise UserError(f"{path} is damaged, or not of a run: it has no sound {', '.join(wrong)}")
    kind = recipes().get(config["recipe"], Recipe)  # which may be one of another version
    try:
        kind.check_values(_as_tuples(config["hyperparameters"]))
        if (members := read_members(config)) is not None:
            check_sweep(members.sweep, kind)
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}") from None
    return config


def read_devices(config: Mapping[str, Any]) -> Devices:
    """Reads what a run was made on.

    Args:
        config: what `read_config` read.

    Returns:
        What is said there; one device where nothing is.
    """
    said = config.get("device") or {}
    processes = max(1, said.get("processes") or 1)
    count = max(1, (said.get("count") or 1) // processes)
    return Devices(count, processes, bool(said.get("deterministic")))


def read_members(config: Mapping[str, Any]) -> Members | None:
    """Reads what the members of a population differ in.

    Args:
        config: what `read_config` read.

    Returns:
        The members; None if the run is of one GAN.
    """
    said = config.get("members")
    if said is None:
        return None
    sweep = {name: tuple(map(float, values)) for name, values in said["sweep"].items()}
    return Members(**said | {"sweep": sweep})


def read_spec(config: Mapping[str, Any]) -> DataSpec:
    """Reads what the examples of a run look like.

    Args:
        config: what `read_config` read.
    """
    return DataSpec(tuple(config["shape"]), config.get("classes"))


def read_recipe(config: Mapping[str, Any]) -> Recipe:
    """Makes the recipe of a run again.

    Args:
        config: what `read_config` read.

    Returns:
        The recipe with the run's hyper-parameters.

    Raises:
        UserError: if there is no such recipe, or it has other hyper-parameters now.
    """
    try:
        return find_recipe(config["recipe"])(**_as_tuples(config["hyperparameters"]))
    except TypeError as error:
        raise UserError(
            f"this run was made by another version of {config['recipe']}: {error}"
        ) from None


def _as_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyper-parameters as a recipe has them: JSON knows only lists."""
    return {name: tuple(x) if isinstance(x, list) else x for name, x in values.items()}


def check_same(run: Path, recipe: Recipe, seed: int, members: Members | None = None) -> None:
    """Checks that a run can be resumed with a recipe: only its length may have changed.

    Args:
        run: the run directory.
        recipe: what it is to be resumed with.
        seed: what it is to be resumed with.
        members: what it is to be resumed with.

    Raises:
        UserError: if something else differs; it names what, with both values.
    """
    config = read_config(run)
    before = {"recipe": config["recipe"], "seed": config["seed"]}
    after = {"recipe": recipe.name, "seed": seed}
    for found, said in ((before, read_members(config)), (after, members)):
        if said is not None:
            found |= {"members": said.count, "sweep": dict(said.sweep)}
            if members is None or members.at_once is not None:  # else it is as it was
                found["at_once"] = said.at_once
    if before["recipe"] == after["recipe"]:
        before |= config["hyperparameters"]
        after |= json.loads(json.dumps(asdict(recipe)))  # as it was written: lists for tuples
    names = [name for name in before | after if name not in _LENGTH]
    differing = [
        f"{name} ({before.get(name)} there, {after.get(name)} here)"
        for name in names
        if before.get(name) != after.get(name)
    ]
    if differing:
        raise UserError(
            f"{run} is another run and cannot be resumed as this one: {', '.join(differing)}"
        )


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
