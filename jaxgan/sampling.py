"""Images from a finished run: everything that is needed lies in its directory."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxgan import pictures, population, rundir
from jaxgan.checkpoint import Checkpoints
from jaxgan.data import unscale
from jaxgan.errors import UserError
from jaxgan.gan import GAN, GANState, init, sample
from jaxgan.keys import from_seed, stream
from jaxgan.recipes import ImageRecipe, Recipe

MOST = 1_000_000  # images drawn at once


class Trained(NamedTuple):
    """A GAN as a run left it."""

    recipe: Recipe
    gan: GAN
    state: GANState


def load(
    run: Path, step: int | None = None, member: int | None = None, *, best: bool = False
) -> Trained:
    """Loads a run's GAN.

    Args:
        run: the run directory.
        step: of the checkpoint; None for the newest sound one.
        member: which GAN of a population, from 0; None if the run is of one GAN.
        best: whether to look among the best checkpoints (see `jaxgan.rundir`) instead.

    Returns:
        The recipe, the GAN and its state.

    Raises:
        UserError: if `run` is no run directory, or has no such checkpoint or member.
    """
    config = rundir.read_config(run)
    recipe = rundir.read_recipe(config)
    shape = tuple(config["shape"])
    example = {"image": jax.ShapeDtypeStruct((1, *shape), np.float32)}
    like = jax.eval_shape(partial(init, recipe.gan(shape), batch=example), jax.random.key(0))
    members = rundir.read_members(config)
    if members is None:
        if member is not None:
            raise UserError(f"{run} is of one GAN: leave out --member")
        with Checkpoints(run / (rundir.BEST if best else "checkpoints"), like) as checkpoints:
            return Trained(recipe, recipe.gan(shape), checkpoints.restore(step))
    if member is None or not 0 <= member < members.count:
        raise UserError(
            f"{run} is of {members.count} GANs: choose --member 0 to {members.count - 1}"
        )
    recipe = replace(recipe, **members.setting_of(member))
    stacked = jax.tree.map(lambda x: jax.ShapeDtypeStruct((members.count, *x.shape), x.dtype), like)
    with Checkpoints(run / (rundir.BEST if best else "checkpoints"), stacked) as checkpoints:
        states = checkpoints.restore(step)
    return Trained(recipe, recipe.gan(shape), population.member(states, member))


def draw(trained: Trained, num: int, seed: int) -> np.ndarray:
    """Draws images from a run's GAN.

    Args:
        trained: what `load` loaded.
        num: how many, 1 to `MOST`.
        seed: of the latents; the first images are the same whatever `num` is.

    Returns:
        Images, uint8 `[num, H, W, C]`, or vectors, float32 `[num, D]`.

    Raises:
        UserError: if `num` or `seed` is out of range.
    """
    if not 1 <= num <= MOST:
        raise UserError(f"num must be from 1 to {MOST}, not {num}")
    key = stream(from_seed(seed), "sample")
    samples = jax.jit(partial(sample, trained.gan, n=num))(trained.state, key)
    if isinstance(trained.recipe, ImageRecipe):
        samples = unscale(samples, *trained.recipe.value_range)
    return np.asarray(samples)


def save(samples: np.ndarray, out: Path) -> None:
    """Writes samples in the format that a path's ending names.

    Args:
        samples: what `draw` drew.
        out: a .png (one picture, a grid as square as can be), a .npz (the array `samples`), or a
            folder, for a PNG per image.

    Raises:
        UserError: if the samples do not suit the format, or the format is none of these.
    """
    if out.suffix not in (".png", ".npz", ""):
        raise UserError(f"cannot write {out}: give a .png, a .npz or a folder")
    if samples.ndim == 2 and out.suffix != ".npz":
        raise UserError(f"these samples are vectors, no images: give a .npz instead of {out}")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".npz":
        np.savez(out, samples=samples)
    elif out.suffix == ".png":
        columns = int(np.ceil(np.sqrt(len(samples))))
        rows = int(np.ceil(len(samples) / columns))
        pictures.save_png(pictures.grid(samples, rows, columns), out)
    else:
        out.mkdir(exist_ok=True)
        for index, image in enumerate(samples):
            pictures.save_png(pictures.picture(image), out / f"{index:05d}.png")
