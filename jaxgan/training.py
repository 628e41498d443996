"""The training loop, the one impure loop: data, steps, logs, samples, checkpoints."""

import logging
import math
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL.Image import Image

from jaxgan import pictures, rundir
from jaxgan.checkpoint import Checkpoints
from jaxgan.data import Feed, unscale
from jaxgan.errors import UserError
from jaxgan.gan import GAN, GANState, init, sample
from jaxgan.interruption import Interruption
from jaxgan.keys import from_seed, stream
from jaxgan.progress import Progress
from jaxgan.recipes import ImageRecipe, Recipe
from jaxgan.report import write_report
from jaxgan.steps import make_step, run_steps
from jaxgan.types import PRNGKey, PyTree

logger = logging.getLogger(__name__)

STRETCH_SECONDS = 1.0  # of training between two looks at signals and the progress bar


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
) -> GANState:
    """Trains a recipe's GAN and writes the run directory (see `jaxgan.rundir`).

    Args:
        recipe: the recipe.
        run: path of the run directory.
        seed: of everything random: first parameters, order of the data, latents, dropout.
        resume: go on with the run that is there from its newest sound checkpoint, bit for bit as
            if it had never stopped.
        overwrite: delete a run that is there and start anew.
        data_dir: where TFDS keeps data sets; None for its own default.

    Returns:
        The trained state.

    Raises:
        UserError: if something that was asked for cannot be done; then nothing was written.
        Interrupted: after SIGINT or SIGTERM; then all is saved.
        Diverged: when a metric becomes NaN or infinite; then the last checkpoint before stays.
    """
    key = from_seed(seed)
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other: give one of them")
    if resume:
        rundir.check_same(run, recipe, seed)
    else:
        rundir.check_free(run, overwrite=overwrite)

    feed = recipe.feed(seed, data_dir)
    gan = recipe.gan(feed.shape)
    total = recipe.total_steps(feed.size)
    config = rundir.describe(recipe, seed, total, feed.shape)
    first = jax.jit(partial(init, gan, batch={"image": np.empty((1, *feed.shape), np.float32)}))
    like = jax.eval_shape(first, stream(key, "init"))

    with Checkpoints(run / "checkpoints", like) as checkpoints:
        state = None
        if resume:
            state = _resume(run, recipe, checkpoints, total)
            rundir.write_config(run, config)
        if state is None:
            state = first(stream(key, "init"))
        if not resume:
            rundir.create(run, config)
        state = _loop(recipe, gan, feed, state, key, total, run, checkpoints)

    with Checkpoints(run / "checkpoints", like) as checkpoints:
        state = checkpoints.restore(total)
    if isinstance(recipe, ImageRecipe):
        images = sample(gan, state, stream(key, "final"), math.prod(recipe.grid))
        pictures.save_png(_grid(recipe, np.asarray(images)), run / "final.png")
    write_report(run)
    return state


def _resume(run: Path, recipe: Recipe, checkpoints: Checkpoints, total: int) -> GANState | None:
    """Goes back to the newest sound checkpoint; None where a run ended before its first."""
    state = checkpoints.restore() if checkpoints.steps() else None
    step = 0 if state is None else int(state.step)
    if step > total:
        raise UserError(f"{run} is at step {step} already, beyond the {total} that were asked for")
    if state is not None:
        checkpoints.delete_after(step)
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
) -> GANState:
    """Trains from the state's step to the last, and writes down what happens."""
    step = int(state.step)
    if step == total:
        logger.info("%s has all of its %d steps already", run, total)
        return state

    def save_samples(state: GANState, step: int) -> None:
        samples = np.asarray(draw(state))
        if isinstance(recipe, ImageRecipe):
            pictures.save_png(_grid(recipe, samples), rundir.sample_path(run, step, "png"))
        else:
            np.save(rundir.sample_path(run, step, "npy"), samples)

    def save_state(state: GANState, step: int) -> None:
        if not all_finite(state):
            raise _diverged("a parameter", "NaN or infinite", step, run, checkpoints)
        checkpoints.save(state)

    with Interruption() as interruption, Progress(total, step) as progress:
        logger.info("compiling %s", recipe.name)
        advance = _compile_advance(recipe, gan, feed, state, key)
        draw = jax.jit(
            lambda state: sample(gan, state, stream(key, "samples"), math.prod(recipe.grid))
        )
        all_finite = jax.jit(
            lambda state: jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(state)]).all()
        )
        if step == 0:
            save_samples(state, 0)

        seconds_per_step = STRETCH_SECONDS  # not known yet: begin with a single step
        while step < total:
            ends = [step - step % n + n for n in (recipe.sample_every, recipe.checkpoint_every)]
            count = max(1, int(STRETCH_SECONDS / seconds_per_step))
            count = min(count, feed.stretch, min(total, *ends) - step)

            rows = _padded(feed, step, step + count)
            began = time.perf_counter()
            state, history = advance(state, feed.arrays, rows, key, count)
            history = {name: np.asarray(values)[:count] for name, values in history.items()}
            seconds_per_step = (time.perf_counter() - began) / count
            rate = recipe.examples_per_step / seconds_per_step

            _log(recipe, run, history, step, total, rate)
            for name, values in history.items():
                if not np.isfinite(values).all():
                    bad = int(np.isfinite(values).argmin())
                    raise _diverged(name, values[bad], step + bad + 1, run, checkpoints)
            step += count
            if step % recipe.sample_every == 0 or step == total:
                save_samples(state, step)
            if step % recipe.checkpoint_every == 0 or step == total:
                save_state(state, step)
            progress.update(step, {name: float(v[-1]) for name, v in history.items()}, rate)
            if interruption.signal is not None and step < total:
                save_state(state, step)
                raise Interrupted(interruption.signal, step)
    return state


def _compile_advance(recipe: Recipe, gan: GAN, feed: Feed, state: GANState, key: PRNGKey):
    """Compiles `(state, arrays, rows, key, count) -> (state, metrics [T])`, for any count."""
    step = make_step(recipe.update(gan))

    def advance(state, arrays, rows, key, count):
        def step_on_row(state, row, key):
            data_key = stream(jax.random.fold_in(key, state.step), "data")
            return step(state, feed.batch(arrays, row, data_key), key)

        return run_steps(step_on_row, state, rows, key, count)

    # Ahead of time, so that the first rate measured is not that of the compiler.
    rows = _padded(feed, int(state.step), int(state.step) + 1)
    return jax.jit(advance, donate_argnums=0).lower(state, feed.arrays, rows, key, 1).compile()


def _padded(feed: Feed, start: int, stop: int) -> PyTree:
    """The rows of some steps, padded to `feed.stretch`, so that one compilation serves them all."""
    missing = feed.stretch - (stop - start)
    return jax.tree.map(
        lambda rows: np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1)),
        feed.rows(start, stop),
    )


def _log(
    recipe: Recipe,
    run: Path,
    history: Mapping[str, np.ndarray],
    start: int,
    total: int,
    rate: float,
) -> None:
    """Writes the metrics of the steps from `start` that are log points, up to one that diverged."""
    lines = []
    for index, values in enumerate(zip(*history.values(), strict=True)):
        step = start + index + 1
        if not np.isfinite(values).all():
            break
        if step % recipe.log_every == 0 or step == total:
            metrics = dict(zip(history, map(float, values), strict=True))
            lines.append({"step": step, **metrics, "images_per_second": round(rate, 1)})
    rundir.append_metrics(run, lines)


def _diverged(what: str, value: object, step: int, run: Path, checkpoints: Checkpoints) -> Diverged:
    saved = checkpoints.steps()
    good = f"the last good checkpoint is step {saved[-1]}" if saved else "no checkpoint was saved"
    return Diverged(
        f"{what} became {value} at step {step} of {run}; {good}: "
        "try a smaller learning rate or another seed"
    )


def _grid(recipe: ImageRecipe, images: np.ndarray) -> Image:
    return pictures.grid(np.asarray(unscale(images, *recipe.value_range)), *recipe.grid)
