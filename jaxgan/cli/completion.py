"""Completion in a shell: one script for all commands, recipes and options, which Tyro writes."""

from collections.abc import Mapping
from dataclasses import make_dataclass
from typing import Annotated, Any, Union

import tyro

from jaxgan.cli.options import (
    Compare,
    Completion,
    Dataset,
    Directions,
    Evaluate,
    Export,
    ImportWeights,
    Info,
    Interpolate,
    Population,
    Recipes,
    Report,
    Restore,
    Sample,
    Train,
    Translate,
    Verify,
    registry,
)
from jaxgan.recipes import recipes

OPTIONS: dict[str, Any] = {
    "train": Train,
    "population": Population,
    "sample": Sample,
    "interpolate": Interpolate,
    "directions": Directions,
    "restore": Restore,
    "translate": Translate,
    "dataset": Dataset,
    "evaluate": Evaluate,
    "export": Export,
    "report": Report,
    "compare": Compare,
    "verify": Verify,
    "features": {
        "import-clip": ImportWeights,
        "import-dinov2": ImportWeights,
        "import-inception": ImportWeights,
    },
    "recipes": Recipes,
    "info": Info,
    "completion": Completion,
}


def print_script(shell: str) -> None:
    """Prints the script.

    Args:
        shell: bash, zsh or fish.

    Raises:
        SystemExit: always, as Tyro does.
    """
    known = recipes()
    by_recipe = {
        name: {recipe: OPTIONS[name][kind] for recipe, kind in known.items()}
        for name in ("train", "population")
    }
    tyro.cli(
        _one_of(OPTIONS | by_recipe),
        prog="jaxgan",
        args=["--tyro-write-completion", shell, "-"],
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
        registry=registry(),
    )


def _one_of(kinds: Mapping[str, Any]) -> Any:
    """Makes the type of a choice by name; a dictionary among the kinds is a choice of its own."""
    made = {
        name: make_dataclass("Choice", [("chosen", _one_of(kind))])
        if isinstance(kind, dict)
        else kind
        for name, kind in kinds.items()
    }
    return Union[  # noqa: UP007  (of a tuple)
        tuple(
            Annotated[kind, tyro.conf.subcommand(name, prefix_name=False)]
            for name, kind in made.items()
        )
    ]
