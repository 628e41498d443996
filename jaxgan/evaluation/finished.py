"""How good a finished run is: its GAN, or all members of a population and their spread."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgan import evaluation, rundir
from jaxgan.core.state import steps_done
from jaxgan.evaluation.evaluator import Evaluated, Evaluator
from jaxgan.features import Extractor
from jaxgan.keys import from_seed, stream
from jaxgan.report import summary
from jaxgan.rundir import loading as sampling
from jaxgan.rundir.loading import Trained
from jaxgan.util import tables
from jaxgan.util.errors import UserError

DRAWS = 5  # of one GAN's samples
MOST_DRAWS = 1000

logger = logging.getLogger(__name__)


class Evaluation(NamedTuple):
    """What came of it."""

    text: str  # a table, and the protocol
    record: Mapping[str, Any]  # the same, and more of it, as JSON can hold it


def evaluate(
    run: Path,
    *,
    step: int | None = None,
    member: int | None = None,
    best: bool = False,
    num: int = 10_000,
    draws: int | None = None,
    names: Sequence[str] | None = None,
    extractor: Extractor | None = None,
    seed: int = 0,
    data_dir: str | None = None,
) -> Evaluation:
    """Evaluates the samples of a run.

    Args:
        run: the run directory.
        step: of the checkpoint; None for the newest sound one.
        member: which GAN of a population, from 0; None for all of them.
        best: whether to look among the best checkpoints instead.
        num: samples in a draw, and real examples beside them.
        draws: of samples, of each GAN; None for `DRAWS` of one, whose interval they give, and one
            of each member of a population, which give theirs.
        names: of the metrics; None for all that apply.
        extractor: of features; None for what suits the data.
        seed: of the latents, and of the choice of real examples.
        data_dir: where TFDS keeps data sets; None for its own default.

    Returns:
        The table and its record.

    Raises:
        UserError: if the run, its GAN or a metric is not to be had.
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
    measure = Evaluator(
        rundir.read_recipe(config),
        num=num,
        names=names,
        extractor=extractor,
        seed=seed,
        data_dir=data_dir,
    )
    draws = draws or (DRAWS if members is None else 1)
    key = stream(from_seed(seed), "draws")
    protocol = f"({measure.protocol(draws)})\n"

    def of_one(gan: Trained) -> list[Evaluated]:
        keys = [jax.random.fold_in(key, index) for index in range(draws)]
        return measure([sampling.draw(gan, num, key) for key in keys])

    at = {"step": steps_done(gans[0].state), "member": member}
    if members is None:
        found = of_one(gans[0])
        text = tables.as_text(*evaluation.table(found)) + protocol
        return Evaluation(text, {**at, "results": evaluation.as_json(found)})

    of_all: list[list[Evaluated] | None] = []
    for index, gan in enumerate(gans):
        try:
            of_all.append(of_one(gan))
        except UserError as error:  # real examples were measured well, so it is the samples
            logger.warning("member %d is left out: %s", index, error)
            of_all.append(None)
        logger.info("%d of %d members", index + 1, len(gans))
    values = {
        name: np.array([math.nan if one is None else one[i].result.value for one in of_all])
        for i, name in enumerate(measure.floors)
    }
    groups = summary.group(values, members)
    return Evaluation(
        tables.as_text(*summary.table(groups, measure.floors)) + protocol,
        {
            **at,
            "groups": summary.groups_as_json(groups),
            "members": [None if one is None else evaluation.as_json(one) for one in of_all],
        },
    )
