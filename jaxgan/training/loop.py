"""The training loop, the one impure loop: it writes down what the stretches of training give."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL.Image import Image

from jaxgan import rundir
from jaxgan.core.gan import GANState, steps_done
from jaxgan.data import unscale
from jaxgan.devices import mesh as parallel
from jaxgan.recipes import ImageRecipe, Recipe
from jaxgan.report import pictures
from jaxgan.report.page import write_report
from jaxgan.rundir import log
from jaxgan.rundir.checkpoints import Checkpoints
from jaxgan.rundir.directory import BEST
from jaxgan.rundir.sweep import Members
from jaxgan.training.chunks import train_in_stretches
from jaxgan.training.experiment import Experiment, set_up
from jaxgan.training.monitor import Judge
from jaxgan.training.progress import Progress
from jaxgan.training.signals import Interruption
from jaxgan.util.errors import UserError

logger = logging.getLogger(__name__)

MOST_ROWS = 64  # members in a picture


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
    members: Members | None = None,
    resume: bool = False,
    overwrite: bool = False,
    data_dir: str | None = None,
    devices: int | None = 1,
) -> GANState:
    """Trains a recipe's GAN, or many, and writes the run directory (see `jaxgan.rundir`).

    Where `jax.distributed` joined several processes, all of them call this together: each trains
    on its share of every batch, and the first one writes down what happens.

    Args:
        recipe: the recipe.
        run: path of the run directory, which all processes see.
        seed: of everything random: first parameters, order of the data, latents, dropout.
        members: of a population; None for one GAN.
        resume: go on with the run that is there from its newest sound checkpoint, bit for bit as
            if it had never stopped.
        overwrite: delete a run that is there and start anew.
        data_dir: where TFDS keeps data sets; None for its own default.
        devices: how many of each process to spread every batch, or the members, over; None for
            all. The numbers depend on it by no more than rounding.

    Returns:
        The trained state; of a population stacked, leaves `[M, ...]`.

    Raises:
        UserError: if something that was asked for cannot be done; then nothing was written.
        Interrupted: after SIGINT or SIGTERM; then all is saved.
        Diverged: when a metric becomes NaN or infinite; then the last checkpoint before stays.
            (In a population the other members go on.)
    """
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other: give one of them")

    def check() -> None:
        if resume:
            rundir.check_same(run, recipe, seed, members)
        else:
            rundir.check_free(run, overwrite=overwrite)

    with parallel.unanimous():
        if parallel.leads():
            check()
    experiment = set_up(recipe, seed, members=members, data_dir=data_dir, devices=devices)
    total = experiment.total
    config = rundir.describe(
        recipe, seed, total, experiment.shape, experiment.mesh, experiment.members
    )
    like = experiment.state_like()
    with parallel.unanimous():
        judge = Judge(experiment, run, data_dir) if recipe.eval_every else None

    with ExitStack() as until_done:
        with parallel.unanimous():
            if parallel.leads():
                until_done.enter_context(rundir.locked(run))
                check()  # again, now that no other process can change what is there
        with (
            Checkpoints(run / "checkpoints", like, experiment.sharding) as checkpoints,
            Checkpoints(run / BEST, like, experiment.sharding, keep=1) as best,
        ):
            state = _resume(run, experiment, checkpoints, best) if resume else None
            if state is None:
                state = experiment.draw_first()
            if parallel.leads():
                rundir.write_config(run, config) if resume else rundir.create(run, config)
            state = _loop(experiment, state, run, checkpoints, best, judge)

        with Checkpoints(run / "checkpoints", like, experiment.sharding) as checkpoints:
            state = checkpoints.restore(total)
        if parallel.leads():
            if isinstance(recipe, ImageRecipe):
                images = _drawer(experiment, "final")(parallel.local(state))
                pictures.save_png(_grid(experiment, images), run / "final.png")
            write_report(run)
    return state


def _resume(
    run: Path, experiment: Experiment, checkpoints: Checkpoints, best: Checkpoints
) -> GANState | None:
    """Goes back to the newest sound checkpoint; None where a run ended before its first."""
    total = experiment.total
    state = checkpoints.restore() if checkpoints.steps() else None
    step = 0 if state is None else steps_done(state)
    if step > total:
        raise UserError(f"{run} is at step {step} already, beyond the {total} that were asked for")
    if state is not None:
        checkpoints.delete_after(step)
        best.delete_after(step)
    if parallel.leads():
        rundir.rewind(run, step, experiment.recipe, experiment.count)
    logger.info("resuming from step %d", step)
    return state


def _loop(
    experiment: Experiment,
    state: GANState,
    run: Path,
    checkpoints: Checkpoints,
    best: Checkpoints,
    judge: Judge | None,
) -> GANState:
    """Trains from the state's step to the last, and writes down what happens."""
    recipe, total, solo = experiment.recipe, experiment.total, experiment.members is None
    step = steps_done(state)
    if step == total:
        logger.info("%s has all of its %d steps already", run, total)
        return state
    draw = _drawer(experiment, "samples")
    all_finite = jax.jit(
        lambda state: jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(state)]).all()
    )

    def save_samples(state: GANState, step: int) -> None:
        if not parallel.leads():
            return
        samples = draw(parallel.local(state))
        if isinstance(recipe, ImageRecipe):
            pictures.save_png(_grid(experiment, samples), rundir.sample_path(run, step, "png"))
        else:
            np.save(rundir.sample_path(run, step, "npy"), samples)

    def save_state(state: GANState, step: int) -> None:
        if solo and not all_finite(parallel.local(state)):
            raise _diverged("a parameter", "NaN or infinite", step, run, checkpoints)
        checkpoints.save(state)

    with Interruption() as interruption, Progress(total, step) as progress:
        logger.info("compiling %s", recipe.name)
        if step == 0:
            save_samples(state, 0)
        stops = [recipe.sample_every, recipe.checkpoint_every]
        if recipe.eval_every is not None:
            stops.append(recipe.eval_every)
        for stretch in train_in_stretches(experiment, state, stops):
            state, step = stretch.state, stretch.step
            if parallel.leads():
                log.append(run / log.METRICS, stretch.records)
            for name, values in stretch.history.items() if solo else ():
                if not np.isfinite(values).all():
                    bad = int(np.isfinite(values).argmin())
                    at = step - len(values) + bad + 1
                    raise _diverged(name, values[bad], at, run, checkpoints)
            if step % recipe.sample_every == 0 or step == total:
                save_samples(state, step)
            if judge is not None and step % (recipe.eval_every or total) == 0:
                judge(state, step, best)
            if step % recipe.checkpoint_every == 0 or step == total:
                save_state(state, step)
            if parallel.leads():
                progress.update(step, stretch.last, stretch.examples_per_second)
            signal = parallel.highest(interruption.signal or 0)
            if signal and step < total:
                save_state(state, step)
                raise Interrupted(signal, step)
    return state


def _drawer(experiment: Experiment, name: str) -> Callable[[GANState], np.ndarray]:
    """Makes the function that draws a picture's samples, with latents from a key stream."""
    rows, columns = experiment.recipe.grid
    is_row = experiment.members is not None and isinstance(experiment.recipe, ImageRecipe)
    n = columns if is_row else rows * columns  # of each member
    draw = jax.jit(partial(experiment.draw, name=name, n=n))
    return lambda state: np.asarray(draw(state, experiment.key))


def _diverged(what: str, value: object, step: int, run: Path, checkpoints: Checkpoints) -> Diverged:
    saved = checkpoints.steps()
    good = f"the last good checkpoint is step {saved[-1]}" if saved else "no checkpoint was saved"
    return Diverged(
        f"{what} became {value} at step {step} of {run}; {good}: "
        "try a smaller learning rate or another seed"
    )


def _grid(experiment: Experiment, images: np.ndarray) -> Image:
    """The picture of a run's samples; of a population, with a row for each member."""
    recipe = experiment.recipe
    assert isinstance(recipe, ImageRecipe)
    rows, columns = recipe.grid
    if experiment.members is not None:
        images = images[:MOST_ROWS]
        rows, images = len(images), images.reshape(-1, *images.shape[2:])
    return pictures.grid(np.asarray(unscale(images, *recipe.value_range)), rows, columns)
