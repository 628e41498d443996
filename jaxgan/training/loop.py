"""Trains a run: opens it, trains in chunks, and gives each chunk to the observers."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from jaxgan import rundir
from jaxgan.core.state import GANState, steps_done
from jaxgan.devices.mesh import fail_together, is_main_process, max_over_processes
from jaxgan.recipes import Recipe
from jaxgan.rundir import BEST, Checkpoints, Members
from jaxgan.training.chunks import train_in_chunks
from jaxgan.training.experiment import Experiment, set_up
from jaxgan.training.monitor import Evaluation
from jaxgan.training.observers import (
    Diverged,
    MetricsLog,
    Observer,
    ProgressBar,
    Report,
    Sampling,
    Saving,
)
from jaxgan.training.signals import Interruption
from jaxgan.util.errors import UserError

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

    with fail_together():
        if is_main_process():
            check()
    experiment = set_up(recipe, seed, members=members, data_dir=data_dir, devices=devices)
    config = rundir.describe(
        recipe, seed, experiment.total, experiment.spec, experiment.mesh, experiment.members
    )
    like = experiment.state_like()
    with fail_together():
        evaluations = [Evaluation(experiment, data_dir)] if recipe.eval_every else []

    with ExitStack() as until_done:
        with fail_together():
            if is_main_process():
                until_done.enter_context(rundir.locked(run))
                check()  # again, now that no other process can change what is there
        with (
            Checkpoints(run / "checkpoints", like, experiment.sharding) as checkpoints,
            Checkpoints(run / BEST, like, experiment.sharding, keep=1) as best,
        ):
            state = _resume(run, experiment, checkpoints, best) if resume else None
            if state is None:
                state = experiment.draw_first()
            if is_main_process():
                rundir.write_config(run, config) if resume else rundir.create(run, config)
            for evaluation in evaluations:
                evaluation.keep_best_in(best)
            standard = [MetricsLog(), Sampling(), *evaluations, Saving(checkpoints), ProgressBar()]
            state = _observed(experiment, state, run, [*standard, *observers])

        with Checkpoints(run / "checkpoints", like, experiment.sharding) as checkpoints:
            state = checkpoints.restore(experiment.total)
        report = Report()
        report.start(experiment, run, state)
        report.finish(state, experiment.total)
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
    if is_main_process():
        rundir.rewind(run, step, experiment.recipe, experiment.count)
    logger.info("resuming from step %d", step)
    return state


def _observed(
    experiment: Experiment, state: GANState, run: Path, observers: Sequence[Observer]
) -> GANState:
    """Trains from the state's step to the last, and shows each chunk to the observers."""
    step = steps_done(state)
    if step == experiment.total:
        logger.info("%s has all of its %d steps already", run, step)
        return state
    with Interruption() as interruption, ExitStack() as until_done:
        logger.info("compiling %s", experiment.recipe.name)
        for observer in observers:
            until_done.callback(observer.close)
            observer.start(experiment, run, state)
        signal = 0
        periods = [observer.period for observer in observers if observer.period is not None]
        for chunk in train_in_chunks(experiment, state, periods):
            state, step = chunk.state, chunk.step
            for observer in observers:
                observer.see(chunk)
            signal = max_over_processes(interruption.signal or 0)
            if signal:
                break
        for observer in observers:
            observer.finish(state, step)
    if step < experiment.total:
        raise Interrupted(signal, step)
    return state
