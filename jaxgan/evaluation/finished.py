"""Evaluates a finished run: its GAN, or all members of a population and their spread."""

import datetime
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgan import evaluation, rundir
from jaxgan.core.state import steps_done
from jaxgan.devices import environment
from jaxgan.devices.mesh import make_mesh
from jaxgan.evaluation.evaluator import Evaluated, Evaluator, Tell
from jaxgan.evaluation.protocols import AS_PUBLISHED, Settings
from jaxgan.features import Extractor
from jaxgan.keys import from_seed, stream
from jaxgan.report import summary
from jaxgan.rundir import loading as sampling
from jaxgan.rundir.evaluated import COVERED
from jaxgan.rundir.loading import Trained
from jaxgan.util import tables
from jaxgan.util.errors import UserError

DRAWS = 5  # of one GAN, by default
MOST_DRAWS = 1000

logger = logging.getLogger(__name__)


class Evaluation(NamedTuple):
    """The evaluation of a run."""

    text: str  # a table and the protocol
    record: Mapping[str, Any]  # the same in detail, for `jaxgan.rundir.add_evaluation`
    # Finds the pictures nearest to samples (see `Evaluator.nearest`), which can take much memory.
    nearest: Callable[[], Mapping[str, np.ndarray] | None] | None = None


def evaluate(
    run: Path,
    *,
    step: int | None = None,
    member: int | None = None,
    best: bool = False,
    num: int = 10_000,
    draws: int | None = None,
    reference: int | None = None,
    how: Settings = AS_PUBLISHED,
    names: Sequence[str] | None = None,
    held_out: str | None = None,
    extractor: Extractor | None = None,
    seed: int = 0,
    data_dir: str | None = None,
    tell: Tell = lambda done, total: None,
) -> Evaluation:
    """Evaluates the samples of a run.

    Each draw is compared with another random choice of reference examples, so that the interval of
    a mean over draws covers both, and that over the members of a population their training, too.

    Args:
        run: the run directory.
        step: of the checkpoint; None for the newest intact one.
        member: the index of a GAN in a population; None for all of them.
        best: whether to use the best checkpoint instead.
        num: number of samples in a draw, and of reference examples.
        draws: number of draws of each GAN, whose spread gives the interval. None for `DRAWS` of a
            single GAN, and for one of each member of a population, whose spread gives the interval.
        reference: number of reference examples, where it is not `num` (see `Evaluator`).
        how: what metrics depend on.
        names: metrics; None for all that apply.
        held_out: a data set that the GAN did not learn from, to measure memorization and usefulness
            (see `Evaluator`).
        extractor: of features; None for the default of the data.
        seed: of the latents, and of the choices of real examples.
        data_dir: TFDS's data directory; None for its default.
        tell: is told how far it has come (see `Evaluator`).

    Returns:
        The table and its record; of a single GAN, with what is nearest to its samples.

    Raises:
        UserError: if the run, its GAN or a metric is not available.
    """
    if draws is not None and not 1 <= draws <= MOST_DRAWS:
        raise UserError(f"draws must be from 1 to {MOST_DRAWS}, not {draws}")
    config = rundir.read_config(run)
    members = config.members if member is None else None
    gans = (
        [sampling.load(run, step, member, best=best)]
        if members is None
        else sampling.load_all(run, step, best=best)
    )
    draws = draws or (DRAWS if members is None else 1)
    recipe, spec = gans[0].recipe, gans[0].spec
    classes = spec.classes if sampling.is_conditional(gans[0], data_dir) else None
    measure = Evaluator(
        recipe,
        num=num,
        choices=draws * len(gans),
        reference=reference,
        how=how,
        names=names,
        held_out=held_out,
        classes=classes,
        extractor=extractor,
        seed=seed,
        data_dir=data_dir,
        tell=tell,
    )
    key = stream(from_seed(seed), "draws")

    def draw(gan: Trained, place: int) -> np.ndarray:
        labels = None if classes is None else measure.labels(place)
        asked = None if labels is None else labels.tolist()
        return sampling.draw(gan, num, jax.random.fold_in(key, place), asked, data_dir)

    def evaluate_one(index: int, gan: Trained) -> list[Evaluated]:
        first = index * draws  # no two draws have latents or reference examples in common
        return measure((draw(gan, first + place) for place in range(draws)), first)

    step, averaged = steps_done(gans[0].state), "average" in gans[0].state.extra
    protocol = f"step {step}, G {'averaged' if averaged else 'not averaged'}; "
    protocol += measure.protocol(draws)
    digests = [sampling.digest_of(gan) for gan in gans]
    made = {
        "run": str(run),
        "step": step,
        "member": member,
        "averaged": averaged,
        "digest": digests[0] if members is None else digests,
        "metrics": list(measure.floors),
        "versions": environment.versions(),
        "device": environment.devices(make_mesh(1)),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    if members is None:
        found = evaluate_one(0, gans[0])
        if draws > 1:
            protocol += f"{COVERED}{measure.covered()}"
        text = tables.as_text(*evaluation.table(found)) + f"({protocol})\n"
        record = {**made, "protocol": protocol, "results": evaluation.as_json(found)}
        search = (lambda: measure.nearest(draw(gans[0], 0))) if held_out else None
        return Evaluation(text, record, search)

    evaluated: list[list[Evaluated] | None] = []
    for index, gan in enumerate(gans):
        try:
            evaluated.append(evaluate_one(index, gan))
        except UserError as error:  # due to the samples: the real examples were fine
            logger.warning("member %d is left out: %s", index, error)
            evaluated.append(None)
    sound = [one for one in evaluated if one is not None]
    values = {
        name: np.array([math.nan if one is None else one[i].result.value for one in evaluated])
        for i, name in enumerate(measure.floors)
    }
    floors = {
        name: float(np.mean([one[i].floor for one in sound])) if sound else floor
        for i, (name, floor) in enumerate(measure.floors.items())
    }
    groups = summary.group(values, members)
    protocol += f"{COVERED}the training seed, and {measure.covered()}"
    record = {
        **made,
        "protocol": protocol,
        "groups": summary.groups_as_json(groups),
        "floors": floors,
        "members": [None if one is None else evaluation.as_json(one) for one in evaluated],
    }
    return Evaluation(tables.as_text(*summary.table(groups, floors)) + f"({protocol})\n", record)
