"""The report of a run: one self-contained HTML page, and the pictures it is made of."""

import json
import logging
import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import median, mode
from typing import Any, NamedTuple, TypeVar

import jinja2
import numpy as np
from PIL import Image

from jaxgan.report import summary
from jaxgan.report.evaluations import Shown, evaluations
from jaxgan.report.pictures import animate, evenly
from jaxgan.rundir.config import parse_config
from jaxgan.rundir.directory import Sample, find_samples, read_vectors
from jaxgan.rundir.log import read_evaluations, read_metrics
from jaxgan.rundir.schema import Config
from jaxgan.rundir.sweep import Members
from jaxgan.util.errors import UserError
from jaxgan.util.files import read_bytes, write_atomically

T = TypeVar("T")

logger = logging.getLogger(__name__)

EXPLORER = "explorer.html"  # in a run directory: the page in which its generator runs
MAX_GRIDS = 24  # on the page
MAX_COLUMNS = 64  # members in a heat map
MAX_TOLD = 16  # numbers of a vector that a picture's description tells
MAX_PANELS = 6  # scatter plots or line charts
GRIDS_BYTES = 4_000_000  # of grids on the page, before base64 adds a third


class Picture(NamedTuple):
    """A picture on the page, as data: URIs for a light and, if it differs, a dark background."""

    alt: str
    light: str
    dark: str | None = None


class Chart(NamedTuple):
    """Curves on the page, whose values can be read off."""

    picture: Picture
    reading: Mapping[str, Any]  # see `jaxgan.report.plots.reading`


def write_report(run: Path) -> Path:
    """Writes a run's report.html, losses.png, and a picture of its samples over time.

    That is progress.gif of images, points.png of points in the plane, pattern.png of longer
    vectors, or series.png of series.

    The page has a link to the explorer, if there is one. For a population, also writes summary.txt
    and summary.json. Samples that cannot be read are left out, with a warning, and so is an
    evaluation.json that is damaged.

    Args:
        run: a directory with config.json and, if there are any yet, metrics.jsonl, final.png and
            samples/step_*.png (grids of images) or samples/step_*.npy (float32 [n, D] or
            [n, T, C]: all points in the plane are drawn, but only the first of others).

    Returns:
        The path of report.html.

    Raises:
        UserError: if the directory is not a run directory, or its config or log is damaged.
    """
    from jaxgan.report import plots  # imports matplotlib, which takes longer than all the rest

    config = parse_config(run)
    members = config.members
    metrics = read_metrics(run, None if members is None else members.count)
    stored = find_samples(run, "npy")
    drawable = stored if len(config.shape) < 3 else []
    vectors = _same_shape([*readable(drawable, partial(vectors_of, config=config))])
    grids = [] if vectors else [x for x, _ in readable(find_samples(run, "png"), check_picture)]
    samples = [sample for sample, _ in vectors] or grids
    final = next(readable(final_of(run, config, metrics, samples), check_picture), None)

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

    during = read_evaluations(run)
    page = render(
        "page.html.jinja",
        config=config,
        explorer=EXPLORER if (run / EXPLORER).exists() else None,
        facts=facts_of(config, metrics, samples),
        summary=None if groups is None else summary.table(groups),
        members=None if groups is None or members is None else _members(config, metrics, members),
        curves=[chart(panel) for panel in panels],
        evaluations=_evaluations(run),
        during=[chart(panel) for panel in plots.evaluations(during)],
        protocol=during[-1]["protocol"] if during else None,
        not_finite=_not_finite(metrics),
        vectors=_vectors(run, vectors, config) if vectors else None,
        final=final and picture_of("Grid of new samples of the trained generator", final[0].path),
        grids=[
            (s.step, picture_of(f"Samples at step {s.step:,}", s.path)) for s in _affordable(grids)
        ],
    )
    path = run / "report.html"
    write_atomically(path, page.encode())
    return path


def renew_report(run: Path) -> None:
    """Writes the report of a run again, if it has one.

    Where that cannot be, as the run's log is damaged, it stays as it is, with a warning.

    Args:
        run: the run directory, or a bundle, which has none.
    """
    if (run / "report.html").exists():
        try:
            write_report(run)
        except UserError as error:
            logger.warning("the report stays as it was: %s", error)


def _evaluations(run: Path) -> list[Shown]:
    try:
        return evaluations(run)
    except UserError as error:
        logger.warning("the report leaves out the evaluations: %s", error)
        return []


def readable(samples: Iterable[Sample], read: Callable[[Path], T]) -> Iterator[tuple[Sample, T]]:
    """Reads samples, and leaves out those that cannot be read, with a warning.

    Args:
        samples: where they are.
        read: what reads one, and raises a `UserError` if that cannot be.

    Yields:
        Each sample that can be read, with what `read` returned.
    """
    for sample in samples:
        try:
            found = read(sample.path)
        except UserError as error:
            logger.warning("the page leaves out a sample: %s", error)
        else:
            yield sample, found


def final_of(
    run: Path, config: Config, metrics: Sequence[Mapping[str, Any]], samples: Sequence[Sample]
) -> list[Sample]:
    """Finds the samples that a run ended with, unless it has gone on since then.

    Args:
        run: its directory.
        config: of the run.
        metrics: its records.
        samples: the others that it has.

    Returns:
        One sample, or none.
    """
    path, step = run / "final.png", _step_of(metrics, samples)
    return [Sample(step, path)] if path.exists() and step >= (config.steps or 0) else []


def vectors_of(path: Path, config: Config) -> np.ndarray:
    """Reads samples of a run whose examples are no images.

    Args:
        path: of one of its samples.
        config: of the run.

    Returns:
        float32 `[N, ...]`; `[M, N, ...]` of a population.

    Raises:
        UserError: if the file is damaged, or of other examples.
    """
    vectors = read_vectors(path)
    leading = 1 if config.members is None else 2
    if vectors.shape[leading:] != tuple(config.shape):
        raise UserError(f"{path} is damaged: its shape is {vectors.shape}")
    return vectors


def _same_shape(samples: Sequence[tuple[Sample, np.ndarray]]) -> list[tuple[Sample, np.ndarray]]:
    """Leaves out samples of another shape than most."""
    usual = mode(vectors.shape for _, vectors in samples) if samples else ()
    for sample, vectors in samples:
        if vectors.shape != usual:
            logger.warning("the report leaves out %s, whose shape is another", sample.path)
    return [(sample, vectors) for sample, vectors in samples if vectors.shape == usual]


def check_picture(path: Path) -> None:
    """Checks that a file is a picture in PNG.

    Args:
        path: of the file.

    Raises:
        UserError: if it is damaged or cannot be read.
    """
    try:
        with Image.open(BytesIO(read_bytes(path)), formats=["PNG"]) as picture:
            picture.load()
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise errors of all kinds
        raise UserError(f"{path} is damaged") from error


class _Kind(NamedTuple):
    """How examples of one kind are shown."""

    draw: Callable[..., Any]  # a function of `jaxgan.report.plots`
    name: str  # of the file
    words: str
    title: str
    most: int | None  # panels; None for a single one of all steps


def _vectors(
    run: Path, samples: Sequence[tuple[Sample, np.ndarray]], config: Config
) -> tuple[str, Picture]:
    """Shows vectors or series, with a title, and writes the picture to a file too.

    One GAN's samples over time; the last samples of a population, member by member.
    """
    from jaxgan.report import plots

    points = _Kind(plots.scatter, "points.png", "Scatter plots", "How the points move", MAX_PANELS)
    series = _Kind(plots.lines, "series.png", "Line charts", "How a series evolves", MAX_PANELS)
    pattern = _Kind(plots.heat_map, "pattern.png", "Heat map", "How the pattern evolves", None)
    kind = series if len(config.shape) == 2 else points if config.shape == (2,) else pattern
    if config.members is not None:
        history = samples[-1][1][: kind.most or MAX_COLUMNS]
        places, over, title = np.arange(len(history)), "member", "The members’ last samples"
    else:
        shown = evenly(samples, kind.most) if kind.most else samples
        history = np.stack([vectors for _, vectors in shown])
        places, over, title = np.array([sample.step for sample, _ in shown]), "step", kind.title
    if kind is points:
        last = f"{history.shape[1]:,} points"
    else:
        history = history[:, 0]
        last = ", ".join(f"{value:.2f}" for value in history[-1].flat[:MAX_TOLD])
        last += ", ..." if history[-1].size > MAX_TOLD else ""
    draw = partial(kind.draw, history, places, over=over)
    write_atomically(run / kind.name, plots.png(draw()))
    how = "over time" if config.members is None else "by member"
    alt = f"{kind.words} of {len(places)} samples {how}. {over.title()} {places[-1]:,}: {last}."
    return title, adaptive(alt, draw)


def render(template: str, room: str = "report", **content: Any) -> str:
    """Fills a template with content, which is never markup.

    Args:
        template: the name of its file.
        room: the package of the file, which may extend and include files of it and of this one.
        content: what it shows, by name.

    Returns:
        The page.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader("jaxgan", x) for x in (room, "report")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    return environment.get_template(template).render(content)


def plain(value: object) -> str:
    """Formats a setting as a user would type it."""
    return value if isinstance(value, str) else json.dumps(value)


def _panels_of(metrics: Sequence[Mapping[str, Any]], members: Members) -> list[Any]:
    """Arranges the curves of a population, setting by setting."""
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
    config: Config, metrics: Sequence[Mapping[str, Any]], members: Members
) -> tuple[list[str], list[list[str]]]:
    """Tabulates the members of a population: heads and rows."""
    values = summary.final_values(metrics)
    seeds = members.seeds(config.seed)
    heads = ["member", "seed", *members.sweep, *values]
    rows = [
        [str(k), str(seeds[k])]
        + [f"{value:g}" for value in members.setting_of(k).values()]
        + [f"{x[k]:.4g}" for x in values.values()]
        for k in range(members.count)
    ]
    return heads, rows


def facts_of(
    config: Config, metrics: Sequence[Mapping[str, Any]], samples: Sequence[Sample] = ()
) -> dict[str, str]:
    """Lists the main facts about a run, by name.

    Args:
        config: of the run.
        metrics: its records.
        samples: its samples, if they may be newer than the records.
    """
    device = config.device
    parts = [*dict.fromkeys(name for name in (device.platform, device.kind) if name)]
    if device.count > 1:
        parts.append(f"{device.count} devices")
    if device.cores:
        parts.append(f"{device.cores} cores")
    done = _step_of(metrics, samples)
    rates = [record.get("images_per_second") for record in metrics]
    rates = [rate for rate in rates if rate is not None and math.isfinite(rate)]
    facts = {
        "Steps": f"{done:,} of {config.steps:,}" if config.steps else f"{done:,}",
        "Data": config.hyperparameters.get("data"),
        "Seed": config.seed,
        "Members": config.members.count if config.members else None,
        "Device": ", ".join(parts),
        "Speed": f"{_rounded(median(rates)):,} examples/s" if rates else None,
        "Started": (config.created or "").replace("T", " "),
    }
    return {name: str(fact) for name, fact in facts.items() if fact not in (None, "")}


def _step_of(metrics: Sequence[Mapping[str, Any]], samples: Sequence[Sample]) -> int:
    """Returns how far a run is known to be."""
    recorded = [record["step"] for record in metrics[-1:]]
    return max(recorded + [sample.step for sample in samples[-1:]], default=0)


def _rounded(rate: float) -> int | float:
    """Rounds to three significant digits."""
    rounded = float(f"{rate:.3g}")
    return int(rounded) if rounded >= 100 else rounded


def _not_finite(metrics: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Lists the metrics that were ever NaN or infinite, each with the first such step."""
    first: dict[str, int] = {}
    for record in metrics:
        for name, value in record.items():
            values = value if isinstance(value, list) else [value]
            if any(x is None or (isinstance(x, float) and not math.isfinite(x)) for x in values):
                first.setdefault(name, record["step"])
    return list(first.items())


def _affordable(grids: Sequence[Sample]) -> list[Sample]:
    """Picks as many grids as keep the page small, evenly, with the first and the last."""
    largest = max((sample.path.stat().st_size for sample in grids), default=1)
    return evenly(grids, min(MAX_GRIDS, max(2, GRIDS_BYTES // largest)))


def picture_of(alt: str, path: Path) -> Picture | None:
    """Takes a picture from a file in PNG, if it is there."""
    return Picture(alt, as_uri(read_bytes(path))) if path.exists() else None


def adaptive(alt: str, draw: Callable[..., Any]) -> Picture:
    """Renders the figure of `draw(dark=...)` for a light and for a dark background."""
    from jaxgan.report.plots import png

    light, dark = (as_uri(png(draw(dark=dark), transparent=True)) for dark in (False, True))
    return Picture(alt, light, dark)


def chart(panel: Any) -> Chart:
    """Draws a panel of curves.

    Args:
        panel: a `jaxgan.report.plots.Panel`.
    """
    from jaxgan.report import plots

    picture = adaptive(plots.describe(panel), partial(plots.curves, [panel]))
    return Chart(picture, plots.reading(panel, plots.curves([panel])))


def as_uri(png: bytes) -> str:
    """Writes a picture in PNG as the data: URI of an image."""
    return "data:image/png;base64," + b64encode(png).decode()
