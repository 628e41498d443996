"""The lines that a run writes as it goes: metrics.jsonl and evaluations.jsonl."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jaxgan.util.checking import is_evaluation, is_record
from jaxgan.util.errors import UserError
from jaxgan.util.files import write_atomically

METRICS = "metrics.jsonl"
EVALUATIONS = "evaluations.jsonl"


def append(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Adds lines to a file."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(_text(lines))


def replace(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Writes a file anew, whole or not at all."""
    write_atomically(path, _text(lines).encode())


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
    return _read(run / METRICS, partial(is_record, members=members))


def read_evaluations(run: Path) -> list[dict[str, Any]]:
    """Reads evaluations.jsonl, as `read_metrics` does metrics.jsonl."""
    return _read(run / EVALUATIONS, is_evaluation)


def _text(lines: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def _read(path: Path, is_sound: Callable[[Any], bool]) -> list[dict[str, Any]]:
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
    found: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if not is_sound(record):
                raise ValueError(line)
            found[record["step"]] = record
        except (ValueError, RecursionError):
            if number < len(lines):
                raise UserError(f"{path} is damaged: line {number} is no record") from None
    return [found[step] for step in sorted(found)]
