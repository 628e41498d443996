"""What was computed of real examples, kept in the user's cache directory for later evaluations.

A file for each thing, named by the digest of all that it depends on. Any of them may be deleted at
any time. Together they take up to `LARGEST` bytes: beyond that, those go that were used least
recently.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxgan.devices.environment import versions
from jaxgan.devices.startup import cache_folder
from jaxgan.util.errors import UserError
from jaxgan.util.files import make_folder, read_bytes, write_atomically

LARGEST = 2 * 2**30  # Inception's features of 5 draws of 10,000, and of all MNIST, take 1.4 GB
Arrays = dict[str, np.ndarray]  # by name

logger = logging.getLogger(__name__)


def remembered(key: Mapping[str, Any], make: Callable[[], Arrays]) -> Arrays:
    """Returns arrays from the cache, or makes them and keeps them there.

    A file that is damaged or of something else is written again. Where the directory cannot be
    read or written, nothing is kept.

    Args:
        key: all that the arrays depend on but versions and the kind of device, as JSON can hold it.
        make: computes the arrays.

    Returns:
        What `make` returns.
    """
    told = json.dumps(
        {**key, "versions": versions(), "platform": jax.default_backend()}, sort_keys=True
    )
    path = cache_folder("evaluation") / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.npz"
    try:
        arrays = _parse(read_bytes(path), told)
        with suppress(OSError):
            os.utime(path)
        return arrays
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception as error:  # NumPy and zipfile raise errors of all kinds where it is damaged
        logger.debug("%s is made again: %s", path, error)
    arrays = make()
    data = BytesIO()
    np.savez(data, **arrays, key=np.array(told))  # pyright: ignore[reportArgumentType]
    try:
        make_folder(path.parent)
        write_atomically(path, data.getvalue())
        _forget(path.parent)
    except (OSError, UserError) as error:
        logger.debug("%s is not kept: %s", path, error)
    return arrays


def _forget(folder: Path) -> None:
    """Deletes the files that were used least recently, so that the others fit `LARGEST`."""
    found = []
    for path in folder.glob("*.npz"):
        with suppress(FileNotFoundError):  # another process deleted it
            found.append((path.stat(), path))
    kept = 0
    for status, path in sorted(found, key=lambda x: x[0].st_mtime_ns, reverse=True):
        if kept + status.st_size <= LARGEST:
            kept += status.st_size
        else:
            path.unlink(missing_ok=True)


def _parse(data: bytes, told: str) -> Arrays:
    with np.load(BytesIO(data), allow_pickle=False) as file:
        arrays = dict(file)  # which checks the sums of the archive
    if str(arrays.pop("key")) != told:
        raise ValueError("it is of something else")
    return arrays
