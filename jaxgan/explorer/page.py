"""The page of a run, in which its generator runs: as one file, or as a folder for a server."""

import gzip
from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.explorer.program import Program
from jaxgan.report.page import as_uri, render
from jaxgan.report.pictures import picture
from jaxgan.util.files import make_folder, read_bytes, write_atomically

RUNTIME = Path(__file__).parent / "runtime"
SCRIPT = Path(__file__).parent / "explorer.js"
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


def write_folder(folder: Path, program: Program) -> None:
    """Writes the page as a folder for a web server: a small page, with all else beside it.

    Args:
        folder: made if it is missing; files of an earlier page are replaced.
        program: what the page computes.

    Raises:
        UserError: if a file cannot be written.
    """
    make_folder(folder)
    assets = _assets(program)
    for name, data in assets.items():
        write_atomically(folder / name, data)
    write_atomically(folder / "index.html", _html(program, {}).encode())
    for left in folder.glob("*.onnx"):
        if left.name not in assets:
            left.unlink()


def _assets(program: Program) -> dict[str, bytes]:
    return {f"{name}.onnx": data for name, data in program.models.items()} | runtime()


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
