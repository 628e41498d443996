"""The report of a run: one HTML page that needs no other file, and the pictures it is made of."""

import json
import math
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import jinja2
import numpy as np

from jaxgan.report import summary
from jaxgan.report.pictures import animate, evenly
from jaxgan.rundir.config import read_config, read_members
from jaxgan.rundir.directory import Sample, find_samples
from jaxgan.rundir.log import read_evaluations, read_metrics
from jaxgan.rundir.sweep import Members
from jaxgan.util.files import write_atomically

MAX_GRIDS = 24  # in the page
MAX_COLUMNS = 64  # members in a heat map
MAX_CLOUDS = 6  # scatter plots of points
GRIDS_BYTES = 4_000_000  # of grids in the page, before base64 adds a third


class Picture(NamedTuple):
    """A picture of the page, as data: URIs for a light and, where it differs, a dark background."""

    alt: str
    light: str
    dark: str | None = None


def write_report(run: Path) -> Path:
    """Write a run's losses.png, progress.gif, pattern.png or points.png, and report.html.

    Of a population also summary.txt and summary.json.

    A run that has no metrics or no samples yet gets a page that says so.

    Args:
        run: a directory with config.json and maybe metrics.jsonl, final.png and, in samples/,
            step_*.png (images) or step_*.npy (vectors, float32 [n, D]: points in the
            plane are all drawn, of longer vectors the first).

    Returns:
        The path of report.html.

    Raises:
        UserError: the directory is no run directory, or one of its files is damaged.
    """
    from jaxgan.report import plots  # imports matplotlib, which takes longer than all the rest

    config = read_config(run)
    members = read_members(config)
    metrics = read_metrics(run, None if members is None else members.count)
    vectors = find_samples(run, "npy")
    grids = [] if vectors else find_samples(run, "png")

    panels = plots.panels(metrics) if members is None else _panels_of(metrics, members)
    if panels:
        write_atomically(run / "losses.png", plots.png(plots.curves(panels)))
    groups = None
    if members is not None and metrics:
        groups = summary.summarize(metrics, members)
        write_atomically(run / "summary.txt", summary.as_text(groups).encode())
        told = json.dumps(summary.as_json(groups, metrics), indent=2) + "\n"
        write_atomically(run / "summary.json", told.encode())
    if grids:
        captions = [f"step {sample.step:,}" for sample in grids]
        animate([sample.path for sample in grids], run / "progress.gif", captions)

    evaluations = read_evaluations(run)
    page = _page(
        config=config,
        facts=_facts(config, metrics, vectors or grids),
        summary=None if groups is None else summary.table(groups),
        members=None if groups is None or members is None else _members(config, metrics, members),
        curves=[_adaptive(plots.describe(p), partial(plots.curves, [p])) for p in panels],
        evaluations=[
            _adaptive(plots.describe(p), partial(plots.curves, [p]))
            for p in plots.evaluations(evaluations)
        ],
        protocol=evaluations[-1]["protocol"] if evaluations else None,
        not_finite=_not_finite(metrics),
        vectors=_vectors(run, vectors, members) if vectors else None,
        final=_file("Grid of new samples of the trained generator", run / "final.png"),
        grids=[(s.step, _file(f"Samples at step {s.step:,}", s.path)) for s in _affordable(grids)],
    )
    path = run / "report.html"
    write_atomically(path, page.encode())
    return path


def _vectors(run: Path, samples: Sequence[Sample], members: Members | None) -> tuple[str, Picture]:
    """What a run of vectors shows in place of images, with a title; written to a file too.

    One GAN's samples over time; of a population the last samples, member by member.
    """
    from jaxgan.report import plots

    def load(sample: Sample) -> np.ndarray:
        return np.load(sample.path, allow_pickle=False)

    are_points = load(samples[-1]).shape[-1] == 2
    if members is not None:
        history = load(samples[-1])[: MAX_CLOUDS if are_points else MAX_COLUMNS]
        places, over, title = np.arange(len(history)), "member", "The members’ last samples"
    else:
        samples = evenly(samples, MAX_CLOUDS) if are_points else samples
        history = np.stack([load(sample) for sample in samples])
        places, over = np.array([sample.step for sample in samples]), "step"
        title = "How the points move" if are_points else "How the pattern evolves"
    if are_points:
        draw, name, kind = plots.scatter, "points.png", "Scatter plots"
        last = f"{history.shape[1]:,} points"
    else:
        draw, name, kind = plots.heat_map, "pattern.png", "Heat map"
        history = history[:, 0]
        last = ", ".join(f"{value:.2f}" for value in history[-1])
    draw = partial(draw, history, places, over=over)
    write_atomically(run / name, plots.png(draw()))
    how = "over time" if members is None else "by member"
    alt = f"{kind} of {len(places)} samples {how}. {over.title()} {places[-1]:,}: {last}."
    return title, _adaptive(alt, draw)


def _page(**content: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxgan", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = _plain
    return environment.get_template("page.html.jinja").render(content)


def _plain(value: object) -> str:
    """A setting as a reader would type it."""
    return value if isinstance(value, str) else json.dumps(value)


def _panels_of(metrics: Sequence[Mapping[str, Any]], members: Members) -> list[Any]:
    """The curves of a population, setting by setting."""
    from jaxgan.report import plots

    panels = []
    for index, setting in enumerate(members.settings):
        part = slice(index * members.per_setting, (index + 1) * members.per_setting)
        own = [
            {name: x[part] if isinstance(x, list) else x for name, x in line.items()}
            for line in metrics
        ]
        title = f", {summary.setting_in_words(setting)}" if setting else ""
        panels += [panel._replace(title=panel.title + title) for panel in plots.panels(own)]
    return panels


def _members(
    config: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], members: Members
) -> tuple[list[str], list[list[str]]]:
    """A table of a population's members: heads and rows."""
    values = summary.values_of(metrics)
    seeds = members.seeds(config["seed"])
    heads = ["member", "seed", *members.sweep, *values]
    rows = [
        [str(k), str(seeds[k])]
        + [f"{value:g}" for value in members.setting_of(k).values()]
        + [f"{x[k]:.4g}" for x in values.values()]
        for k in range(members.count)
    ]
    return heads, rows


def _facts(
    config: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], samples: Sequence[Sample]
) -> dict[str, str]:
    """What one wants to know of a run at a glance, by name."""
    device = config.get("device", {})
    names = dict.fromkeys(str(device[key]) for key in ("platform", "kind") if device.get(key))
    count, cores = device.get("count", 1), device.get("cores")
    parts = [*names]
    if count > 1:
        parts.append(f"{count} devices")
    if cores:
        parts.append(f"{cores} cores")
    done = max(
        [record["step"] for record in metrics[-1:]] + [sample.step for sample in samples[-1:]],
        default=0,
    )
    planned = config.get("steps")
    rates = [record.get("images_per_second") for record in metrics]
    rates = [rate for rate in rates if rate is not None and math.isfinite(rate)]
    facts = {
        "Steps": f"{done:,} of {planned:,}" if planned else f"{done:,}",
        "Data": config.get("hyperparameters", {}).get("data"),
        "Seed": config.get("seed"),
        "Members": (config.get("members") or {}).get("count"),
        "Device": ", ".join(parts),
        "Speed": f"{_rounded(median(rates)):,} examples/s" if rates else None,
        "Started": str(config.get("created", "")).replace("T", " "),
    }
    return {name: str(fact) for name, fact in facts.items() if fact not in (None, "")}


def _rounded(rate: float) -> int | float:
    """Three significant digits."""
    rounded = float(f"{rate:.3g}")
    return int(rounded) if rounded >= 100 else rounded


def _not_finite(metrics: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """The names of metrics that were ever NaN or infinite, each with the first such step."""
    first: dict[str, int] = {}
    for record in metrics:
        for name, value in record.items():
            values = value if isinstance(value, list) else [value]
            if any(x is None or (isinstance(x, float) and not math.isfinite(x)) for x in values):
                first.setdefault(name, record["step"])
    return list(first.items())


def _affordable(grids: Sequence[Sample]) -> list[Sample]:
    """As many grids as keep the page light, evenly picked, always the first and the last."""
    largest = max((sample.path.stat().st_size for sample in grids), default=1)
    return evenly(grids, min(MAX_GRIDS, max(2, GRIDS_BYTES // largest)))


def _file(alt: str, path: Path) -> Picture | None:
    return Picture(alt, _uri(path.read_bytes())) if path.exists() else None


def _adaptive(alt: str, draw: Callable[..., Any]) -> Picture:
    """A figure, as draw(dark=...) returns it, for a light and for a dark background."""
    from jaxgan.report.plots import png

    light, dark = (_uri(png(draw(dark=dark), transparent=True)) for dark in (False, True))
    return Picture(alt, light, dark)


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + b64encode(png).decode()
