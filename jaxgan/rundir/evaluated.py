"""evaluation.json: the evaluations of a finished run, each with all that it takes to repeat it.

{"evaluations": [...]}, in the order in which they were made. One of the same weights under the same
protocol is replaced by the next; all others stay.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from jaxgan.metrics.result import Result, from_dict
from jaxgan.rundir.schema import check_evaluated
from jaxgan.util.errors import UserError
from jaxgan.util.files import naming, read_bytes, write_atomically

EVALUATED = "evaluation.json"
COVERED = "; intervals cover "  # begins the end of a protocol
_SAME = ("digest", "protocol", "metrics")  # by which an evaluation replaces another

logger = logging.getLogger(__name__)


class Number(NamedTuple):
    """A metric of a GAN's samples, and of real examples."""

    result: Result
    floor: float


class Measured(NamedTuple):
    """An evaluation of one GAN."""

    results: list[Number]  # at least one
    protocol: str  # in words, but for what intervals cover, which results tell


def read_evaluated(run: Path) -> list[dict[str, Any]]:
    """Reads evaluation.json.

    Args:
        run: the run directory.

    Returns:
        The evaluations; none without the file.

    Raises:
        UserError: if the file is damaged, of an earlier version, or cannot be read.
    """
    path = run / EVALUATED
    try:
        data = read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = _parse(data)
    if found is None:
        raise UserError(f"{path} is damaged, or of an earlier version: move it elsewhere")
    return found


def newest_of(run: Path, digest: str) -> Measured | None:
    """Finds the newest evaluation of a GAN, which may be one of the members that were evaluated.

    Args:
        run: the run directory, or another folder.
        digest: of the GAN's state (see `jaxgan.rundir.loading.digest_of`).

    Returns:
        The evaluation; None if there is none of this very state.

    Raises:
        UserError: as `read_evaluated`.
    """
    for each in reversed(read_evaluated(run)):
        digests, found = each["digest"], each.get("members", [])
        if isinstance(digests, str):
            digests, found = [digests], [each.get("results")]
        results = dict(zip(digests, found, strict=False)).get(digest)
        if results:
            return Measured(numbers_of(results), each["protocol"].partition(COVERED)[0])
    return None


def numbers_of(results: Sequence[Mapping[str, Any]]) -> list[Number]:
    """Converts the results of one GAN, as evaluation.json holds them.

    Args:
        results: of an entry.

    Returns:
        The metrics.

    Raises:
        UserError: if a value is not finite.
    """
    return [Number(from_dict(one), one["floor"]) for one in results]


def add_evaluation(run: Path, evaluation: Mapping[str, Any]) -> Path:
    """Adds to evaluation.json.

    A file that is damaged or of an earlier version becomes evaluation.1.json, or the next number
    that is free, and a new one is begun.

    Args:
        run: the run directory, or another folder.
        evaluation: what JSON can hold, "digest", "protocol" and "metrics" among it.

    Returns:
        The path of the file.

    Raises:
        UserError: if the file cannot be read or written.
    """
    path = run / EVALUATED
    with _alone(path):
        before: list[dict[str, Any]] | None = []
        if path.exists():
            before = _parse(read_bytes(path))
        if before is None:
            aside = _free(path)
            with naming(path, missing=True):
                path.rename(aside)
            told = "%s is damaged, or of an earlier version: it is %s now"
            logger.warning(told, path, aside.name)
        kept = [old for old in before or [] if any(old[x] != evaluation[x] for x in _SAME)]
        text = json.dumps({"evaluations": [*kept, evaluation]}, indent=2, allow_nan=False)
        write_atomically(path, f"{text}\n".encode())
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Waits until no other process adds to a file, so that none undoes what another one adds."""
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with naming(path, missing=True), suppress(NotImplementedError):  # on some network disks
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _parse(data: bytes) -> list[dict[str, Any]] | None:
    try:
        return check_evaluated(json.loads(data))
    except (ValueError, RecursionError, UserError):
        return None


def _free(path: Path) -> Path:
    numbered = (path.with_suffix(f".{number}.json") for number in range(1, 1_000_000))
    return next(each for each in numbered if not each.exists())
