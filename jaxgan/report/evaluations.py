"""Evaluations of finished states, as tables: on the terminal, and on the page of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.metrics import Result
from jaxgan.metrics.intervals import LEVEL
from jaxgan.report import summary
from jaxgan.rundir.evaluated import numbers_of, read_evaluated

Table = tuple[list[str], list[list[str]]]


class Shown(NamedTuple):
    """An evaluation on a page."""

    title: str
    date: str
    table: Table
    protocol: str


def evaluations(run: Path) -> list[Shown]:
    """Reads the evaluations of a run.

    Args:
        run: the run directory.

    Returns:
        What to show of each, the newest first.

    Raises:
        UserError: if evaluation.json is damaged.
    """
    return [_shown(each) for each in reversed(read_evaluated(run))]


def table(numbers: Sequence[tuple[Result, float, *tuple[Any, ...]]]) -> Table:
    """Arranges the results of one GAN as a table.

    Args:
        numbers: at least one result and its floor, and maybe more, which is not shown.

    Returns:
        The heads of the columns, and the rows.
    """
    rows = []
    for result, floor, *_ in numbers:
        interval = result.interval
        ends = "" if interval is None else f"{interval.low:.4g} to {interval.high:.4g}"
        rows.append([result.metric, f"{result.value:.4g}", ends, f"{floor:.4g}"])
    return ["metric", "value", f"{LEVEL:.0%} interval", "of real examples"], rows


def _shown(entry: Mapping[str, Any]) -> Shown:
    title = f"Step {entry['step']:,}, G {'averaged' if entry['averaged'] else 'not averaged'}"
    if (member := entry.get("member")) is not None:
        title += f", member {member}"
    if "groups" in entry:
        groups = summary.groups_from_json(entry["groups"])
        arranged = summary.table(groups, entry.get("floors"))
    else:
        arranged = table(numbers_of(entry.get("results", [])))
    return Shown(title, entry.get("date", "").replace("T", " "), arranged, entry["protocol"])
