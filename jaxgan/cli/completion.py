"""Completion in a shell: one script for all commands, recipes and options, which Tyro writes."""

from collections.abc import Mapping
from dataclasses import make_dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any

import tyro

from jaxgan.cli.options import registry
from jaxgan.recipes import recipes


def print_script(shell: str, options: Mapping[str, Any]) -> None:
    """Prints the script.

    Args:
        shell: bash, zsh or fish.
        options: of each command, by its name: a class, one of a recipe (`Generic`), or those of
            the command's own commands by name.

    Raises:
        SystemExit: always, as Tyro does.
    """
    tyro.cli(
        _one_of({name: _by_recipe(kind) for name, kind in options.items()}),
        prog="jaxgan",
        args=["--tyro-write-completion", shell, "-"],
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
        registry=registry(),
    )


def _by_recipe(kind: Any) -> Any:
    """Makes the options of a command that takes any recipe those of each, by its name."""
    if not getattr(kind, "__parameters__", ()):
        return kind
    return {name: kind[recipe] for name, recipe in recipes().items()}


def _one_of(kinds: Mapping[str, Any]) -> Any:
    """Makes the type of a choice by name; a dictionary among the kinds is a choice of its own."""
    made = {
        name: make_dataclass("Choice", [("chosen", _one_of(kind))])
        if isinstance(kind, dict)
        else kind
        for name, kind in kinds.items()
    }
    choices = (
        Annotated[kind, tyro.conf.subcommand(name, prefix_name=False)]
        for name, kind in made.items()
    )
    return reduce(or_, choices)
