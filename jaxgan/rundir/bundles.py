"""Bundles: the weights of a run's GAN without its history, to keep or to give away.

config.json          as of a run of one GAN; `steps` is how long these weights were trained
weights.safetensors  of G, or of its moving average if there is one, and of D
README.md            the card: where they come from

A bundle loads as a run does. It has no optimizers, so a run cannot be resumed from it; new training
can start from its weights.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from msgspec import structs

from jaxgan.core.state import GANState
from jaxgan.interop import from_arrays, load_safetensors, save_safetensors, to_arrays
from jaxgan.recipes import Recipe
from jaxgan.rundir.config import write_config
from jaxgan.rundir.directory import CHECKPOINTS, WEIGHTS
from jaxgan.rundir.schema import Config
from jaxgan.util.errors import UserError
from jaxgan.util.files import make_folder, naming, read_bytes

_AVERAGE, _GENERATOR = "average/", "generator/"


def is_bundle(folder: Path) -> bool:
    """Tells a bundle from a run directory."""
    return (folder / WEIGHTS).exists() and not (folder / CHECKPOINTS).exists()


def refuse_bundle(run: Path) -> None:
    """Checks that a folder has the history of a run.

    Raises:
        UserError: if it is a bundle.
    """
    if is_bundle(run):
        raise UserError(
            f"{run} holds weights alone: name the run directory that they were exported from"
        )


def write_bundle(
    folder: Path,
    config: Config,
    recipe: Recipe,
    state: GANState,
    *,
    seed: int,
    half: bool = False,
) -> str:
    """Writes a bundle, but for its card.

    Args:
        folder: made if it is missing; files of an earlier bundle are replaced.
        config: of the run.
        recipe: of the GAN: that of the run, or of a population's member.
        state: of the GAN.
        seed: the GAN was trained with.
        half: whether to store numbers as float16, at half the size.

    Returns:
        The SHA-256 of the file of weights, in hexadecimal digits.

    Raises:
        UserError: if a weight is too large for float16, or a file cannot be written.
    """
    arrays = to_arrays(state)
    if any(name.startswith(_AVERAGE) for name in arrays):
        arrays = {name: x for name, x in arrays.items() if not name.startswith(_GENERATOR)}
    arrays = {name.replace(_AVERAGE, _GENERATOR, 1): x for name, x in arrays.items()}
    if half:
        floats = {name: x for name, x in arrays.items() if jnp.issubdtype(x.dtype, jnp.floating)}
        largest = max((np.abs(x).max(initial=0) for x in floats.values()), default=0)
        if not largest <= np.finfo(np.float16).max:
            raise UserError(f"a weight of {largest:.3g} is too large for float16: leave out --half")
        arrays |= {name: np.asarray(x, np.float16) for name, x in floats.items()}
    config = structs.replace(
        config,
        source=config.source and Path(config.source).name,  # without the path on this machine
        hyperparameters=asdict(recipe),
        seed=seed,
        members=None,
        steps=max(1, int(state.step)),
    )
    make_folder(folder)
    written = folder / f".{WEIGHTS}"
    with naming(folder / WEIGHTS):
        try:
            save_safetensors(written, arrays)
            (folder / WEIGHTS).unlink(missing_ok=True)  # the old ones would pass for new ones
            write_config(folder, config)
            written.replace(folder / WEIGHTS)  # last: with it, the folder is a bundle
        finally:
            written.unlink(missing_ok=True)
    return hashlib.sha256(read_bytes(folder / WEIGHTS)).hexdigest()


def read_bundle(folder: Path, start: Callable[[], GANState], steps: int) -> GANState:
    """Reads the GAN of a bundle.

    Args:
        folder: the bundle.
        start: makes a state of the GAN, whose weights are replaced.
        steps: how long the weights were trained.

    Returns:
        The state, in the types of the one that `start` made.

    Raises:
        UserError: if the file of weights is damaged, or of other networks.
    """
    path = folder / WEIGHTS
    arrays = load_safetensors(path)
    try:
        state = from_arrays(jax.jit(start)(), arrays)
    except UserError as error:
        raise UserError(f"{path} is damaged, or of other networks: {error}") from None
    return state.replace(step=jnp.asarray(steps, state.step.dtype))
