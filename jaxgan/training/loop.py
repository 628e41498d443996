"""Trains a run: opens it, trains in chunks, and shows each chunk to the observers."""

import logging
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path

from jaxgan import rundir
from jaxgan.core.state import GANState, steps_done
from jaxgan.devices.mesh import fail_together, is_main_process, max_over_processes
from jaxgan.recipes import Recipe
from jaxgan.rundir import BEST, CHECKPOINTS, Checkpoints, Members
from jaxgan.training.chunks import Chunk, compile_steps, run_chunks
from jaxgan.training.experiment import Experiment, set_up
from jaxgan.training.monitor import Evaluation
from jaxgan.training.observers import (
    Diverged,
    InPlace,
    MetricsLog,
    Observer,
    ProgressBar,
    Report,
    Sampling,
    Saving,
)
from jaxgan.training.signals import Interruption
from jaxgan.util.errors import FileError, UserError

__all__ = ["Diverged", "Interrupted", "train"]

logger = logging.getLogger(__name__)


class Interrupted(Exception):
    """A signal ended a run; what it had done is saved."""

    def __init__(self, signal: int, step: int):
        super().__init__(f"stopped by signal {signal} at step {step}")
        self.signal = signal
        self.step = step


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
    observers: Sequence[Observer] = (),
) -> GANState:
    """Trains a recipe's GAN, or many, and writes the run directory (see `jaxgan.rundir`).

    Where `jax.distributed` joined several processes, all of them call this together: each trains
    on its share of every batch, and the main process writes what happens.

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
        observers: what sees every chunk besides the standard observers (see
            `jaxgan.training.observers`).

    Returns:
        The trained state; of a population stacked, leaves `[M, ...]`.

    Raises:
        UserError: if something that was asked for cannot be done; then nothing was written. Or if
            something cannot be written later; then what was saved before stays.
        Interrupted: after SIGINT or SIGTERM; then all is saved.
        Diverged: when a metric becomes NaN or infinite; then the last checkpoint before stays.
            (In a population the other members go on.)
    """
    seed = operator.index(seed)  # of NumPy too: config.json holds Python's
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other: give one of them")
    if resume and rundir.is_bundle(run):
        raise UserError(f"{run} holds weights alone, which cannot be resumed: choose another --out")
    rundir.check_place(run)
    if resume:
        check = partial(rundir.check_same, run, recipe, seed, members)
    else:
        _check_evaluations(recipe)
        check = partial(rundir.check_free, run, overwrite=overwrite)
    _in_main_process(check)
    experiment = set_up(recipe, seed, members=members, data_dir=data_dir, devices=devices)
    if resume:
        _in_main_process(partial(rundir.check_data, run, experiment.spec, experiment.size))
    like = experiment.state_like()
    checkpoints = Checkpoints(run / CHECKPOINTS, like, experiment.sharding)
    best = Checkpoints(run / BEST, like, experiment.sharding, keep=rundir.best_at(checkpoints))
    with fail_together():
        evaluations = [Evaluation(experiment, best, data_dir)] if recipe.eval_every else []
    with _alone(run, check), checkpoints, best:
        state = _resume(run, experiment, checkpoints) if resume else experiment.draw_first()
        chunks = _compile(experiment, state)
        _in_main_process(partial(_open, run, experiment, steps_done(state), resume))
        files = [InPlace(), MetricsLog(), Sampling(), *evaluations, Saving(checkpoints)]
        shown = [ProgressBar(), Report(), *observers]
        return _observe(experiment, chunks, state, run, [*files, *shown])


def _check_evaluations(recipe: Recipe) -> None:
    """Raises a `UserError` if a recipe says how to evaluate, but never does."""
    if recipe.eval_every is not None:
        return
    for field in fields(recipe):
        if field.name in ("eval_num", "best_by") and getattr(recipe, field.name) != field.default:
            raise UserError(f"{field.name} is for evaluations during training: give eval_every too")


def _in_main_process(function: Callable[[], None]) -> None:
    """Calls a function in the main process; if it fails there, all fail."""
    with fail_together():
        if is_main_process():
            function()


@contextmanager
def _alone(run: Path, check: Callable[[], None]) -> Iterator[None]:
    """Keeps other runs out of a directory, and checks again what is there."""
    with ExitStack() as stack:
        _in_main_process(lambda: stack.enter_context(rundir.locked(run)))
        _in_main_process(check)
        yield


def _resume(run: Path, experiment: Experiment, checkpoints: Checkpoints) -> GANState:
    """Loads the checkpoint that the main process chooses, or draws the first state again."""
    step = 0
    with fail_together():
        if is_main_process():
            done, total = max(checkpoints.steps(), default=0), experiment.total
            if done > total:
                raise UserError(
                    f"{run} is at step {done} already, beyond the {total} that were asked for"
                )
            step = rundir.resume_step(run, experiment.recipe, checkpoints, experiment.count)
    step = max_over_processes(step)
    logger.info("resuming from step %d", step)
    with fail_together():
        return checkpoints.restore(step) if step else experiment.draw_first()


Chunks = Callable[[Sequence[int]], Iterator[Chunk]]  # periods -> chunks that end at their multiples


def _compile(experiment: Experiment, state: GANState) -> Chunks:
    """Compiles what trains, if there is anything left to train."""
    if steps_done(state) == experiment.total:
        return lambda periods: iter(())
    logger.info("compiling %s", experiment.recipe.name)
    return partial(run_chunks, experiment, compile_steps(experiment, state), state)


def _open(run: Path, experiment: Experiment, step: int, resume: bool) -> None:
    """Writes config.json, in a directory that is as it was at a step."""
    config = rundir.describe(
        experiment.recipe,
        experiment.seed,
        experiment.total,
        experiment.spec,
        experiment.mesh,
        experiment.members,
        experiment.size,
    )
    if resume:
        # Where no steps are left, what made the run did not change.
        made = () if step < experiment.total else ("versions", "device")
        rundir.renew_config(run, config, ("created", *made))
        rundir.rewind(run, step, experiment.recipe, experiment.total, experiment.count)
    else:
        rundir.create(run, config)


def _observe(
    experiment: Experiment,
    chunks: Chunks,
    state: GANState,
    run: Path,
    observers: Sequence[Observer],
) -> GANState:
    """Trains from the state's step to the last, and shows each chunk to the observers."""
    step, signal = steps_done(state), 0
    if step == experiment.total:
        logger.info("%s has all of its %d steps already", run, step)
    with Interruption() as interruption, ExitStack() as until_done, _pointing_to_resume():
        for observer in observers:
            until_done.callback(observer.close)
            with fail_together():
                observer.start(experiment, run, state)
        for chunk in chunks([each.period for each in observers if each.period is not None]):
            state, step = chunk.state, chunk.step
            for observer in observers:
                with fail_together():
                    observer.see(chunk)
            signal = max_over_processes(interruption.signal or 0)
            if signal:
                break
        for observer in observers:
            with fail_together():
                observer.finish(state, step)
    if step < experiment.total:
        raise Interrupted(signal, step)
    return state


@contextmanager
def _pointing_to_resume() -> Iterator[None]:
    """Lets errors of the file system, which end a run, say how it goes on."""
    try:
        yield
    except FileError as error:
        raise FileError(error.reason, "fix that, then continue with --resume") from error
