"""config.json: what a run was made with, and what it takes to make its recipe again."""

import datetime
import shlex
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
from jax.sharding import Mesh

from jaxgan.devices import environment
from jaxgan.recipes import ImageRecipe, Recipe, find_recipe, recipes, source_of
from jaxgan.rundir.schema import BatchEntry, Config, Device
from jaxgan.rundir.sweep import Members, check_sweep
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError
from jaxgan.util.files import read_bytes, write_atomically
from jaxgan.util.parsing import decode, shown

_EARLIER = {"fid": "fd", "kid": "kd"}  # names of metrics, as runs of earlier versions have them
_LENGTH = ("steps", "epochs")  # the hyperparameters that a resumed run may change


def describe(
    recipe: Recipe,
    seed: int,
    steps: int,
    spec: DataSpec,
    mesh: Mesh,
    members: Members | None = None,
    examples: int | None = None,
) -> Config:
    """Puts together what config.json holds.

    Args:
        recipe: the recipe.
        seed: the seed of the run.
        steps: the length of the run.
        spec: what the examples look like.
        mesh: the devices that the run uses.
        members: the members of a population.
        examples: how many the data set has; None if they are drawn, or unknown.

    Returns:
        The config.
    """
    return Config(
        recipe=recipe.name,
        source=source_of(type(recipe)),
        description=recipe.summary(),
        hyperparameters=asdict(recipe),
        seed=seed,
        members=members,
        steps=steps,
        shape=spec.shape,
        classes=spec.classes,
        source_shape=spec.source,
        latent_shape=spec.latent,
        autoencoder=spec.autoencoder,
        entries={x.name: BatchEntry(x.shape, x.dtype) for x in spec.entries},
        examples=examples,
        versions=environment.versions(),
        device=Device(**environment.devices(mesh)),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def write_config(run: Path, config: Config) -> None:
    """Writes config.json, whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(config), indent=2)
    write_atomically(run / "config.json", text + b"\n")


def renew_config(run: Path, config: Config, kept: Iterable[str]) -> None:
    """Writes config.json of a run that goes on.

    Args:
        run: the run directory.
        config: what the run is now.
        kept: names of what stays as it was.
    """
    before = parse_config(run)
    write_config(run, msgspec.structs.replace(config, **{x: getattr(before, x) for x in kept}))


def parse_config(run: Path) -> Config:
    """Reads config.json without a look at the recipe, which may not be known here.

    Args:
        run: the run directory.

    Returns:
        What `describe` made.

    Raises:
        UserError: if `run` is not a run directory, or the file is damaged.
    """
    path = run / "config.json"
    try:
        data = read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        if not run.exists():
            raise UserError(f"there is no run directory {run}") from None
        raise UserError(f"{run} is not a run directory: it has no config.json") from None
    try:
        return decode(data, Config)
    except UserError as error:
        raise UserError(f"{path} is damaged, or not of a run: {error}") from None


def read_config(run: Path) -> Config:
    """Reads config.json, and checks it against the recipe.

    Args:
        run: the run directory.

    Returns:
        What `describe` made; `read_recipe` makes its recipe.

    Raises:
        UserError: if `run` is not a run directory or was made by an older version, its recipe is
            not known, or the file is damaged.
    """
    config, path = parse_config(run), run / "config.json"
    if config.source is None:
        version = config.versions.get("jaxgan", "an unknown version")
        raise UserError(
            f"{run} was made by jaxgan {version}, whose checkpoints this version cannot read: "
            "install that version to go on with it, or train anew with another --out"
        )
    if config.recipe not in recipes() and not config.source.startswith("jaxgan."):
        file = "FILE" if config.source == "__main__" else shlex.quote(config.source)
        raise UserError(
            f"{run} was made by the recipe {shown(config.recipe)} of {config.source}: "
            f"add --import {file}, or from Python import it first"
        )
    try:
        _check(config)
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}") from None
    return config


def read_recipe(config: Config) -> Recipe:
    """Makes the recipe of a run again.

    Args:
        config: what `read_config` read.

    Returns:
        The recipe, with the run's hyperparameters.

    Raises:
        UserError: if there is no such recipe, or it has other hyperparameters now.
    """
    kind = find_recipe(config.recipe)
    given: dict[str, Any] = dict(config.hyperparameters)
    best_by = given.get("best_by")
    if isinstance(best_by, str):  # what else the file may hold is refused below
        given["best_by"] = _EARLIER.get(best_by, best_by)
    values = kind.check_values(given)
    try:
        return kind(**given | values)
    except TypeError as error:  # of a missing or an unknown hyperparameter
        raise UserError(
            f"this run was made by another version of {config.recipe}: {error}"
        ) from None


def _check(config: Config) -> None:
    """Checks a config against its recipe: values, sweeps, and the shape of examples."""
    recipe = read_recipe(config)
    if config.members is not None:
        check_sweep(config.members.sweep, type(recipe))
        for setting in config.members.settings:
            replace(recipe, **setting)
    if isinstance(recipe, ImageRecipe) and len(config.shape) != 3:
        raise UserError(f"{recipe.name} learns images, not examples of shape {config.shape}")
    recipe.gan(config.spec)


def check_data(run: Path, spec: DataSpec, examples: int | None = None) -> None:
    """Checks that the data is still what a run was trained on.

    Args:
        run: the run directory.
        spec: what the examples look like now.
        examples: how many there are now; None of a data set that is drawn.

    Raises:
        UserError: if their shape, their number or the number of classes differs.
    """
    config = read_config(run)
    if spec != config.spec:
        raise UserError(
            f"{run} was trained on {_in_words(config.spec)}, but its data now has "
            f"{_in_words(spec)}: restore the data, or config.json if that was edited"
        )
    if config.examples is not None and examples != config.examples:
        raise UserError(
            f"{run} was trained on {config.examples:,} examples, but its data now has "
            f"{examples}: restore the data, or begin another run"
        )


def _in_words(spec: DataSpec) -> str:
    words = f"examples of shape {spec.shape} in {spec.classes or 'no'} classes"
    if spec.entries:
        words += f", with {', '.join(f'{x.name} {x.dtype}{list(x.shape)}' for x in spec.entries)}"
    if spec.latent is not None:
        return f"{words}, as latents of shape {spec.latent} of {spec.autoencoder}"
    return words if spec.source is None else f"{words}, made from others of shape {spec.source}"


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
    before = {"recipe": config.recipe, "seed": config.seed}
    after = {"recipe": recipe.name, "seed": seed}
    for found, said in ((before, config.members), (after, members)):
        if said is not None:
            found |= {"members": said.count, "sweep": dict(said.sweep)}
            if members is None or members.at_once is not None:  # else it stays as it was
                found["at_once"] = said.at_once
    if before["recipe"] == after["recipe"]:
        before |= asdict(read_recipe(config))
        after |= asdict(recipe)
    differing = [
        f"{name} ({shown(before.get(name))} there, {shown(after.get(name))} here)"
        for name in before | after
        if name not in _LENGTH and before.get(name) != after.get(name)
    ]
    if differing:
        raise UserError(
            f"{run} is another run and cannot be resumed as this one: {', '.join(differing)}"
        )
