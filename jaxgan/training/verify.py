"""The proof that a run is repeatable: train it again, and compare digests of the state."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from jaxgan import rundir
from jaxgan.devices import environment
from jaxgan.devices.mesh import is_main_process
from jaxgan.rundir import log
from jaxgan.training.chunks import train_in_chunks
from jaxgan.training.experiment import set_up
from jaxgan.training.progress import Progress
from jaxgan.util.errors import UserError


class Verdict(NamedTuple):
    """What came out of training a run again."""

    points: int  # log points compared; where `differs` is given, it was the last of them
    differs: int | None  # the first step at which the state is another one
    details: str  # what differs, and what was different about the two trainings

    def __str__(self) -> str:
        if self.differs is None:
            return f"reproduced: {self.points} of {self.points} points"
        return f"step {self.differs} differs, after {self.points - 1} equal points{self.details}"


def verify(
    run: Path, steps: int | None = None, data_dir: str | None = None, devices: int | None = 1
) -> Verdict:
    """Trains a run again from its own config, and compares the digests at every log point.

    Writes nothing.

    Args:
        run: the run directory.
        steps: how far to go; None for as far as the run went.
        data_dir: where TFDS keeps data sets; None for its own default.
        devices: of each process, over which every batch is spread; None for all of them.

    Returns:
        The verdict. Training stops at the first difference.

    Raises:
        UserError: if `run` is not a run directory, or has nothing to compare in these steps.
    """
    config = rundir.read_config(run)
    recipe, seed = rundir.read_recipe(config), config.seed
    if steps is not None and steps < 1:
        raise UserError(f"steps is {steps}; it must be at least 1")
    members = config.members
    lines = log.read_metrics(run, None if members is None else members.count)
    expected = {
        record["step"]: record["digest"]
        for record in lines
        if "digest" in record and (steps is None or record["step"] <= steps)
    }
    if not expected:
        where = "" if steps is None else f" in its first {steps} steps"
        raise UserError(f"{run} has no log point with a digest{where}: there is nothing to compare")

    experiment = set_up(recipe, seed, members=members, data_dir=data_dir, devices=devices)
    rundir.check_data(run, experiment.spec, experiment.size)
    here = environment.devices(experiment.mesh)
    points = 0
    experiment = experiment._replace(total=max(expected))
    with Progress(experiment.total, 0) as progress:
        for chunk in train_in_chunks(experiment, experiment.draw_first()):
            for step, found in chunk.digests.items():
                if step not in expected:
                    continue
                points += 1
                if found != expected[step]:
                    details = f": {_both(expected[step], found)}"
                    return Verdict(points, step, details + _differences(config, here))
            if is_main_process():
                progress.update(chunk.step, chunk.last, chunk.examples_per_second)
    return Verdict(points, None, "")


def _both(there: str | list[str], here: str | list[str]) -> str:
    """Names two digests, of a population those of the first member that has two."""
    if isinstance(there, str) or isinstance(here, str):
        return f"{there} there, {here} here"
    pairs = enumerate(zip(there, here, strict=True))
    member, pair = next((member, pair) for member, pair in pairs if pair[0] != pair[1])
    return f"member {member}: {pair[0]} there, {pair[1]} here"


def _differences(config: rundir.Config, here: dict) -> str:
    """Lists versions and devices of both trainings, a line each."""
    there = config.versions | msgspec.structs.asdict(config.device)
    now = {**environment.versions(), **here}
    lines = [
        f"\n  {name:16} {there.get(name)} there, {now.get(name)} here"
        + ("" if there.get(name) == now.get(name) else "  <-")
        for name in there | now
    ]
    return "".join(lines)
