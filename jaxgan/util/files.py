"""Files that are whole, durable and regular, and errors that name them."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from jaxgan.util.errors import FileError, UserError

# Where these errors are raised, callers know what a missing file means.
_MISSING = (FileNotFoundError, NotADirectoryError)
# What a file system answers that cannot sync a folder.
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP)


def expanded(path: Path | str) -> Path:
    """Replaces a leading ~ or ~USER by that user's home directory, where there is one."""
    return Path(os.path.expanduser(path))


def read_bytes(path: Path) -> bytes:
    """Reads a regular file.

    Raises:
        FileNotFoundError, NotADirectoryError: if there is none.
        UserError: if it is not a regular file (reading a pipe could block forever) or cannot be
            read.
    """
    with open_regular(path) as file:
        return file.read()


@contextmanager
def open_regular(path: Path, mode: str = "rb") -> Iterator[BinaryIO]:
    """Opens a file within a `with` block, in which errors name it; see `read_bytes`.

    Args:
        path: of the file.
        mode: "rb", or "ab" to append.
    """
    with naming(path), open(path, mode, opener=_open_without_blocking) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UserError(f"{path} is not a regular file: replace it by one, then run again")
        yield file  # pyright: ignore[reportReturnType]


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file so that a reader, or a crash, sees the old content or the new, never a part.

    It is on the disk when this returns. A crash may leave a file beside it (see `unfinished`).

    Args:
        path: of the file, or of a link to it; its folder exists.
        data: all that it is to hold.

    Raises:
        UserError: if that fails, or something that is not a regular file is there; then it is as it
            was.
    """
    with naming(path, missing=True):
        path = path.resolve()
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a regular file: choose another")
        try:
            with open(temporary, "wb") as file:
                _write(file, data)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    sync(path.parent)


def unfinished(path: Path) -> str | None:
    """Returns the name of the file that `write_atomically` was writing here, or None.

    Such a path is still in use, or was left by a process that was killed.
    """
    found = re.fullmatch(r"\.(.+)\.\d+\.tmp", path.name)
    return found and found[1]


def append(path: Path, data: bytes) -> None:
    """Adds to the end of a file, which is made if need be; it is on the disk when this returns.

    Raises:
        UserError: if that fails; then a part of the data may have been added.
    """
    with naming(path, missing=True):
        is_new = not path.exists()
        with open_regular(path, "ab") as file:
            _write(file, data)
    if is_new:
        sync(path.parent)


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, unless they exist; they are on the disk on return.

    Raises:
        UserError: if that fails.
    """
    with naming(path, missing=True):
        if not path.is_dir():
            if path.exists():
                raise UserError(f"{path} is a file, not a folder: choose another")
            make_folder(path.parent)
            path.mkdir(exist_ok=True)
            sync(path.parent)


def sync(path: Path) -> None:
    """Makes sure that a file's content, or a folder's list of names, is on the disk.

    Raises:
        UserError: if that fails.
    """
    with naming(path, missing=True):
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        except OSError as error:
            if error.errno not in _CANNOT_SYNC or not path.is_dir():
                raise
        finally:
            os.close(opened)


def identify(folder: Path) -> tuple[int, int]:
    """Returns what tells a folder from another one of the same path.

    Raises:
        UserError: if there is none.
    """
    with naming(folder, missing=True):
        found = os.stat(folder)
        return found.st_dev, found.st_ino


def files_below(folder: Path) -> list[Path]:
    """Lists everything below a folder that is not a folder, in the order of names.

    Raises:
        FileNotFoundError, NotADirectoryError: if there is no such folder.
        UserError: if one of its folders cannot be read.
    """
    with naming(folder):
        return sorted(Path(where, name) for where, _, names in _walk(folder) for name in names)


def sync_tree(folder: Path) -> None:
    """Makes sure that a folder and everything below it is on the disk.

    Raises:
        UserError: if that fails.
    """
    with naming(folder, missing=True):
        for where, _, names in _walk(folder):
            for path in (*(Path(where, name) for name in names), Path(where)):
                sync(path)


@contextmanager
def naming(path: Path, *, missing: bool = False) -> Iterator[None]:
    """Turns errors of the file system within a `with` block into a `FileError` with a path.

    Args:
        path: what the error is about if it does not say so itself.
        missing: whether a missing file is such an error too.

    Raises:
        FileError: for an `OSError`.
    """
    try:
        yield
    except _MISSING as error:
        if not missing:
            raise
        raise _named(error, path) from error
    except OSError as error:
        raise _named(error, path) from error


def _named(error: OSError, path: Path) -> FileError:
    about = error.filename if isinstance(error.filename, str | os.PathLike) else path
    return FileError(f"{about}: {error.strerror or error}")


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk`, from the leaves up, which by itself would pass over what it cannot read."""

    def fail(error: OSError) -> None:
        raise error

    return os.walk(folder, topdown=False, onerror=fail)


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o666)  # as a pipe is opened only by two


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
