"""The wheel and the sdist hold all that a run needs, and run where nothing else of jaxgan is."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
NEEDED = [
    "jaxgan/py.typed",
    "jaxgan/data/mnist/train-images-idx3-ubyte.gz",
    "jaxgan/data/openmoji/openmoji64.npz",
    "jaxgan/data/faces/faces16.npz",
    "jaxgan/features/digits.safetensors",
    "jaxgan/pretrained/mnist/weights.safetensors",
    "jaxgan/pretrained/faces/config.json",
    "jaxgan/report/page.html.jinja",
]


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    newest = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert citation["version"] == newest[1] == VERSION


def test_the_citation_has_what_its_schema_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert all("name" in author or "family-names" in author for author in citation["authors"])


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist, and the wheel that is made of it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for path in ROOT.glob("*.*"):
        if path.is_file():
            shutil.copy(path, source)
    shutil.copy(ROOT / "LICENSE", source)
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "jaxgan", source / "jaxgan", ignore=unwanted)
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return out


@pytest.mark.slow
def test_both_archives_hold_what_is_needed(built):
    with zipfile.ZipFile(built / f"jaxgan-{VERSION}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    assert set(NEEDED) <= names
    assert f"jaxgan-{VERSION}.dist-info/licenses/LICENSE" in names
    assert {name.split("/")[0] for name in names} == {"jaxgan", f"jaxgan-{VERSION}.dist-info"}
    with tarfile.open(built / f"jaxgan-{VERSION}.tar.gz") as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {*NEEDED, "LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff"} <= names


@pytest.mark.slow
def test_the_wheel_runs_in_an_empty_directory(built, tmp_path):
    there, here = tmp_path / "installed", tmp_path / "empty"
    here.mkdir()
    wheel = built / f"jaxgan-{VERSION}-py3-none-any.whl"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", str(there), str(wheel)], check=True)

    def run(*words: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(there)}
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, cwd=here, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert Path(run("-c", "import jaxgan; print(jaxgan.__file__)")).is_relative_to(there)
    assert run("-m", "jaxgan.cli", "--version") == f"jaxgan {VERSION}"
    assert f"jaxgan {VERSION}" in re.sub(" +", " ", run("-m", "jaxgan.cli", "info"))
    run("-m", "jaxgan.cli", "train", "pattern_1010", "--steps", "10", "--out", "run")
    assert json.loads((here / "run" / "config.json").read_text())["versions"]["jaxgan"] == VERSION
    assert "pattern_1010" in (here / "run" / "report.html").read_text("utf-8")
    assert (here / run("-m", "jaxgan.cli", "sample", "pretrained:mnist", "--num", "4")).exists()
    assert (there / "bin" / "jaxgan").exists()
