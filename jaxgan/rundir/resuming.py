"""How a run that ended early goes on: from which checkpoint, and with which of its files."""

import logging
from pathlib import Path

from jaxgan.recipes import Recipe
from jaxgan.rundir import log
from jaxgan.rundir.checkpoints import Checkpoints, Keep
from jaxgan.rundir.directory import find_samples
from jaxgan.util.errors import UserError
from jaxgan.util.files import make_folder, naming, unfinished

logger = logging.getLogger(__name__)


def resume_step(
    run: Path,
    recipe: Recipe,
    checkpoints: Checkpoints,
    members: int | None = None,
) -> int:
    """Chooses the step that a run is resumed from.

    It is that of the newest sound checkpoint up to which the log is complete: training is
    deterministic, so lines that are missing come back when their steps are trained again. Later
    checkpoints stay where they are.

    Args:
        run: the run directory.
        recipe: of the run.
        checkpoints: of the run.
        members: how many a population has.

    Returns:
        The step; 0 where nothing was saved yet.

    Raises:
        UserError: if a checkpoint cannot be read, or all are damaged.
    """
    saved = checkpoints.steps()
    last = saved[-1] if saved else 0
    gap = _first_gap(run, recipe, last, members)
    damaged = []
    step = 0
    for candidate in (step for step in reversed(saved) if step < gap):
        wrong = checkpoints.damage(candidate)
        if wrong is None:
            step = candidate
            break
        damaged.append(wrong)
    if damaged and not step:
        raise UserError(
            f"no checkpoint is sound: {'; '.join(damaged)} "
            "(restore one from a backup, or begin another run with --out)"
        )
    for wrong in damaged:
        logger.warning("%s", wrong)
    if gap <= last:
        logger.warning(
            "the log of %s lacks step %d: the steps after %d are trained again", run, gap, step
        )
    return step


def rewind(run: Path, step: int, recipe: Recipe, total: int, members: int | None = None) -> None:
    """Takes back what a run wrote that an uninterrupted one would not have written by now.

    That is everything after the step it is resumed from, what it wrote when it ended early, and
    files that it was writing when it was killed. The caller holds the run's lock.

    Args:
        run: the run directory.
        step: that the run is resumed from.
        recipe: of the run.
        total: steps of the whole run, which ends with a line and a sample.
        members: how many a population has.
    """

    def stays(there: int, every: int) -> bool:
        return there <= step and (there % every == 0 or there == total)

    lines = log.read_metrics(run, members)
    log.replace(run / log.METRICS, [x for x in lines if stays(x["step"], recipe.log_every)])
    if recipe.eval_every is not None:
        every = recipe.eval_every
        done = [line for line in log.read_evaluations(run) if line["step"] <= step]
        log.replace(run / log.EVALUATIONS, [line for line in done if line["step"] % every == 0])
    make_folder(run / "samples")  # missing if it was killed just as it began
    for suffix in ("png", "npy"):
        for sample in find_samples(run, suffix):
            if not stays(sample.step, recipe.sample_every):
                with naming(sample.path, missing=True):
                    sample.path.unlink()
    with naming(run, missing=True):
        for path in (run / "samples").iterdir():
            if unfinished(path):
                path.unlink()
        for path in run.iterdir():  # where other commands write too
            if unfinished(path) in ("config.json", log.METRICS, log.EVALUATIONS):
                path.unlink()


def best_at(checkpoints: Checkpoints) -> Keep:
    """Chooses which best states to keep: for each checkpoint the best one until then.

    Then the best state is there wherever the run is resumed from, also from a checkpoint that is
    still being saved. The one before the newest stays as well, since the newest does not count
    before evaluations.jsonl tells of it.

    Args:
        checkpoints: those that the run can be resumed from.

    Returns:
        A function for `Checkpoints`.
    """

    def keep(steps):
        ends = [*checkpoints.steps_begun(), steps[-1]]
        until = {max(step for step in steps if step <= end) for end in ends if end >= steps[0]}
        return until.union(steps[-2:])

    return keep


def best_step(run: Path, best: Checkpoints) -> int | None:
    """Returns the step of the best state, as evaluations.jsonl tells it; None without one.

    A state is saved there when it is better than all before, so the last is the best. Those of
    steps that are to be trained again do not count.
    """
    evaluated = {line["step"] for line in log.read_evaluations(run)}
    return max((step for step in best.steps() if step in evaluated), default=None)


def _first_gap(run: Path, recipe: Recipe, last: int, members: int | None) -> int:
    """Returns the first step up to `last` of which a line is missing; one beyond if none is."""
    logs = [(recipe.log_every, log.read_metrics(run, members))]
    if recipe.eval_every is not None:
        logs.append((recipe.eval_every, log.read_evaluations(run)))
    missing = [
        set(range(every, last + 1, every)) - {line["step"] for line in lines}
        for every, lines in logs
    ]
    return min(set.union(*missing), default=last + 1)
