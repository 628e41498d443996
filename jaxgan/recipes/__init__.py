"""Recipes: each is a class that subclasses `Recipe` and has a `name` of its own.

Those of jaxgan are in the files of this folder. One of yours may be defined anywhere:

    @dataclass(frozen=True, kw_only=True)
    class MyGan(ImageRecipe):
        name: ClassVar[str] = "my_gan"
        ...

It is found once it has been imported, as `jaxgan train my_gan --import my_gan.py` and `load_from`
do. Those of an installed package are found by an entry point:

    [project.entry-points."jaxgan.recipes"]
    my_package = "my_package.gans"
"""

import difflib
import importlib
import importlib.util
import logging
import pkgutil
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from jaxgan.recipes.recipe import (
    Count,
    CountFrom0,
    Counts,
    ImageRecipe,
    NonNegative,
    Positive,
    Recipe,
    Share,
    known,
    require_classes,
    require_side,
    require_size,
    require_source,
    source_of,
)
from jaxgan.util.errors import UserError
from jaxgan.util.files import expanded

__all__ = [
    "Count",
    "CountFrom0",
    "Counts",
    "ImageRecipe",
    "NonNegative",
    "Positive",
    "Recipe",
    "Share",
    "find_recipe",
    "load_from",
    "recipes",
    "require_classes",
    "require_side",
    "require_size",
    "require_source",
    "source_of",
]

logger = logging.getLogger(__name__)


def recipes() -> dict[str, type[Recipe]]:
    """Finds all recipes: those of jaxgan, of installed packages, and those that were imported.

    Returns:
        Recipe classes by name, sorted.
    """
    import_installed()
    return dict(sorted(known.items()))


def find_recipe(name: str) -> type[Recipe]:
    """Finds a recipe by its name.

    Args:
        name: the name.

    Returns:
        Its class.

    Raises:
        UserError: if there is none of that name; suggests the nearest ones, if any is near.
    """
    found = recipes()
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, found, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "jaxgan recipes lists them"
    raise UserError(f"there is no recipe {name!r}: {hint}")


def load_from(source: str) -> None:
    """Imports a module that defines recipes; `find_recipe` finds them from then on.

    Args:
        source: the name of a module, or the path of a .py file.

    Raises:
        UserError: if there is no such module or file.
    """
    if source.endswith(".py"):
        _import_file(expanded(source).resolve())
        return
    if not all(map(str.isidentifier, source.split("."))):
        raise UserError(f"cannot import {source!r}: give the name of a module or a .py file")
    try:
        importlib.import_module(source)
    except ModuleNotFoundError as error:
        if not f"{source}.".startswith(f"{error.name}."):  # one that the module itself imports
            raise
        raise UserError(
            f"there is no module {error.name!r} to import: is it installed? Or give a .py file"
        ) from None


def _import_file(path: Path) -> None:
    """Imports a file as a module whose name is its path, once."""
    name = str(path)
    if name in sys.modules:
        return
    if not path.is_file():
        raise UserError(f"there is no file {path} to import")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


@cache
def import_installed() -> None:
    """Imports the recipes of jaxgan, and those of packages that declare them."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    for entry in metadata.entry_points(group=__name__):
        try:
            entry.load()
        except Exception as error:  # whatever it is, it must not stop all other recipes
            logger.warning("cannot import the recipes of %s: %s", entry.value, error)
