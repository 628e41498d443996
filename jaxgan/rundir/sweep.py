"""What the members of a population differ in: their seeds, and the hyper-parameters of a sweep."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from itertools import product
from typing import get_type_hints

from jaxgan.util.errors import UserError

ALIASES = {"lr": "learning_rate"}
EACH = 8  # members of each setting, if nothing is said
MOST = 10_000  # members


@dataclass(frozen=True)
class Members:
    """The members of a population: for every setting of a sweep, the same seeds.

    The first `count / settings` members have the first setting, and seeds that count up from the
    population's; the next ones have the second setting and the same seeds again.
    """

    count: int
    sweep: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    at_once: int | None = None  # computed together (see jaxgan.population); None for a fit number

    def __post_init__(self):
        for name, number in (("members", self.count), ("at_once", self.at_once)):
            if number is not None and not 1 <= number <= MOST:
                raise UserError(f"{name} must be from 1 to {MOST}, not {number}")
        if self.count % len(self.settings):
            fit = -(-self.count // len(self.settings)) * len(self.settings)
            raise UserError(
                f"{len(self.settings)} settings cannot have the same number of {self.count} "
                f"members: choose --members {fit}"
            )

    @property
    def settings(self) -> list[dict[str, float]]:
        """Every combination of the sweep's values; one without values if nothing is swept."""
        return [
            dict(zip(self.sweep, values, strict=True)) for values in product(*self.sweep.values())
        ]

    @property
    def per_setting(self) -> int:
        """Members with one setting."""
        return self.count // len(self.settings)

    def seeds(self, first: int) -> list[int]:
        """The seed of each member, given the population's."""
        return [first + index % self.per_setting for index in range(self.count)]

    def values(self) -> dict[str, list[float]]:
        """The value of each swept hyper-parameter, of each member."""
        return {
            name: [setting[name] for setting in self.settings for _ in range(self.per_setting)]
            for name in self.sweep
        }

    def setting_of(self, member: int) -> dict[str, float]:
        """The swept hyper-parameters of one member."""
        return self.settings[member // self.per_setting]


def numeric(kind: type) -> list[str]:
    """Lists the hyperparameters that can be swept: the real numbers."""
    types = get_type_hints(kind)
    return [field.name for field in fields(kind) if types[field.name] is float]


def check_sweep(sweep: Mapping[str, tuple[float, ...]], kind: type) -> None:
    """Checks that a kind of recipe has the hyper-parameters that are swept.

    Args:
        sweep: values by name.
        kind: of recipe.

    Raises:
        UserError: if it has not, or they are no real numbers.
    """
    known = numeric(kind)
    for name in sweep:
        if name not in known:
            near = get_close_matches(name, known) or known
            raise UserError(f"cannot sweep {name!r}: choose of {', '.join(near)}")


def choose(
    count: int | None,
    words: Sequence[str],
    at_once: int | None,
    kind: type,
    before: Members | None,
) -> Members:
    """Makes the members that a command line asks for.

    Args:
        count: how many; None for those of `before`, or for `EACH` of each setting.
        words: the sweep, such as "learning_rate=1e-4,2e-4"; none for that of `before`.
        at_once: see `Members`.
        kind: of recipe.
        before: of the run that is to be resumed.

    Returns:
        The members.

    Raises:
        UserError: if one of the words makes no sense.
    """
    sweep = _read_sweep(words)
    check_sweep(sweep, kind)
    if before is not None:
        return Members(count or before.count, sweep or before.sweep, at_once or before.at_once)
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
            raise UserError(f"cannot read the sweep {word!r}: write learning_rate=1e-4,2e-4")
        if name in sweep or len(set(values)) < len(values):
            raise UserError(f"the sweep of {name} says something twice")
        sweep[name] = values
    return sweep
