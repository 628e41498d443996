"""Commands as a user types them, short runs, and what is compared of them."""

import contextlib
import hashlib
import importlib.util
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from jaxgan.cli import main
from jaxgan.core.state import GANState
from jaxgan.rundir.loading import load
from jaxgan.rundir.log import read_metrics

SCRIPTS = Path(__file__).parents[1] / "experiments"
JAXGAN = [sys.executable, "-m", "jaxgan.cli"]
EVERY = "--log-every 4 --sample-every 10 --checkpoint-every 10".split()
IMAGES = "--data mnist@train[:64] --batch-size 8 --latent-size 4 --grid 2 2".split()
WIDE = "--generator-width 8 --generator-channels 4 4 --discriminator-width 8".split()
POINTS = [
    *[*EVERY, "--batch-size", "8", "--grid", "3", "4"],
    *"--generator-widths 8 8 --discriminator-widths 8 --pieces 2".split(),
]
VECTORS = {"gaussians_grid25": 2, "gaussians_ring8": 2, "pattern_1010": 4}  # numbers in an example
TINY = {
    "gaussians_grid25": [*POINTS, "--packing", "2"],
    "gaussians_ring8": POINTS,
    "pattern_1010": EVERY,
    "mnist_mlp": [*EVERY, *IMAGES, *"--generator-widths 8 8 --discriminator-widths 8".split()],
    "mnist_conv": [*EVERY, *IMAGES, *WIDE, *"--discriminator-channels 4 4".split()],
    "mnist_dcgan": [
        *[*EVERY, *IMAGES],
        *"--generator-channels 4 4 4 --discriminator-channels 4 4".split(),
    ],
    "mnist_dcgan_bn": [*EVERY, *IMAGES, *WIDE, *"--discriminator-channels 1 4".split()],
}


# A vector and an image recipe; the slow tests take all.
EACH = [
    pytest.param(name, marks=() if name in ("pattern_1010", "mnist_mlp") else pytest.mark.slow)
    for name in sorted(TINY)
]


class Result(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


def script(name: str) -> ModuleType:
    """Imports a script of the experiments."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(*arguments: str | Path) -> Result:
    """Runs a command in this process; log messages go to the log, not to standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        hook = sys.unraisablehook
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as exit:
            return Result(int(exit.code or 0), out.getvalue(), err.getvalue())
        finally:
            sys.unraisablehook = hook
    raise AssertionError("main returned")


def assert_refused(done: Result, told: str) -> None:
    """Asserts that a command ended with status 2 and one short line, which a pattern describes."""
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("jaxgan: ")
    assert len(done.err.splitlines()) == 1, done.err
    assert len(done.err) < 700, done.err
    assert re.search(told, done.err), done.err


def process(*arguments: str | Path, **options: Any) -> Result:
    """Runs a command in a process of its own."""
    words = [*JAXGAN, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, **options)
    return Result(done.returncode, done.stdout, done.stderr)


def digest(state: GANState) -> str:
    """Equal for bit-identical states only: of names, types, shapes and bytes of all arrays."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(state):
        array = np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape};".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def result_of(run: Path) -> dict[str, Any]:
    """All that must not depend on whether a run was interrupted: state, metrics, pictures."""
    samples = sorted((run / "samples").iterdir())
    final = run / "final.png"
    return {
        "state": digest(load(run).state),
        "metrics": [
            {name: value for name, value in record.items() if name != "images_per_second"}
            for record in read_metrics(run)
        ],
        "samples": {path.name: path.read_bytes() for path in samples},
        "final": final.read_bytes() if final.exists() else None,
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, and what is in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def copy(run: Path, to: Path) -> Path:
    """A run that may be changed."""
    return Path(shutil.copytree(run, to))
