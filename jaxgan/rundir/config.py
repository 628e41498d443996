"""config.json: what a run was made with.

The recipe and every hyper-parameter, the seed, the length, versions and devices.
"""

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from jax.sharding import Mesh

from jaxgan.devices import environment
from jaxgan.recipes import Recipe, find_recipe, recipes
from jaxgan.rundir.sweep import Members, check_sweep
from jaxgan.types import DataSpec
from jaxgan.util.checking import unsound
from jaxgan.util.errors import UserError
from jaxgan.util.files import write_atomically

_LENGTH = ("steps", "epochs")  # the hyper-parameters that a resumed run may change


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
