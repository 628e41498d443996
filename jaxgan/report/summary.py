"""The results of a population: each metric's mean over the members, with an interval."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxgan.metrics.intervals import LEVEL, t_interval
from jaxgan.rundir.sweep import Members
from jaxgan.util import tables

TAIL = 0.1  # fraction of the log points, from the end, whose mean is a member's value
NO_METRICS = ("step", "digest", "images_per_second")


class Spread(NamedTuple):
    """A metric over several members."""

    mean: float
    deviation: float  # standard deviation of the members; NaN for one member
    low: float  # ends of the confidence interval of the mean; NaN for one member
    high: float


class Group(NamedTuple):
    """The members of one setting."""

    setting: dict[str, float]  # swept hyperparameters; empty without a sweep
    members: int
    diverged: int  # members with a value that is not finite, which are left out
    metrics: dict[str, Spread]


def spread(values: Float[np.ndarray, "N"]) -> Spread:
    """Computes mean, deviation and confidence interval.

    Args:
        values: one or more independent finite numbers.

    Returns:
        The spread, with Student's interval, which assumes that the values are normal or many.
    """
    mean = float(np.mean(values))
    if len(values) == 1:
        return Spread(mean, math.nan, math.nan, math.nan)
    deviation = float(np.std(values, ddof=1))
    ends = t_interval(values.tolist())
    return Spread(mean, deviation, ends.low, ends.high)


def final_values(metrics: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Computes each member's final values: means over the last tenth of the log points.

    A metric that is not in all of these is left out.

    Args:
        metrics: records of a population, at least one.

    Returns:
        float64 `[M]` by metric, NaN for members with a value that is not finite.
    """
    tail = metrics[-math.ceil(TAIL * len(metrics)) :]
    names = [
        name for name in tail[-1] if name not in NO_METRICS and all(name in line for line in tail)
    ]
    return {name: np.array([line[name] for line in tail], float).mean(axis=0) for name in names}


def summarize(metrics: Sequence[Mapping[str, Any]], members: Members) -> list[Group]:
    """Summarizes the training of a population, setting by setting.

    Args:
        metrics: its records, at least one.
        members: the population's sweep.

    Returns:
        A group for each setting.
    """
    return group(final_values(metrics), members)


def group(values: Mapping[str, np.ndarray], members: Members) -> list[Group]:
    """Summarizes values of a population's members, setting by setting.

    Args:
        values: by name, float64 `[M]`; not finite for members that diverged.
        members: the population's sweep.

    Returns:
        A group for each setting.
    """
    finite = np.ones(members.count, bool)
    for x in values.values():
        finite &= np.isfinite(x)
    groups = []
    for index, setting in enumerate(members.settings):
        part = slice(index * members.per_setting, (index + 1) * members.per_setting)
        sound = finite[part]
        spreads = {name: spread(x[part][sound]) for name, x in values.items() if sound.any()}
        groups.append(Group(setting, members.per_setting, int(np.sum(~sound)), spreads))
    return groups


def setting_in_words(setting: Mapping[str, float]) -> str:
    """Formats a setting as a user would type it."""
    return ", ".join(f"{name}={value:g}" for name, value in setting.items())


def table(
    groups: Sequence[Group], floors: Mapping[str, float] | None = None
) -> tuple[list[str], list[list[str]]]:
    """Arranges a summary as a table.

    Args:
        groups: what `summarize` returned.
        floors: each metric's value for real examples, for one more column.

    Returns:
        The heads of the columns, and a row for each setting and metric.
    """
    swept = any(group.setting for group in groups)
    heads = [
        *(["setting"] if swept else []),
        "metric",
        "members",
        "mean",
        "deviation",
        f"{LEVEL:.0%} interval",
        *(["of real examples"] if floors else []),
    ]
    rows = []
    for group in groups:
        start = [setting_in_words(group.setting)] if swept else []
        count = f"{group.members - group.diverged} of {group.members}"
        if not group.metrics and group.diverged:
            rows.append([*start, "all diverged", count, "", "", "", *([""] if floors else [])])
        for name, found in group.metrics.items():
            rows.append(
                [
                    *start,
                    name,
                    count,
                    f"{found.mean:.4g}",
                    *(
                        (f"{found.deviation:.2g}", f"{found.low:.4g} to {found.high:.4g}")
                        if math.isfinite(found.deviation)
                        else ("", "")
                    ),
                    *([f"{floors[name]:.4g}"] if floors else []),
                ]
            )
    return heads, rows


def as_text(groups: Sequence[Group]) -> str:
    """Formats a summary as a table of text."""
    return tables.as_text(*table(groups))


def groups_as_json(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Converts groups to what JSON can hold; values that are not finite become None."""
    return [
        {
            "setting": group.setting,
            "members": group.members,
            "diverged": group.diverged,
            "metrics": {
                name: {key: _plain(x) for key, x in found._asdict().items()}
                for name, found in group.metrics.items()
            },
        }
        for group in groups
    ]


def groups_from_json(groups: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Converts what `groups_as_json` returned back to groups."""
    return [
        Group(
            group["setting"],
            group["members"],
            group["diverged"],
            {
                name: Spread(*(math.nan if found[x] is None else found[x] for x in Spread._fields))
                for name, found in group["metrics"].items()
            },
        )
        for group in groups
    ]


def as_json(groups: Sequence[Group], metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Converts a summary to what JSON can hold; values that are not finite become None."""
    return {
        "step": metrics[-1]["step"],
        "groups": groups_as_json(groups),
        "members": {name: list(map(_plain, x)) for name, x in final_values(metrics).items()},
    }


def _plain(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None
