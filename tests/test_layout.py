"""Who may import whom, read from the source: nothing imports upward."""

import ast
from pathlib import Path

import pytest

import jaxgan

ROOT = Path(jaxgan.__file__).parent

# Lowest first. A room may import what stands on a line above its own; a package also itself.
LAYERS = [
    {"errors", "types", "files", "interruption", "checking", "tables"},
    {"fourier", "windows"},
    {
        "members",
        "keys",
        "options",
        "losses",
        "penalties",
        "latents",
        "convolution",
        "digest",
        "startup",
        "parallel",
    },
    {"layers", "metrics"},
    {"models"},
    {"gan"},
    {"updates"},
    {"combinators"},
    {"steps"},
    {"population"},
    {"data"},
    {"checkpoint", "interop"},
    {"features"},
    {"recipes"},
    {"surroundings", "pictures", "plots", "progress", "records"},
    {"measuring", "rundir", "summary"},
    {"experiment", "evaluation", "report", "sampling"},
    {"judging", "stretches", "evaluating"},
    {"training", "verifying"},
    {"cli"},
    {"__init__"},
]
HEIGHT = {room: height for height, layer in enumerate(LAYERS) for room in layer}
# The data and the metrics only know arrays, and networks know nothing of training.
ONLY = {
    "data": {"types", "errors", "keys", "files"},
    "models": {"types", "layers", "convolution"},
    "losses": {"types"},
    "penalties": {"types"},
    "metrics": {"types", "errors", "keys", "checking"},
    "__init__": {"combinators", "gan", "losses", "steps", "updates"},
}
# Libraries that only some rooms may know, and what none may import.
KEPT = {
    "tensorflow_datasets": {"data"},
    "grain": {"data"},
    "orbax": {"checkpoint"},
    "matplotlib": {"plots"},
    "filelock": {"rundir"},
    "tyro": {"options"},
    "safetensors": {"interop"},
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


def test_every_room_has_a_layer_and_every_layer_its_rooms():
    assert {room_of(path) for path in FILES} == set(HEIGHT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downward(path):
    room = room_of(path)
    for other in rooms_imported(path) - ({room} if path.parent != ROOT else set()):
        assert HEIGHT[other] < HEIGHT[room], f"{room} imports {other}, which is not below it"
        assert other in ONLY.get(room, HEIGHT), f"{room} has no business with {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_libraries_stay_in_their_rooms(path):
    for library in {name.split(".")[0] for name in imports_of(path)} & set(KEPT):
        assert room_of(path) in KEPT[library], f"{library} has no place here"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_room(path):
    assert len(path.read_text().splitlines()) <= 350
