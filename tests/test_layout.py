"""Who may import whom, read from the source: imports go one way, and libraries stay in one room."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import jaxgan

ROOT = Path(jaxgan.__file__).parent

# A room (a folder, or a single file of the vocabulary) imports only rooms before it.
ROOMS = [
    *("util", "types", "axes", "keys", "losses", "penalties", "terms", "latents", "augment"),
    "schedules",
    *(
        "nn",
        "models",
        "core",
        "regularizers",
        "population",
        "restoration",
        "degradations",
        "metrics",
        "data",
        "interop",
        "features",
    ),
    *("recipes", "devices", "rundir", "export", "report", "explorer"),
    *("evaluation", "training", "pretrained"),
    "cli",
    "__init__",
]
PLACE = {room: place for place, room in enumerate(ROOMS)}
# The core is pure, and the vocabulary, the networks and the metrics know nothing of training.
VOCABULARY = {
    *("types", "axes", "keys", "losses", "penalties", "terms", "latents", "augment", "schedules")
}
ONLY = {
    "core": {"util", *VOCABULARY},
    "data": {"util", "types", "axes", "keys"},
    "metrics": {"util", "types", "keys"},
    "models": {"types", "nn"},
    "nn": {"types", "axes", "keys"},
    "restoration": {"core", "keys", "types"},
    "__init__": {"core", "losses", "pretrained"},
    "export": {"core", "recipes", "rundir", "types", "util"},
    "explorer": {
        *("core", "data", "export", "latents", "recipes", "report", "rundir", "types", "util"),
    },
    "pretrained": {"rundir", "util"},
}
# Libraries that only some rooms may import.
KEPT = {
    "tensorflow_datasets": {"data"},
    "grain": {"data"},
    "orbax": {"rundir"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "filelock": {"rundir"},
    "onnx": {"export"},
    "onnxruntime": {"export"},
    "tensorboardX": {"training"},
    "tyro": {"cli"},
    "safetensors": {"interop"},
    "msgspec": {"util", "metrics", "recipes", "rundir", "training"},
    "tensorflow": {"interop"},
    "torch": {"interop", "features"},
    "tests": set(),
    "experiments": set(),
}
FILES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(source: str, package: tuple[str, ...] = ("jaxgan",)) -> set[str]:
    """Full names of all that is imported, also within functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def imports_of(path: Path) -> set[str]:
    return imports(path.read_text(), ("jaxgan", *path.relative_to(ROOT).parts[:-1]))


def rooms_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports_of(path)]
    return {part[1] if len(part) > 1 else "__init__" for part in parts if part[0] == "jaxgan"}


def test_all_forms_of_import_are_read():
    source = """
import a.b, c as d
from e.f import g
from . import h
from ..i import j
def function():
    import k
"""
    found = {"a.b", "c", "e.f.g", "jaxgan.data.h", "jaxgan.i.j", "k"}
    assert imports(source, ("jaxgan", "data")) == found


def test_every_room_has_a_place():
    assert {room_of(path) for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room):
    for path in FILES:
        if room_of(path) != room:
            continue
        for other in rooms_imported(path) - ({room} if path.parent != ROOT else set()):
            assert PLACE[other] < PLACE[room], f"{path} imports {other}, which comes after {room}"
            assert other in ONLY.get(room, PLACE), f"{path} has no business with {other}"


@pytest.mark.parametrize("library", KEPT)
def test_libraries_stay_in_their_rooms(library):
    importing = {path for path in FILES if library in {x.split(".")[0] for x in imports_of(path)}}
    assert {room_of(path) for path in importing} <= KEPT[library], importing


def test_every_dependency_has_a_lower_and_an_upper_bound():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["docs"], *extras["parity"], *extras["test"]]
    assert [each for each in needed if not re.fullmatch(r"[\w-]+>=[\d.]+,<[\d.]+", each)] == []


def test_what_is_slow_to_import_waits_until_it_is_needed():
    program = (
        "import sys, jaxgan, jaxgan.data, jaxgan.cli; "
        "print({'tensorflow', 'tensorflow_datasets', 'grain', 'flax.nnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
