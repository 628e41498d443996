"""Whether values that people write down are of the type that they must be of."""

import sys
from collections.abc import Mapping
from math import prod
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    NoneType: "none",
}


def is_a(kind: Any, value: Any) -> bool:
    """Tells whether a value is of a type, more strictly than Python does: true is no number.

    Args:
        kind: int, float (which whole numbers are, too), str, bool, None, a union of such, or a
            tuple of them.
        value: anything.

    Returns:
        Whether it is.
    """
    if isinstance(kind, UnionType):
        return any(is_a(one, value) for one in get_args(kind))
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if not isinstance(value, tuple):
            return False
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(value)
        return len(kinds) == len(value) and all(map(is_a, kinds, value))
    if kind is float and is_a(int, value):
        return abs(value) <= sys.float_info.max
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def in_words(kind: Any) -> str:
    """Says what values of a type are, as in "it must be a whole number".

    Args:
        kind: as in `is_a`.
    """
    if isinstance(kind, UnionType):
        return " or ".join(map(in_words, get_args(kind)))
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        count = "" if kinds[-1] is Ellipsis else f"{len(kinds)} "
        return f"a tuple of {count}{_WORDS[kinds[0]].removeprefix('a ')}s"
    return _WORDS[kind]


_CONFIG = {  # what config.json holds; what ends in None may be missing
    "recipe": str,
    "hyperparameters": dict,
    "seed": int,
    "shape": tuple[int, ...],
    "classes": int | None,
    "description": str | None,
    "steps": int | None,
    "versions": dict | None,
    "device": dict | None,
    "created": str | None,
    "members": dict | None,
}
_DEVICE = {  # what its "device" holds
    "platform": str | None,
    "kind": str | None,
    "count": int | None,
    "processes": int | None,
    "cores": int | None,
    "deterministic": bool | None,
    "xla_flags": str | None,
}


_MEMBERS = {"count": int, "sweep": dict, "at_once": int}  # what its "members" holds


def unsound(config: Any) -> list[str]:
    """Lists what is missing or makes no sense in a config.json.

    Args:
        config: whatever JSON can hold.

    Returns:
        Names, as in "shape" or "device.count".
    """
    wrong = _unlike(_CONFIG, config)
    if wrong:
        return wrong
    device = config.get("device") or {}
    none = [name for name, value in device.items() if is_a(int, value) and value < 1]
    wrong = [f"device.{name}" for name in (*_unlike(_DEVICE, device), *none)]
    if not all(isinstance(version, str) for version in (config.get("versions") or {}).values()):
        wrong.append("versions")
    if not config["shape"] or min(config["shape"]) < 1:
        wrong.append("shape")
    if not 0 <= config["seed"] < 2**32:  # see jaxgan.keys
        wrong.append("seed")
    if (members := config.get("members")) is not None and not _are_members(members):
        wrong.append("members")
    return wrong


def is_record(line: Any, members: int | None = None) -> bool:
    """Tells whether a line of metrics.jsonl is one: a step, maybe a digest, and numbers.

    Args:
        line: whatever JSON can hold.
        members: of a population, whose numbers are lists, with null for what is not finite.

    Returns:
        Whether it is.
    """
    if not isinstance(line, dict) or not is_a(int, line.get("step")):
        return False
    rates = {"step", "images_per_second"}
    lists = {} if members is None else {name: x for name, x in line.items() if name not in rates}
    one = {name: x for name, x in line.items() if name not in lists}
    for name, values in lists.items():
        kind = str if name == "digest" else float | None
        if not isinstance(values, list) or len(values) != members:
            return False
        if not all(is_a(kind, value) for value in values):
            return False
    is_digest = isinstance(one.pop("digest", ""), str)
    return is_digest and 0 < line["step"] < 2**31 and all(is_a(float, x) for x in one.values())


def is_evaluation(line: Any) -> bool:
    """Tells whether a line of evaluations.jsonl is one: a step, metrics, their floors, a protocol.

    Args:
        line: whatever JSON can hold.

    Returns:
        Whether it is.
    """
    if not isinstance(line, dict) or line.keys() != {"step", "metrics", "floors", "protocol"}:
        return False
    numbers = [line["metrics"], line["floors"]]
    if not all(isinstance(x, dict) and all(is_a(float, y) for y in x.values()) for x in numbers):
        return False
    return is_a(int, line["step"]) and 0 < line["step"] < 2**31 and is_a(str, line["protocol"])


def _are_members(found: Any) -> bool:
    """Tells whether a config.json's "members" is sound, but for the names that it sweeps."""
    if not isinstance(found, dict) or found.keys() != _MEMBERS.keys() or _unlike(_MEMBERS, found):
        return False
    values = list(found["sweep"].values())
    if not all(isinstance(x, list) and x and is_a(tuple[float, ...], tuple(x)) for x in values):
        return False
    return (
        found["count"] >= 1
        and found["at_once"] >= 1
        and found["count"] % prod(map(len, values)) == 0
    )


def _unlike(kinds: Mapping[str, Any], found: Any) -> list[str]:
    """Lists the names whose values are not of their kind."""
    values = found if isinstance(found, dict) else {}
    values = {name: tuple(x) if isinstance(x, list) else x for name, x in values.items()}
    return [name for name, kind in kinds.items() if not is_a(kind, values.get(name))]
