"""A metric's value, together with how it was measured."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from jaxgan.metrics.intervals import Interval
from jaxgan.util.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """What a value depends on besides the generator. Only values of one protocol are comparable."""

    generated: int  # number of samples
    reference: int  # number of samples
    data: str  # the data set of the reference samples, such as "mnist"
    split: str  # of the data set, such as "train"
    resizing: str  # of images to the size that the features need, such as "none"
    features: str  # the extractor, such as "inception", "digits" or "pixels"
    weights: str | None  # a hash of the extractor's weights; None if it has none
    seed: int
    settings: Mapping[str, int | float | str] = field(default_factory=dict)  # such as {"k": 3}

    def __str__(self) -> str:
        """Formats the protocol on one line."""
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
    """A metric's value; printing it prints its protocol too."""

    metric: str  # such as "fid"
    value: float
    protocol: Protocol
    interval: Interval | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise UserError(f"{self.metric} is {self.value}: it could not be measured")

    def __str__(self) -> str:
        """Formats metric, value, interval and protocol on one line, with five digits."""
        return format(self, ".5g")

    def __format__(self, spec: str) -> str:
        """Formats like `str`, with a format for numbers, such as `.2f`.

        Args:
            spec: the format of the value and of the interval; empty for that of `str`.
        """
        spec = spec or ".5g"
        value = f"{self.metric} {self.value:{spec}}"
        if self.interval is not None:
            ends = self.interval
            value += f" [{ends.low:{spec}}, {ends.high:{spec}}] ({ends.level:.0%}, {ends.how})"
        return f"{value}: {self.protocol}"

    def to_dict(self) -> dict[str, Any]:
        """Converts the result to a dict that JSON can hold; see `from_dict`."""
        return dataclasses.asdict(self)


def from_dict(record: Any) -> Result:
    """Converts what `Result.to_dict` returned back to a result.

    Args:
        record: a value as JSON holds it.

    Returns:
        The result.

    Raises:
        UserError: if a field is missing or has the wrong type.
    """
    try:
        return msgspec.convert(record, Result)
    except msgspec.ValidationError as error:
        raise UserError(f"not a metric's result: {error}") from error
