"""The training loop, the one impure loop: it writes down what the stretches of training give."""

import logging
import math
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from PIL.Image import Image

from jaxgan import parallel, pictures, rundir
from jaxgan.checkpoint import Checkpoints
from jaxgan.data import Feed, unscale
from jaxgan.errors import UserError
from jaxgan.gan import GAN, GANState, init, sample
from jaxgan.interruption import Interruption
from jaxgan.keys import from_seed, stream
from jaxgan.progress import Progress
from jaxgan.recipes import ImageRecipe, Recipe
from jaxgan.report import write_report
from jaxgan.stretches import train_in_stretches
from jaxgan.types import PRNGKey

logger = logging.getLogger(__name__)


class Interrupted(Exception):
    """A signal ended a run; what it had done is saved."""

    def __init__(self, signal: int, step: int):
        super().__init__(f"stopped by signal {signal} at step {step}")
        self.signal = signal
        self.step = step


class Diverged(Exception):
    """A loss became NaN or infinite."""


def train(
    recipe: Recipe,
    run: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    data_dir: str | None = None,
    devices: int | None = 1,
) -> GANState:
    """Trains a recipe's GAN and writes the run directory (see `jaxgan.rundir`).

    Where `jax.distributed` joined several processes, all of them call this together: each trains
    on its share of every batch, and the first one writes down what happens.

    Args:
        recipe: the recipe.
        run: path of the run directory, which all processes see.
        seed: of everything random: first parameters, order of the data, latents, dropout.
        resume: go on with the run that is there from its newest sound checkpoint, bit for bit as
            if it had never stopped.
        overwrite: delete a run that is there and start anew.
        data_dir: where TFDS keeps data sets; None for its own default.
        devices: how many of each process to spread every batch over; None for all. The numbers
            depend on it by no more than rounding.

    Returns:
        The trained state.

    Raises:
        UserError: if something that was asked for cannot be done; then nothing was written.
        Interrupted: after SIGINT or SIGTERM; then all is saved.
        Diverged: when a metric becomes NaN or infinite; then the last checkpoint before stays.
    """
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other: give one of them")
    key = from_seed(seed)

    def check() -> None:
        if resume:
            rundir.check_same(run, recipe, seed)
        else:
            rundir.check_free(run, overwrite=overwrite)

    with parallel.unanimous():
        if parallel.leads():
            check()
    mesh, feed = open_feed(recipe, seed, data_dir, devices)
    gan = recipe.gan(feed.shape)
    total = recipe.total_steps(feed.size)
    config = rundir.describe(recipe, seed, total, feed.shape, mesh)
    first = make_first(gan, feed, mesh)
    like = jax.eval_shape(first, stream(key, "init"))

    with ExitStack() as until_done:
        with parallel.unanimous():
            if parallel.leads():
                until_done.enter_context(rundir.locked(run))
                check()  # again, now that no other process can change what is there
        with Checkpoints(run / "checkpoints", like, parallel.same(mesh)) as checkpoints:
            state = _resume(run, recipe, checkpoints, total) if resume else None
            if state is None:
                state = first(stream(key, "init"))
            if parallel.leads():
                rundir.write_config(run, config) if resume else rundir.create(run, config)
            state = _loop(recipe, gan, feed, state, key, total, run, checkpoints, mesh)

        with Checkpoints(run / "checkpoints", like, parallel.same(mesh)) as checkpoints:
            state = checkpoints.restore(total)
        if parallel.leads():
            if isinstance(recipe, ImageRecipe):
                key = stream(key, "final")
                images = sample(gan, parallel.local(state), key, math.prod(recipe.grid))
                pictures.save_png(_grid(recipe, np.asarray(images)), run / "final.png")
            write_report(run)
    return state


def open_feed(
    recipe: Recipe, seed: int, data_dir: str | None, devices: int | None
) -> tuple[Mesh, Feed]:
    """Finds the devices and the real examples of a run.

    Args:
        recipe: the recipe.
        seed: of the run.
        data_dir: where TFDS keeps data sets; None for its own default.
        devices: how many of each process; None for all.

    Returns:
        The mesh of all devices, and the feed.

    Raises:
        UserError: if the one or the other is not to be had, or they do not fit each other.
    """
    with parallel.unanimous():
        mesh = parallel.make_mesh(devices)
        feed = recipe.feed(seed, data_dir) if parallel.leads() else None
    with parallel.unanimous():  # after the first process, so that only it prepares the data set
        feed = feed or recipe.feed(seed, data_dir)
        parallel.share(recipe.batch_size, mesh)  # so that parts and packs come out even too
    return mesh, feed


def make_first(gan: GAN, feed: Feed, mesh: Mesh):
    """Makes the jitted function that draws a run's first state, the same on all devices, of a key.

    Args:
        gan: the GAN.
        feed: of its real examples.
        mesh: the devices.
    """
    example = {"image": np.empty((1, *feed.shape), np.float32)}
    return jax.jit(partial(init, gan, batch=example), out_shardings=parallel.same(mesh))


def _resume(run: Path, recipe: Recipe, checkpoints: Checkpoints, total: int) -> GANState | None:
    """Goes back to the newest sound checkpoint; None where a run ended before its first."""
    state = checkpoints.restore() if checkpoints.steps() else None
    step = 0 if state is None else int(state.step)
    if step > total:
        raise UserError(f"{run} is at step {step} already, beyond the {total} that were asked for")
    if state is not None:
        checkpoints.delete_after(step)
    if parallel.leads():
        rundir.rewind(run, step, recipe)
    logger.info("resuming from step %d", step)
    return state


def _loop(
    recipe: Recipe,
    gan: GAN,
    feed: Feed,
    state: GANState,
    key: PRNGKey,
    total: int,
    run: Path,
    checkpoints: Checkpoints,
    mesh: Mesh,
) -> GANState:
    """Trains from the state's step to the last, and writes down what happens."""
    step = int(state.step)
    if step == total:
        logger.info("%s has all of its %d steps already", run, total)
        return state
    draw = jax.jit(lambda state: sample(gan, state, stream(key, "samples"), math.prod(recipe.grid)))
    all_finite = jax.jit(
        lambda state: jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(state)]).all()
    )

    def save_samples(state: GANState, step: int) -> None:
        if not parallel.leads():
            return
        samples = np.asarray(draw(parallel.local(state)))
        if isinstance(recipe, ImageRecipe):
            pictures.save_png(_grid(recipe, samples), rundir.sample_path(run, step, "png"))
        else:
            np.save(rundir.sample_path(run, step, "npy"), samples)

    def save_state(state: GANState, step: int) -> None:
        if not all_finite(parallel.local(state)):
            raise _diverged("a parameter", "NaN or infinite", step, run, checkpoints)
        checkpoints.save(state)

    with Interruption() as interruption, Progress(total, step) as progress:
        logger.info("compiling %s", recipe.name)
        if step == 0:
            save_samples(state, 0)
        stops = (recipe.sample_every, recipe.checkpoint_every)
        for stretch in train_in_stretches(recipe, gan, feed, state, key, total, mesh, stops):
            state, step = stretch.state, stretch.step
            if parallel.leads():
                rundir.append_metrics(run, stretch.records)
            for name, values in stretch.history.items():
                if not np.isfinite(values).all():
                    bad = int(np.isfinite(values).argmin())
                    at = step - len(values) + bad + 1
                    raise _diverged(name, values[bad], at, run, checkpoints)
            if step % recipe.sample_every == 0 or step == total:
                save_samples(state, step)
            if step % recipe.checkpoint_every == 0 or step == total:
                save_state(state, step)
            if parallel.leads():
                losses = {name: float(values[-1]) for name, values in stretch.history.items()}
                progress.update(step, losses, stretch.examples_per_second)
            signal = parallel.highest(interruption.signal or 0)
            if signal and step < total:
                save_state(state, step)
                raise Interrupted(signal, step)
    return state


def _diverged(what: str, value: object, step: int, run: Path, checkpoints: Checkpoints) -> Diverged:
    saved = checkpoints.steps()
    good = f"the last good checkpoint is step {saved[-1]}" if saved else "no checkpoint was saved"
    return Diverged(
        f"{what} became {value} at step {step} of {run}; {good}: "
        "try a smaller learning rate or another seed"
    )


def _grid(recipe: ImageRecipe, images: np.ndarray) -> Image:
    return pictures.grid(np.asarray(unscale(images, *recipe.value_range)), *recipe.grid)
