"""The pages that are made of docstrings: the gallery, and the API, a page for each room."""

import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.pycode import ModuleAnalyzer

import jaxgan
from jaxgan.recipes import Recipe, recipes

PICTURES = {"cyclegan": "faces", "mnist_infogan": "infogan_codes"}  # others are named as recipes


def write(docs: Path) -> None:
    """Writes the pages, and removes those of rooms that are gone.

    Args:
        docs: the folder of the site's sources.
    """
    texts = {f"{room}.md": api_page(room) for room in rooms()}
    texts["index.md"] = api_index(rooms())
    (docs / "api").mkdir(exist_ok=True)
    for path in set((docs / "api").iterdir()) - {docs / "api" / name for name in texts}:
        path.unlink()
    for name, text in texts.items():
        update(docs / "api" / name, text)
    update(docs / "gallery.md", gallery(docs / "images"))


def update(path: Path, text: str) -> None:
    """Writes a file unless it holds the text already: Sphinx reads again what is newer."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def gallery(images: Path) -> str:
    """Makes the page of all recipes, those with a picture first.

    Args:
        images: the folder of pictures.
    """
    kinds = [kind for kind in recipes().values() if kind.__module__.startswith("jaxgan.")]
    pictures = {kind.name: images / f"{PICTURES.get(kind.name, kind.name)}.png" for kind in kinds}
    drawn = [kind for kind in kinds if pictures[kind.name].exists()]
    others = [kind for kind in kinds if not pictures[kind.name].exists()]
    tiles = [
        f"[![{kind.name}](images/{pictures[kind.name].name})<br>`{kind.name}`](#gallery-{kind.name})"
        for kind in drawn
    ]
    return "\n\n".join(
        [
            "# Gallery",
            "Every recipe, with the command that trains it and what is to be expected of it. Any "
            "of its settings is an option of the command; `jaxgan train RECIPE --help` lists them.",
            "::::{container} gallery",
            *tiles,
            "::::",
            *(entry(kind, pictures[kind.name]) for kind in drawn),
            "## Without a picture\n\nMost of these are for a GPU and have not been run to their "
            "end; each says so.",
            *(entry(kind, None).replace("## ", "### ", 1) for kind in others),
        ]
    )


def entry(kind: type[Recipe], picture: Path | None) -> str:
    """Makes the entry of a recipe from its docstring."""
    text = re.sub(r"\n+(?=(?:Command|Expect): )", "\n\n", inspect.getdoc(kind) or "")
    summary, *paragraphs = text.split("\n\n")
    lines = [f"(gallery-{kind.name})=", f"## {kind.name}", summary]
    if picture is not None:
        lines.append(f"![Samples of {kind.name}](images/{picture.name})")
    for paragraph in paragraphs:
        lines.append(re.sub(r"^(Source|Command|Expect): ", r"**\1:** ", paragraph))
    return "\n\n".join([*lines, f"Options: {{py:class}}`{kind.__module__}.{kind.__qualname__}`."])


def rooms() -> list[str]:
    """Lists the package and its modules."""
    return ["jaxgan", *sorted(f"jaxgan.{x.name}" for x in pkgutil.iter_modules(jaxgan.__path__))]


def modules(room: str) -> list[ModuleType]:
    """Imports a room and all modules in it; of `jaxgan` the package alone."""
    module = importlib.import_module(room)
    if room == "jaxgan" or not hasattr(module, "__path__"):
        return [module]
    inside = pkgutil.walk_packages(module.__path__, f"{room}.")
    names = sorted(x.name for x in inside if not x.name.endswith(".__main__"))
    return [module, *map(importlib.import_module, names)]


@cache
def hidden() -> list[str]:
    """Lists modules that a package hides behind a function of the same name."""
    inside = [module.__name__.rpartition(".") for room in rooms() for module in modules(room)[1:]]
    return [
        f"{package}.{name}"
        for package, _, name in inside
        if inspect.isroutine(getattr(importlib.import_module(package), name))
    ]


def public(module: ModuleType) -> dict[str, Any]:
    """Finds the functions and classes that a module offers, and the values that it comments on."""
    comments = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
    commented = {name for kind, name in comments if not kind}
    listed = getattr(module, "__all__", None)
    return {
        name: value
        for name, value in vars(module).items()
        if name in commented
        or (name in listed if listed else getattr(value, "__module__", None) == module.__name__)
        and (inspect.isclass(value) or inspect.isfunction(inspect.unwrap(value)))
        and not name.startswith("_")
    }


def contents(room: str) -> Iterator[tuple[ModuleType, list[str], list[str]]]:
    """Goes through the modules of a room.

    Yields:
        Each module, with the names to document there, and those of it that are documented before,
        where they are to be imported from.
    """
    seen = set() if room == "jaxgan" else {id(value) for value in public(jaxgan).values()}
    for module in modules(room):
        found = public(module)
        again = [name for name, value in found.items() if id(value) in seen]
        yield module, [name for name in found if name not in again], again
        seen |= {id(value) for value in found.values()}


def elsewhere() -> list[str]:
    """Lists the full names that are documented elsewhere than where they are defined."""
    return [
        f"{module.__name__}.{name}"
        for room in rooms()
        for module, _, again in contents(room)
        for name in again
    ]


def api_page(room: str) -> str:
    """Makes the page of a room. A name is documented where it is to be imported from."""
    parts = [f"# {room}"]
    for module, names, _ in contents(room):
        if module.__name__ != room:
            parts.append(f"## {module.__name__}")
        parts.append(automodule(module.__name__, names))
    return "\n\n".join(parts) + "\n"


def automodule(module: str, names: list[str]) -> str:
    """Writes the directive that documents names of a module."""
    lines = [f".. automodule:: {module}", ":imported-members:"]
    if names:
        lines.append(f":members: {', '.join(names)}")
    if module in hidden():
        lines.append(":no-index:")
    return "```{eval-rst}\n" + textwrap.indent("\n".join(lines), "   ").lstrip() + "\n```"


def api_index(pages: list[str]) -> str:
    """Makes the first page of the API: a table of the rooms, and what is in each."""
    rows = []
    for page in pages:
        summary = (importlib.import_module(page).__doc__ or "").split("\n\n")[0]
        rows.append(f"| [{page}]({page}.md) | {' '.join(summary.split())} |")
    return "\n".join(
        [
            "# API",
            "",
            "What a program of yours may use, from the docstrings. "
            "[Architecture](../architecture.md) says how the packages depend on each other.",
            "",
            "| package or module | what is in it |",
            "|---|---|",
            *rows,
            "",
            "```{toctree}",
            ":hidden:",
            ":maxdepth: 1",
            *pages,
            "```",
            "",
        ]
    )
