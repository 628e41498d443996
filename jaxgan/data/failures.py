"""Failures of the system while data are read, which are no evidence of damage."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxgan.util.errors import FileError, UserError

_WAYS_OUT = {
    errno.EMFILE: ("raise the limit with `ulimit -n`, then run again",),
    errno.ENFILE: ("end other processes, then run again",),
    errno.EIO: ("check the disk, then run again",),
}


@contextmanager
def system_failures(what: Path | str) -> Iterator[None]:
    """Reports failures of the system within a `with` block for what they are.

    Args:
        what: the data being read, for the message.

    Raises:
        UserError: for a lack of memory, threads or files, and for I/O errors. Other errors pass,
            among them those of decoders (Pillow's are `OSError`s without a number).
    """
    try:
        yield
    except MemoryError as error:
        raise UserError(
            f"out of memory while reading {what}: free some memory, or choose smaller images or "
            "fewer of them"
        ) from error
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        raise UserError(
            f"the system starts no more threads to read {what}: end other processes, or raise the "
            "limit (`ulimit -u`), and run again"
        ) from error
    except OSError as error:
        if error.errno is None:
            raise
        reason = f"cannot read {error.filename or what}: {error.strerror}"
        raise FileError(reason, *_WAYS_OUT.get(error.errno, ())) from error
