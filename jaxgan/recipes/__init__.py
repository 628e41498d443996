"""The recipes, one per file: each file here that defines a recipe is found by its name."""

import difflib
import importlib
import pkgutil

from jaxgan.recipes.recipe import ImageRecipe, Recipe
from jaxgan.util.errors import UserError

__all__ = ["ImageRecipe", "Recipe", "find_recipe", "recipes"]


def recipes() -> dict[str, type[Recipe]]:
    """Finds all recipes.

    Returns:
        Recipe classes by name, sorted.
    """
    found = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Recipe) and hasattr(value, "name"):
                found[value.name] = value
    return dict(sorted(found.items()))


def find_recipe(name: str) -> type[Recipe]:
    """Finds one recipe.

    Args:
        name: of the recipe.

    Returns:
        Its class.

    Raises:
        UserError: if there is none of that name; names the nearest ones.
    """
    found = recipes()
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, found, n=3, cutoff=0.4) or list(found)
    raise UserError(f"there is no recipe {name!r}: did you mean {' or '.join(near)}?")
