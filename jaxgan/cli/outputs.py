"""Where commands may write, and folders that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxgan.rundir import check_unkept
from jaxgan.util.errors import UserError
from jaxgan.util.files import make_folder, naming, sync, sync_tree


def check_file(out: Path) -> None:
    """Checks that a file can be made or replaced.

    Args:
        out: its path.

    Raises:
        UserError: if a folder is there, or as `check_unkept`.
    """
    with naming(out):
        if out.is_dir():
            raise UserError(f"{out} is a folder, not a file: choose another --out")
    check_unkept(out)


def check_free(out: Path) -> None:
    """Checks that a folder can be made.

    Args:
        out: its path.

    Raises:
        UserError: if something is there that is not an empty folder.
    """
    with naming(out):
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise UserError(f"{out} exists and is not an empty folder: choose another --out")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Makes a folder entirely or not at all.

    Args:
        out: its path, where nothing is, or an empty folder.

    Yields:
        A folder to write to within the `with` block. It gets its name once all of it is on the
        disk.
    """
    out = out.resolve()
    written = out.with_name(f".{out.name}.{os.getpid()}.partial")
    make_folder(out.parent)
    with naming(out, missing=True):
        try:
            written.mkdir()
            yield written
            sync_tree(written)
            os.replace(written, out)
        except BaseException:
            shutil.rmtree(written, ignore_errors=True)
            raise
    sync(out.parent)
