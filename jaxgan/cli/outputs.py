"""Where commands that turn pictures into others may write."""

from pathlib import Path

from jaxgan.data.sources import DATA
from jaxgan.util.errors import UserError
from jaxgan.util.files import naming


def check_folder(out: Path, source: str) -> None:
    """Checks that a folder can be written to, and that pictures would not replace those given.

    Args:
        out: the folder, which may be missing.
        source: the pictures that are given: a path, or "data:" and a data set.

    Raises:
        UserError: if it is a file, or holds the given pictures.
    """
    with naming(out):
        if out.exists() and not out.is_dir():
            raise UserError(f"{out} is not a folder: choose another --out")
        path = Path(source).expanduser().resolve()
        if not source.startswith(DATA) and out.resolve() in (path, path.parent):
            raise UserError(f"{out} holds the given pictures: choose another --out")
