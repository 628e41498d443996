"""The members of a population: their seeds, and the hyperparameters of a sweep."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import cached_property
from itertools import product
from typing import get_type_hints

from jaxgan.recipes import Recipe
from jaxgan.util.errors import UserError
from jaxgan.util.parsing import shown

ALIASES = {"lr": "learning_rate"}
EACH = 8  # members of each setting by default
MOST = 10_000  # members


@dataclass(frozen=True)
class Members:
    """The members of a population: for every setting of a sweep, the same seeds.

    The first `per_setting` members have the first setting and seeds that count up from that of the
    population; the next ones have the second setting and the same seeds.
    """

    count: int
    sweep: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    at_once: int | None = None  # members computed together; None for a number that suits the device

    def __post_init__(self):
        sweep = {name: tuple(map(float, values)) for name, values in self.sweep.items()}
        object.__setattr__(self, "sweep", sweep)  # of Python's numbers, which JSON can hold
        for name, number in (("members", self.count), ("at_once", self.at_once)):
            if number is not None and not 1 <= number <= MOST:
                raise UserError(f"{name} must be from 1 to {MOST}, not {number}")
        for name, values in self.sweep.items():
            if not values:
                raise UserError(f"the sweep of {name} has no values")
        if self.count % len(self.settings):
            fit = -(-self.count // len(self.settings)) * len(self.settings)
            raise UserError(
                f"{self.count} members cannot be divided evenly among {len(self.settings)} "
                f"settings: choose --members {fit}"
            )

    @cached_property
    def settings(self) -> list[dict[str, float]]:
        """Every combination of the swept values; a single empty one if nothing is swept."""
        return [
            dict(zip(self.sweep, values, strict=True)) for values in product(*self.sweep.values())
        ]

    @property
    def per_setting(self) -> int:
        """Number of members with the same setting."""
        return self.count // len(self.settings)

    def seeds(self, first: int) -> list[int]:
        """Returns the seed of each member; `first` is that of the population."""
        return [first + index % self.per_setting for index in range(self.count)]

    def values(self) -> dict[str, list[float]]:
        """Returns each swept hyperparameter's values, one for each member."""
        return {
            name: [setting[name] for setting in self.settings for _ in range(self.per_setting)]
            for name in self.sweep
        }

    def setting_of(self, member: int) -> dict[str, float]:
        """Returns the swept hyperparameters of a member."""
        return self.settings[member // self.per_setting]


def numeric(kind: type[Recipe]) -> list[str]:
    """Lists the hyperparameters that can be swept: the real numbers, unless data depend on them."""
    types = get_type_hints(kind)
    names = [field.name for field in fields(kind) if types[field.name] is float]
    return [name for name in names if name not in kind.of_data]


def check_sweep(sweep: Mapping[str, tuple[float, ...]], kind: type[Recipe]) -> None:
    """Checks that hyperparameters can be swept.

    Args:
        sweep: their values, by name.
        kind: the class of the recipe.

    Raises:
        UserError: if the recipe has no hyperparameter of that name, it is not a real number, or the
            data, which all members share, depend on it.
    """
    known = numeric(kind)
    for name in sweep:
        if name not in known and name in {field.name for field in fields(kind)}:
            raise UserError(
                f"cannot sweep {shown(name)}: members share their program and their data, so only "
                "real numbers that shape neither can be swept; train a population for each value"
            )
        if name not in known:
            near = get_close_matches(name, known) or known
            raise UserError(f"cannot sweep {shown(name)}: choose {' or '.join(near)}")


def choose(
    count: int | None,
    words: Sequence[str],
    at_once: int | None,
    kind: type[Recipe],
    before: Members | None,
) -> Members:
    """Makes the members that a command line asks for.

    Args:
        count: the number of members; None for that of `before`, or for `EACH` of each setting.
        words: the sweep, such as "learning_rate=1e-4,2e-4"; empty for that of `before`.
        at_once: see `Members`.
        kind: the class of the recipe.
        before: the members of the run that is to be resumed.

    Returns:
        The members.

    Raises:
        UserError: if a word cannot be read as a sweep of this recipe.
    """
    sweep = _read_sweep(words)
    check_sweep(sweep, kind)
    if before is not None:
        return Members(
            before.count if count is None else count,
            sweep or before.sweep,
            before.at_once if at_once is None else at_once,
        )
    if count is None:
        count = EACH * math.prod(map(len, sweep.values()))
    return Members(count, sweep, at_once)


def _read_sweep(words: Sequence[str]) -> dict[str, tuple[float, ...]]:
    sweep: dict[str, tuple[float, ...]] = {}
    for word in words:
        name, equals, listed = word.partition("=")
        name = name.replace("-", "_")
        name = ALIASES.get(name, name)
        try:
            values = tuple(map(float, listed.split(",")))
        except ValueError:
            values = ()
        if not equals or not values:
            raise UserError(f"cannot read the sweep {shown(word)}: write learning_rate=1e-4,2e-4")
        if name in sweep or len(set(values)) < len(values):
            raise UserError(f"the sweep of {shown(name)} has the same name or value twice")
        sweep[name] = values
    return sweep
