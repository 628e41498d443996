"""A metric's value together with how it was measured."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from jaxgan.metrics.intervals import Interval
from jaxgan.util.checking import is_a
from jaxgan.util.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """What a number depends on besides the generator. Only numbers of one protocol compare."""

    generated: int  # samples
    reference: int  # samples
    data: str  # what the reference samples are of, such as "mnist"
    split: str  # which part of it, such as "train"
    resizing: str  # how images came to the size that the features need, such as "none"
    features: str  # their extractor, such as "inception", "digits", "pixels"
    weights: str | None  # a hash of the extractor's weights, None if it has none
    seed: int
    settings: Mapping[str, int | float | str] = field(default_factory=dict)  # such as {"k": 3}

    def __str__(self) -> str:
        """Writes it in a line."""
        features = self.features + (f" {self.weights[:12]}" if self.weights else "")
        return ", ".join(
            (
                f"{self.generated} generated",
                f"{self.reference} of {self.data} {self.split}",
                f"resizing {self.resizing}",
                f"features {features}",
                f"seed {self.seed}",
                *(f"{name} {value}" for name, value in self.settings.items()),
            )
        )


@dataclass(frozen=True)
class Result:
    """A metric's value, which is never printed without its protocol."""

    metric: str  # such as "fid"
    value: float
    protocol: Protocol
    interval: Interval | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise UserError(f"{self.metric} is {self.value}: it could not be measured")

    def __str__(self) -> str:
        """Writes metric, value, interval and protocol in a line, numbers with five digits."""
        return format(self, ".5g")

    def __format__(self, spec: str) -> str:
        """Writes it in a line as `str` does, with numbers as `spec` has it, like `.2f`.

        Args:
            spec: of the value and the interval's ends; empty for that of `str`.
        """
        spec = spec or ".5g"
        value = f"{self.metric} {self.value:{spec}}"
        if self.interval is not None:
            ends = self.interval
            value += f" [{ends.low:{spec}}, {ends.high:{spec}}] ({ends.level:.0%}, {ends.how})"
        return f"{value}: {self.protocol}"

    def to_dict(self) -> dict[str, Any]:
        """Converts it to what JSON can hold.

        Returns:
            A dict that `from_dict` takes.
        """
        return dataclasses.asdict(self)


def from_dict(record: Any) -> Result:
    """Makes a result of what `Result.to_dict` gave.

    Args:
        record: whatever JSON can hold.

    Returns:
        The result.

    Raises:
        UserError: if a field is missing, unknown or of the wrong type.
    """
    fields = _fields(record, "the result", Result, protocol=dict, interval=dict | None)
    protocol = _fields(fields["protocol"], "its protocol", Protocol, settings=dict)
    if not all(is_a(int | float | str, value) for value in protocol["settings"].values()):
        raise UserError("the settings in its protocol must be numbers or text")
    interval = fields["interval"]
    if interval is not None:
        ends = _fields(interval, "its interval", Interval)
        low, high, level = (float(ends[name]) for name in ("low", "high", "level"))
        interval = Interval(low, high, level, ends["how"])
    return Result(fields["metric"], float(fields["value"]), Protocol(**protocol), interval)


def _fields(record: Any, name: str, kind: type, **written: Any) -> dict[str, Any]:
    """Checks the fields of a record; `written` are types that JSON writes as others."""
    kinds = get_type_hints(kind) | written
    if not isinstance(record, dict) or set(record) != set(kinds):
        raise UserError(f"{name} must have the fields {', '.join(kinds)}")
    wrong = [each for each in kinds if not is_a(kinds[each], record[each])]
    if wrong:
        raise UserError(f"{', '.join(wrong)} of {name}: not of the right type")
    return record
