"""The page of a run, in which its generator runs: as one file, or as a folder for a server."""

import gzip
from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.explorer.program import OPTIONAL, Program
from jaxgan.report.page import as_uri, render
from jaxgan.report.pictures import picture
from jaxgan.util.files import make_folder, read_bytes, write_atomically

RUNTIME = Path(__file__).parent / "runtime"
SCRIPT = Path(__file__).parent / "explorer.js"
HTML = "index.html"  # of a folder
CODE, COMPUTER = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"


def runtime() -> dict[str, bytes]:
    """Reads ONNX Runtime Web, which comes with the package.

    Returns:
        Its two files, by name.
    """
    packed = read_bytes(RUNTIME / f"{COMPUTER}.gz")
    return {CODE: read_bytes(RUNTIME / CODE), COMPUTER: gzip.decompress(packed)}


def write_page(path: Path, program: Program) -> None:
    """Writes the page as one file, which needs nothing else, not even a network.

    Args:
        path: of the page; its folder is made if need be.
        program: what the page computes.

    Raises:
        UserError: if the file cannot be written.
    """
    packed = {
        name: b64encode(gzip.compress(data, mtime=0)).decode()
        for name, data in _assets(program).items()
    }
    make_folder(path.parent)
    write_atomically(path, _html(program, packed).encode())


def is_free(path: Path) -> bool:
    """Tells whether a folder may be written at a path.

    Args:
        path: where something is.

    Returns:
        Whether that is an empty folder, or what `write_folder` wrote.
    """
    return path.is_dir() and (
        not any(path.iterdir()) or all((path / name).exists() for name in (HTML, COMPUTER))
    )


def write_folder(folder: Path, program: Program) -> None:
    """Writes the page as a folder for a web server: a small page, with all else beside it.

    Args:
        folder: made if it is missing; files of an earlier page are replaced, all others stay.
        program: what the page computes.

    Raises:
        UserError: if a file cannot be written.
    """
    make_folder(folder)
    assets = _assets(program)
    for name, data in assets.items():
        write_atomically(folder / name, data)
    write_atomically(folder / HTML, _html(program, {}).encode())
    for name in OPTIONAL:
        if _file_of(name) not in assets:
            (folder / _file_of(name)).unlink(missing_ok=True)


def _assets(program: Program) -> dict[str, bytes]:
    return {_file_of(name): data for name, data in program.models.items()} | runtime()


def _file_of(model: str) -> str:
    return f"{model}.onnx"


def _html(program: Program, assets: Mapping[str, str]) -> str:
    about: dict[str, Any] = {**program.about, "models": list(program.models)}
    sources = [] if program.sources is None else program.sources
    shape = about["source"] or about["shape"]
    return render(
        "explorer.html.jinja",
        "explorer",
        about=about,
        script=SCRIPT.read_text("utf-8"),
        assets=assets,
        color=shape[-1] == 3,
        examples=[as_uri(_png(image)) for image in sources],
    )


def _png(image: np.ndarray) -> bytes:
    data = BytesIO()
    picture(image).save(data, "PNG")
    return data.getvalue()
