"""The lines that a run writes as it goes: metrics.jsonl and evaluations.jsonl."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jaxgan.rundir.schema import check_evaluation, check_record
from jaxgan.util import files
from jaxgan.util.errors import UserError

METRICS = "metrics.jsonl"  #: the file of training's metrics
EVALUATIONS = "evaluations.jsonl"  #: the file of evaluations during training
# What earlier versions called metrics of all features, and the features in their protocols.
_EARLIER = {"fid": "fd", "kid": "kd", "is": "is"}
_FEATURES = {
    "digit network on each channel": "digits_by_channel",
    "digit network": "digits",
    "the vectors themselves": "points",
}


def append(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Adds lines to a file; they are on the disk when this returns."""
    if lines:
        files.append(path, _bytes(lines))


def replace(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Writes a file anew, whole or not at all."""
    files.write_atomically(path, _bytes(lines))


def read_metrics(run: Path, members: int | None = None) -> list[dict[str, Any]]:
    """Reads metrics.jsonl.

    Args:
        run: the run directory.
        members: how many a population has; None if the run is of one GAN.

    Returns:
        A record per step, in the order of steps; a last line that a crash cut off is left out.

    Raises:
        UserError: if a line before the last is damaged.
    """
    return _read(run / METRICS, partial(check_record, members=members))


def read_evaluations(run: Path) -> list[dict[str, Any]]:
    """Reads evaluations.jsonl, as `read_metrics` does metrics.jsonl.

    Metrics that an earlier version named as if their features were Inception's get their names.
    """
    return [_renamed(line) for line in _read(run / EVALUATIONS, check_evaluation)]


def _renamed(line: dict[str, Any]) -> dict[str, Any]:
    features = (short for name, short in _FEATURES.items() if f" {name}" in line["protocol"])
    short = next(features, None)
    if short is None:
        return line
    names = {old: f"{new}_{short}" for old, new in _EARLIER.items()}
    return line | {
        part: {names.get(name, name): x for name, x in line[part].items()}
        for part in ("metrics", "floors")
    }


def _bytes(lines: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _read(path: Path, check: Callable[[Any], Any]) -> list[dict[str, Any]]:
    try:
        lines = files.read_bytes(path).decode("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            record = check(json.loads(line))
            found[record["step"]] = record
        except (ValueError, RecursionError, UserError):
            if number < len(lines):
                raise UserError(
                    f"{path} is damaged: line {number} is not a record "
                    "(remove that line; --resume then trains its step again)"
                ) from None
    return [found[step] for step in sorted(found)]
