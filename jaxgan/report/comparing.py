"""The page that compares runs: their settings, curves, samples and evaluations, side by side."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgan.report import summary
from jaxgan.report.page import (
    Chart,
    Picture,
    adaptive,
    chart,
    check_picture,
    facts_of,
    final_of,
    picture_of,
    plain,
    readable,
    render,
    vectors_of,
)
from jaxgan.rundir.bundles import refuse_bundle
from jaxgan.rundir.config import parse_config
from jaxgan.rundir.directory import find_samples
from jaxgan.rundir.evaluated import read_evaluated
from jaxgan.rundir.log import read_evaluations, read_metrics
from jaxgan.rundir.schema import Config
from jaxgan.util.errors import UserError

MOST = 12  # runs
MOST_CLOUDS = 6  # members of a population whose points are shown
CURVES = ("loss_", "score_")  # how the metrics begin that are drawn

Table = tuple[list[str], list[list[str]]]


class Compared(NamedTuple):
    """What is known of a run."""

    name: str  # unlike those of the others
    config: Config
    metrics: Sequence[Mapping[str, Any]]
    evaluations: Sequence[Mapping[str, Any]]  # metrics made as it trained, with the step
    evaluated: Sequence[Mapping[str, Any]]  # made of finished states
    picture: Picture | None  # of its last samples


def comparison(runs: Sequence[Path]) -> str:
    """Makes the page that compares runs or populations.

    Samples that cannot be read are left out, with a warning.

    Args:
        runs: 2 to `MOST` run directories, all different.

    Returns:
        The page, a single file of HTML.

    Raises:
        UserError: if there are too few or too many, or one is not a run directory or damaged.
    """
    if not 2 <= len(runs) <= MOST:
        raise UserError(f"compare 2 to {MOST} runs, not {len(runs)}")
    if len({run.resolve() for run in runs}) < len(runs):
        raise UserError("one of the runs is there twice: compare different ones")
    compared = [_read(name, run) for name, run in zip(_names(runs), runs, strict=True)]
    return render(
        "comparing.html.jinja",
        runs=compared,
        facts=_facts(compared),
        differences=_differences(compared),
        curves=_curves([(run.name, run.metrics) for run in compared], CURVES),
        evaluations=_curves(
            [
                (x.name, [{"step": e["step"], **e["metrics"]} for e in x.evaluations])
                for x in compared
            ]
        ),
        protocols=_by_protocol(compared),
    )


def _names(runs: Sequence[Path]) -> list[str]:
    """Names runs by as many of the last parts of their paths as it takes to tell them apart."""
    paths = [run.resolve() for run in runs]
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(runs):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]


def _read(name: str, run: Path) -> Compared:
    refuse_bundle(run)
    config = parse_config(run)
    members = None if config.members is None else config.members.count
    metrics = read_metrics(run, members)
    picture = _picture(run, config, metrics)
    measured = [{"step": x["step"], **x["metrics"]} for x in read_evaluations(run)]
    return Compared(name, config, metrics, measured, read_evaluated(run), picture)


def _picture(run: Path, config: Config, metrics: Sequence[Mapping[str, Any]]) -> Picture | None:
    """Shows the newest samples of a run that can be read."""
    from jaxgan.report import plots

    stored = reversed(find_samples(run, "npy"))
    vectors = next(readable(stored, partial(vectors_of, config=config)), None)
    if vectors is None:
        grids = find_samples(run, "png")
        grids += final_of(run, config, metrics, grids)
        newest = next(readable(reversed(grids), check_picture), None)
        return newest and picture_of(f"Samples of {run.name}", newest[0].path)
    (step, _), samples = vectors
    clouds = samples if config.members else samples[None]
    alt = f"Samples of {run.name} at step {step:,}"
    if samples.shape[-1] == 2:
        clouds = clouds[:MOST_CLOUDS]
        return adaptive(alt, partial(plots.scatter, clouds, np.arange(len(clouds)), over="member"))
    rows = clouds[:, 0]
    return adaptive(alt, partial(plots.heat_map, rows, np.arange(len(rows)), over="member"))


def _facts(runs: Sequence[Compared]) -> Table:
    facts = [
        {"Run": run.name, "Recipe": run.config.recipe, **facts_of(run.config, run.metrics)}
        for run in runs
    ]
    heads = list(dict.fromkeys(head for each in facts for head in each))
    return heads, [[own.get(head, "") for head in heads] for own in facts]


def _differences(runs: Sequence[Compared]) -> Table:
    """Tabulates the settings in which the runs differ, each in a row."""
    settings = [
        run.config.hyperparameters | _swept(run.config) | run.config.versions for run in runs
    ]
    rows = []
    for name in dict.fromkeys(name for each in settings for name in each):
        values = [plain(each[name]) if name in each else "" for each in settings]
        if len(set(values)) > 1:
            rows.append([name, *values])
    return ["setting", *(run.name for run in runs)], rows


def _swept(config: Config) -> dict[str, Any]:
    """The values of a population's sweep, which its members have in place of the recipe's."""
    sweep = {} if config.members is None else config.members.sweep
    return {name: ", ".join(map(plain, values)) for name, values in sweep.items()}


def _curves(
    runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], beginnings: tuple[str, ...] = ("",)
) -> list[Chart]:
    """Draws each metric, with a curve for each run that has it."""
    from jaxgan.report import plots  # imports matplotlib, which takes longer than all the rest

    keys = dict.fromkeys(key for _, records in runs for line in records for key in line)
    charts = []
    for key in keys:
        if key.startswith(beginnings) and key != "step":
            own = {name: plots.curve_of(records, key) for name, records in runs}
            series = {name: found for name, found in own.items() if len(found.steps)}
            signed = key.startswith("score_")
            charts.append(chart(plots.Panel(key, series, signed=signed, named=True)))
    return charts


def _by_protocol(runs: Sequence[Compared]) -> list[tuple[str, Table]]:
    """Tabulates the last evaluation of each run, or member of one, under each protocol."""
    protocols: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for run in runs:
        last: dict[tuple[str, int | None], Mapping[str, Any]] = {}
        for evaluation in run.evaluated:
            of_run, _, protocol = evaluation["protocol"].partition("; ")  # step and average; ...
            last[protocol, evaluation.get("member")] = evaluation
        for (protocol, member), evaluation in last.items():
            name = run.name if member is None else f"{run.name}, member {member}"
            protocols.setdefault(protocol, []).append((name, evaluation))
    return [(protocol, _numbers(found)) for protocol, found in protocols.items()]


def _numbers(found: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    lines = [
        (name, f"{evaluation['step']:,}", values)
        for name, evaluation in found
        for name, values in _settings(name, evaluation)
    ]
    heads = list(dict.fromkeys(head for *_, values in lines for head in values))
    rows = [[name, step, *(values.get(x, "") for x in heads)] for name, step, values in lines]
    return ["run", "step", *heads], rows


def _settings(name: str, evaluation: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """Lists an evaluation's numbers with their intervals, setting by setting of a population."""
    if "groups" not in evaluation:
        own = {}
        for result in evaluation["results"]:
            interval = result.get("interval")
            ends = (interval["low"], interval["high"]) if interval else None
            own[result["metric"]] = _number(result["value"], ends)
        return [(name, own)]
    lines = []
    for group in evaluation["groups"]:
        setting = summary.setting_in_words(group["setting"])
        own = {
            metric: _number(x["mean"], None if x["low"] is None else (x["low"], x["high"]))
            for metric, x in group["metrics"].items()
        }
        lines.append((f"{name}, {setting}" if setting else name, own))
    return lines


def _number(value: float, ends: tuple[float, float] | None) -> str:
    return f"{value:.4g}" + ("" if ends is None else f" ({ends[0]:.4g} to {ends[1]:.4g})")
