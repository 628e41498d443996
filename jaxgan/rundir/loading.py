"""Images from a finished run: everything that is needed lies in its directory."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import population
from jaxgan.core.dependence import dependence
from jaxgan.core.fingerprint import digest, hexadecimal
from jaxgan.core.gan import GAN, init, sample
from jaxgan.core.state import GANState
from jaxgan.data import unscale
from jaxgan.recipes import ImageRecipe, Recipe
from jaxgan.rundir.bundles import is_bundle, read_bundle
from jaxgan.rundir.checkpoints import Checkpoints
from jaxgan.rundir.config import read_config, read_recipe
from jaxgan.rundir.directory import BEST, CHECKPOINTS
from jaxgan.rundir.resuming import best_step
from jaxgan.types import DataSpec, PRNGKey, PyTree
from jaxgan.util.errors import UserError

MOST = 1_000_000  # images drawn at once
Domain = Literal["a", "b"]  # of pictures that are made from pictures; runs learn to make those of b
GIVEN: Mapping[Domain, str] = {"a": "image", "b": "source"}  # where G finds what it translates

_sample = jax.jit(sample, static_argnums=(0, 3))


class Trained(NamedTuple):
    """A GAN as a run left it."""

    recipe: Recipe
    spec: DataSpec
    gan: GAN
    state: GANState


def load(
    run: Path | str, step: int | None = None, member: int | None = None, *, best: bool = False
) -> Trained:
    """Loads a run's GAN.

    Args:
        run: the run directory, or a bundle (see `jaxgan.rundir.bundles`).
        step: of the checkpoint; None for the newest, or the best.
        member: which GAN of a population, from 0; None if the run is of one GAN.
        best: whether to look among the best checkpoints (see `jaxgan.rundir`) instead.

    Returns:
        The recipe, the GAN and its state.

    Raises:
        UserError: if `run` is not a run directory, or has no such checkpoint or member.
    """
    run = Path(run)
    members = read_config(run).members
    if members is None and member is not None:
        raise UserError(f"{run} is of one GAN: leave out --member")
    if members is not None and (member is None or not 0 <= member < members.count):
        raise UserError(
            f"{run} is of {members.count} GANs: choose --member 0 to {members.count - 1}"
        )
    return load_all(run, step, best=best)[member or 0]


def load_all(run: Path, step: int | None = None, *, best: bool = False) -> list[Trained]:
    """Loads every GAN of a run.

    Args:
        run: the run directory, or a bundle (see `jaxgan.rundir.bundles`).
        step: of the checkpoint; None for the newest, or the best.
        best: whether to look among the best checkpoints (see `jaxgan.rundir`) instead.

    Returns:
        The one GAN, or a population's members.

    Raises:
        UserError: if `run` is not a run directory, or has no such checkpoint.
    """
    config = read_config(run)
    recipe, spec = read_recipe(config), config.spec
    members = config.members
    gan = recipe.gan(spec)
    start = partial(init, gan, batch=_batch_like(recipe, spec), update=recipe.update(gan))
    if is_bundle(run):
        if best or step is not None:
            raise UserError(f"{run} has no checkpoints: leave out --step and --best")
        state = read_bundle(run, partial(start, jax.random.key(0)), config.steps or 0)
        return [Trained(recipe, spec, gan, state)]
    like = jax.eval_shape(start, jax.random.key(0))
    if members is not None:
        if best:
            raise UserError(
                f"{run} is of {members.count} GANs, none of which is kept as the best: "
                "leave out --best"
            )
        count = members.count
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), like)
    with Checkpoints(run / (BEST if best else CHECKPOINTS), like) as checkpoints:
        if best and step is None:
            step = best_step(run, checkpoints)
            if step is None:
                raise UserError(f"{run} has no best checkpoint: train it with --eval-every")
        restored = checkpoints.restore(step)
    if members is None:
        return [Trained(recipe, spec, gan, restored)]
    states = jax.device_get(restored)
    own = [replace(recipe, **setting) for setting in members.settings]
    of_setting = [(each, spec, each.gan(spec)) for each in own]  # compiled once for each setting
    return [
        Trained(*of_setting[index // members.per_setting], population.member(states, index))
        for index in range(members.count)
    ]


def _batch_like(recipe: Recipe, spec: DataSpec) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of a batch."""
    count = recipe.examples_per_step
    name, shape = ("image", spec.shape) if spec.latent is None else ("latent", spec.latent)
    like = {
        entry.name: jax.ShapeDtypeStruct((count, *entry.shape), jnp.dtype(entry.dtype))
        for entry in spec.entries
    }
    like[name] = jax.ShapeDtypeStruct((count, *shape), np.float32)
    if spec.classes is not None:
        like["label"] = jax.ShapeDtypeStruct((count,), np.int32)
    if spec.source is not None:
        like["source"] = jax.ShapeDtypeStruct((count, *spec.source), np.float32)
    return like


def digest_of(trained: Trained) -> str:
    """Computes the digest of a GAN's state, by which evaluations name it."""
    return hexadecimal(np.asarray(digest(jax.device_put(trained.state))))


def draw(
    trained: Trained,
    num: int,
    key: PRNGKey,
    labels: Sequence[int] | None = None,
    data_dir: str | None = None,
) -> np.ndarray:
    """Draws images from a run's GAN.

    Args:
        trained: what `load` loaded.
        num: how many, 1 to `MOST`.
        key: of the latents; the first images are the same whatever `num` is.
        labels: the class of each image; None for what the recipe chooses.
        data_dir: TFDS's data directory; None for its default. For a G that sees pictures.

    Returns:
        Images, uint8 `[num, H, W, C]`, or other examples, float32 `[num, ...]`.

    Raises:
        UserError: if `num` or a label is out of range, or the GAN diverged.
    """
    check_num(num)
    conditions = dict(trained.recipe.conditions(num, trained.spec, data_dir))
    if labels is not None:
        conditions["label"] = _checked(labels, num, trained)
    return as_examples(trained, _sample(trained.gan, trained.state, key, num, conditions))


def as_examples(trained: Trained, made: PyTree) -> np.ndarray:
    """Converts what a run's GAN made to what its data set holds.

    Args:
        trained: what `load` loaded.
        made: what G made, `[N, ...]` or a tree of it, in the range of G's outputs.

    Returns:
        Images, uint8 `[N, H, W, C]`, or other examples, float32 `[N, ...]`.

    Raises:
        UserError: if the GAN diverged.
    """
    return as_data(trained, trained.recipe.example(made))


def as_data(trained: Trained, samples: jax.Array) -> np.ndarray:
    """Converts samples that the recipe's `example` picked to what the data set holds.

    Args:
        trained: what `load` loaded.
        samples: `[N, ...]` in the range of G's outputs.

    Returns:
        As `as_examples`.

    Raises:
        UserError: if the GAN diverged.
    """
    if not jnp.isfinite(samples).all():
        raise UserError("this GAN diverged: its samples are not finite; choose another --step")
    if isinstance(trained.recipe, ImageRecipe):
        samples = unscale(samples, *trained.recipe.value_range)
    return np.asarray(samples)


def check_num(num: int) -> None:
    """Checks how many images are to be drawn.

    Raises:
        UserError: if it is not from 1 to `MOST`.
    """
    if not 1 <= num <= MOST:
        raise UserError(f"num must be from 1 to {MOST}, not {num}")


def is_conditional(trained: Trained, data_dir: str | None = None) -> bool:
    """Tells whether a GAN's samples depend on labels: whether `GAN.inputs` uses the label.

    Args:
        trained: what `load` loaded.
        data_dir: as of `draw`.

    Returns:
        Whether they do.
    """
    batch = dict(trained.recipe.conditions(1, trained.spec, data_dir))
    if "label" not in batch:
        return False

    def inputs(label: jax.Array) -> PyTree:
        return trained.gan.inputs(jax.random.key(0), 1, {**batch, "label": label})

    return dependence(inputs, batch["label"])[0]


def check_way(trained: Trained, to: Domain) -> None:
    """Checks that a run's G makes pictures of a domain from pictures of the other.

    Raises:
        UserError: if it does not.
    """
    spec = trained.spec
    if spec.source is not None:
        shape = spec.source if to == "b" else spec.shape
        like = {GIVEN[to]: jax.ShapeDtypeStruct((1, *shape), jnp.float32)}
        with suppress(KeyError):
            jax.eval_shape(partial(trained.gan.inputs, jax.random.key(0), 1), like)
            return
    raise UserError(f"{trained.recipe.name} does not translate to {to}: leave out --to")


def _checked(labels: Sequence[int], num: int, trained: Trained) -> jax.Array:
    classes = trained.spec.classes
    if classes is None:
        raise UserError(f"the data of {trained.recipe.name} has no labels to choose from")
    if len(labels) != num:
        raise UserError(f"{len(labels)} labels do not fit {num} images: give one for each")
    for label in labels:
        if not 0 <= label < classes:
            raise UserError(f"labels must be from 0 to {classes - 1}, not {label}")
    return jnp.asarray(labels, jnp.int32)
