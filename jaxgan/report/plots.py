"""Plots of a run: curves of its losses, and how its patterns, points or series evolve.

Importing this module imports matplotlib, which takes a while, so import it where a plot is drawn.
"""

import math
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from jaxgan.report.pictures import evenly

NETS = {"d": "discriminator", "g": "generator"}
COLORS = {  # distinct on white, on black, and for the color-blind
    "discriminator": "#2f7fd6",
    "generator": "#dd6b20",
    "real": "#159a80",
    "fake": "#b455c4",
    "real examples": "#159a80",
    "generated": "#b455c4",
}
OTHER_COLORS = [*("#2f7fd6", "#dd6b20", "#159a80", "#b455c4"), *("#8a8f00", "#d6457a", "#808080")]
DASHES = ["solid", (0, (2.2, 1.1))]  # of curves beyond one for each color
INK, DARK_INK = "#3a3936", "#c9c7c1"
WIDTH = 5.6  # inches, so that 10 pt text is legible on a phone
MANY = 120  # least points of a curve that is smoothed
FEW = 30  # most points of a curve that has a marker for each
MAX_CELLS = 100  # most cells of a heat map that shows each value
LEGEND_LENGTH = 57  # characters in a row of a legend
TITLE_LENGTH = 62  # characters in a line of a title
LINE_LENGTH = 6  # that the line before a label takes
LEGEND_ROW = 15  # points
POINTS = 72  # in an inch
LABELS_LENGTH = 66  # characters that fit below a heat map
MOST_READ = 400  # points of a curve whose values can be read
MAGNITUDES = 100  # from this ratio of the largest to the smallest value on, a scale is logarithmic


class Series(NamedTuple):
    """One curve: steps int [T], values float [T] with NaN where a value was not finite.

    For a population, values are means over the members with finite ones, and `spread` is their
    standard deviation, float [T].
    """

    steps: Int[np.ndarray, "T"]
    values: Float[np.ndarray, "T"]
    spread: Float[np.ndarray, "T"] | None = None


class Look(NamedTuple):
    """How a curve is drawn."""

    color: str
    dash: Any = DASHES[0]  # as matplotlib takes it


class Panel(NamedTuple):
    """Curves that share axes, by label; with `bounds` of the y axis, or None."""

    title: str
    series: dict[str, Series]
    bounds: tuple[float, float] | None = None
    signed: bool = False  # of either sign by their nature, so that a logarithm would mislead
    named: bool = False  # by users: labels are names of runs, which stand for no color


def panels(metrics: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Arranges the losses and the discriminator's mean outputs of a run in panels.

    If each network has one loss, they share a panel; if one has several (on reals, on fakes), each
    network has a panel of its own.

    Args:
        metrics: records with a "step" and any of loss_d..., loss_g..., score_real, score_fake;
            lists of them for a population.

    Returns:
        The panels that have any values.
    """
    nets: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for record in metrics for key in record):
        if key.startswith("loss_"):
            nets.setdefault(key.split("_")[1], []).append(key)
    if all(len(keys) == 1 for keys in nets.values()):
        groups = [("Loss", [key for keys in nets.values() for key in keys])]
    else:
        groups = [(f"Loss of the {NETS.get(net, net)}", keys) for net, keys in nets.items()]
    arranged = [
        Panel(title, {_label(key): curve_of(metrics, key) for key in keys})
        for title, keys in groups
    ]
    scores = {
        _label(key): curve_of(metrics, key)
        for key in ("score_real", "score_fake")
        if any(key in record for record in metrics)
    }
    logits = any(np.any((s.values < 0) | (s.values > 1)) for s in scores.values())
    bounds = None if logits else (0.0, 1.0)
    arranged.append(Panel("Mean output of the discriminator", scores, bounds, signed=True))
    return [panel for panel in arranged if panel.series]


def evaluations(lines: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Arranges evaluations in panels, one for each metric, with its value for real examples.

    Args:
        lines: records with a "step", and "metrics" and "floors" by name.

    Returns:
        The panels; none without records.
    """
    parts = {"generated": "metrics", "real examples": "floors"}
    arranged = []
    for name in dict.fromkeys(name for line in lines for name in line["metrics"]):
        found = {
            label: curve_of([{"step": x["step"], **x[part]} for x in lines], name)
            for label, part in parts.items()
        }
        arranged.append(Panel(name, {label: x for label, x in found.items() if len(x.steps)}))
    return arranged


def describe(panel: Panel) -> str:
    """Describes a panel in words, for those who cannot see it."""
    last = [
        f"{label} {series.values[-1]:.3g} at step {series.steps[-1]:,}"
        for label, series in panel.series.items()
    ]
    return f"{panel.title} over the steps. Last values: {', '.join(last)}."


def curves(shown: Sequence[Panel], *, dark: bool = False) -> Figure:
    """Draws panels below each other; a long curve is drawn faint, with its moving average on top.

    The scale is logarithmic where values are positive and span orders of magnitude.

    Args:
        shown: at least one panel.
        dark: whether the background is dark.
    """
    ink = DARK_INK if dark else INK
    columns = [max(1, LEGEND_LENGTH // (max(map(len, x.series)) + LINE_LENGTH)) for x in shown]
    further = [  # points of the legends' rows but the first
        LEGEND_ROW * (math.ceil(len(panel.series) / ncols) - 1)
        for panel, ncols in zip(shown, columns, strict=True)
    ]
    figure = Figure((WIDTH, 2.9 * len(shown) + sum(further) / POINTS), layout=_layout())
    all_axes: list[Axes] = list(figure.subplots(len(shown), squeeze=False)[:, 0])
    for axes, panel, ncols, more in zip(all_axes, shown, columns, further, strict=True):
        pairs = zip(panel.series.values(), _looks(panel), strict=True)
        drawn = [_draw(axes, series, look) for series, look in pairs]
        axes.margins(x=0.02)
        if panel.bounds:
            axes.set_ylim(panel.bounds)
        elif not panel.signed and _spans_magnitudes(panel):
            axes.set_yscale("log")
        axes.set_title(
            textwrap.fill(panel.title, TITLE_LENGTH), loc="left", fontsize=10.5, color=ink,
            fontweight="bold", pad=24 + more, parse_math=False,
        )  # fmt: skip
        legend = axes.legend(
            drawn, list(panel.series),  # or names that begin with "_" would be left out
            loc="lower left", bbox_to_anchor=(-0.01, 0.985), ncols=ncols, borderaxespad=0.3,
            frameon=False, fontsize=10, labelcolor=ink, handlelength=1.4, columnspacing=1.4,
        )  # fmt: skip
        for text in legend.get_texts():
            text.set_parse_math(False)  # "$" in the name of a run is no formula
        axes.grid(axis="y", color=ink, alpha=0.16, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(ink)
        axes.tick_params(colors=ink, labelsize=9.5, left=False)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    all_axes[-1].set_xlabel("step", color=ink, fontsize=9.5)
    return figure


def reading(panel: Panel, figure: Figure) -> dict[str, Any]:
    """Says how to read a panel's values off its figure.

    Args:
        panel: what `curves` drew, alone.
        figure: what it returned.

    Returns:
        For JSON: "left" and "right", the ends of the steps' axis as shares of the figure's width;
        "first" and "last", the steps there; and "series": a label, steps, and values to four
        digits, of at most `MOST_READ` points.
    """
    figure.draw_without_rendering()  # makes the layout
    (axes,) = figure.axes
    box, (first, last) = axes.get_position(), axes.get_xlim()
    series = []
    for label, (steps, values, _) in panel.series.items():
        shown = evenly(np.flatnonzero(np.isfinite(values)).tolist(), MOST_READ)
        read = [float(f"{value:.4g}") for value in values[shown]]
        series.append({"label": label, "steps": steps[shown].tolist(), "values": read})
    return {"left": box.x0, "right": box.x1, "first": first, "last": last, "series": series}


def _spans_magnitudes(panel: Panel) -> bool:
    """Whether values are positive and so different that only logarithms show all of them."""
    values = np.concatenate([series.values for series in panel.series.values()])
    values = values[np.isfinite(values)]
    return bool(len(values) and 0 < MAGNITUDES * values.min() < values.max())


def heat_map(
    patterns: Float[np.ndarray, "T D"],
    steps: Int[np.ndarray, "T"],
    *,
    over: str = "step",
    dark: bool = False,
) -> Figure:
    """Draws the evolution of a pattern: a column per step, a row per entry.

    Args:
        patterns: float [T, D], T at least 1. The colors span 0..1, or all that there is beyond.
        steps: int [T], the steps of the patterns.
        over: what `steps` counts.
        dark: whether the background is dark.
    """
    ink = DARK_INK if dark else INK
    count, size = patterns.shape
    finite = patterns[np.isfinite(patterns)]
    low, high = finite.min(initial=0.0), finite.max(initial=1.0)
    figure = Figure((WIDTH, min(5.0, 1.3 + 0.42 * size)), layout=_layout())
    axes = figure.subplots()
    picture = axes.imshow(patterns.T, "viridis", vmin=low, vmax=high, aspect="auto")
    if count * size <= MAX_CELLS:
        for (column, row), value in np.ndenumerate(patterns):
            is_light = value - low > 0.45 * (high - low)  # in viridis
            color = "black" if is_light else "white"
            axes.text(
                column, row, f"{value:.2f}", color=color, fontsize=9, ha="center", va="center"
            )
        axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=0.8)
        axes.tick_params(which="minor", length=0)
    labels = [f"{step:,}" for step in steps]
    stride = math.ceil(count * len(labels[-1]) / LABELS_LENGTH)
    axes.set_xticks(range(0, count, stride), labels[::stride])
    if size <= 16:
        axes.set_yticks(range(size), [str(row + 1) for row in range(size)])
    axes.set_xlabel(over, color=ink, fontsize=9.5)
    axes.set_ylabel("entry", color=ink, fontsize=9.5)
    bar = figure.colorbar(picture, fraction=0.05, pad=0.02)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    for part in (axes, bar.ax):
        part.tick_params(which="major", colors=ink, labelsize=8)
        part.spines[:].set_visible(False)
    return figure


def scatter(
    points: Float[np.ndarray, "T N 2"],
    steps: Int[np.ndarray, "T"],
    *,
    over: str = "step",
    dark: bool = False,
) -> Figure:
    """Draws the motion of points: a panel per step, all of one scale.

    Args:
        points: float [T, N, 2], T at least 1.
        steps: int [T], the steps of the points.
        over: what `steps` counts.
        dark: whether the background is dark.
    """
    columns = min(len(points), 3)
    titles = [f"{over} {step:,}" for step in steps]
    figure, shown = _alike(titles, columns, WIDTH / columns + 0.2, DARK_INK if dark else INK)
    largest = np.abs(points).max(initial=0.1, where=np.isfinite(points))
    for axes, cloud in zip(shown, points, strict=True):
        axes.plot(*cloud.T, ".", color=COLORS["fake"], markersize=3, alpha=0.35, markeredgewidth=0)
        axes.set(xlim=(-1.1 * largest, 1.1 * largest), ylim=(-1.1 * largest, 1.1 * largest))
        axes.set_aspect("equal")
    return figure


def lines(
    series: Float[np.ndarray, "N T C"],
    steps: Int[np.ndarray, "N"],
    *,
    over: str = "step",
    dark: bool = False,
) -> Figure:
    """Draws the evolution of a series: a panel per step, a line per channel, all of one scale.

    Args:
        series: float [N, T, C], N at least 1.
        steps: int [N], the steps of the series.
        over: what `steps` counts.
        dark: whether the background is dark.
    """
    titles = [f"{over} {step:,}" for step in steps]
    figure, shown = _alike(titles, min(len(series), 2), 1.5, DARK_INK if dark else INK)
    looks = [*islice(_others(), series.shape[-1])]
    for axes, channels in zip(shown, series, strict=True):
        for values, look in zip(channels.T, looks, strict=True):
            axes.plot(values, color=look.color, linestyle=look.dash, linewidth=1.4)
    return figure


def _alike(
    titles: Sequence[str], columns: int, height: float, ink: str
) -> tuple[Figure, list[Axes]]:
    """Makes a figure of panels with these titles, each of this height, all of one scale."""
    rows = math.ceil(len(titles) / columns)
    figure = Figure((WIDTH, height * rows), layout=ConstrainedLayoutEngine())
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, title in zip(panels, titles, strict=False):
        axes.set_title(title, fontsize=9.5, color=ink)
        axes.tick_params(colors=ink, labelsize=8)
        axes.spines[:].set_color(ink)
    for axes in panels[len(titles) :]:
        axes.set_visible(False)
    return figure, [*panels[: len(titles)]]


def png(figure: Figure, *, transparent: bool = False) -> bytes:
    """Renders a figure as a PNG for a high-density screen."""
    data = BytesIO()
    figure.savefig(data, format="png", dpi=200, transparent=transparent)
    return data.getvalue()


def _layout() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)


def _label(key: str) -> str:
    """Labels a metric: `loss_d` is "discriminator", `loss_d_real` and `score_real` are "real"."""
    kind, *rest = key.split("_")
    if kind == "loss":
        rest = rest[1:] or [NETS.get(rest[0], rest[0])]
    return " ".join(rest)


def curve_of(metrics: Sequence[Mapping[str, Any]], key: str) -> Series:
    """Takes the curve of a metric from records, of which any may lack it."""
    points = [(record["step"], record[key]) for record in metrics if key in record]
    steps = np.array([step for step, _ in points], int)
    values = np.array([value for _, value in points], float)  # null becomes NaN
    values[~np.isfinite(values)] = np.nan
    if values.ndim < 2:
        return Series(steps, values)
    counts = np.isfinite(values).sum(axis=1)
    mean = np.divide(np.nansum(values, axis=1), counts, out=_nans(counts), where=counts > 0)
    squares = np.nansum((values - mean[:, None]) ** 2, axis=1)
    variance = np.divide(squares, counts - 1, out=_nans(counts), where=counts > 1)
    return Series(steps, mean, np.sqrt(variance))


def _nans(like: np.ndarray) -> np.ndarray:
    return np.full(len(like), np.nan)


def _looks(panel: Panel) -> list[Look]:
    """Chooses a color and a dash for each curve; no two of a dozen look the same."""
    known = {} if panel.named else {x: COLORS[x] for x in panel.series if x in COLORS}
    others = _others(known.values())
    return [Look(known[x]) if x in known else next(others) for x in panel.series]


def _others(taken: Collection[str] = ()) -> Iterator[Look]:
    """Goes through the colors that are not taken, and then through those dashed, endlessly."""
    return cycle(
        Look(color, dash) for dash in DASHES for color in OTHER_COLORS if color not in taken
    )


def _draw(axes: Axes, series: Series, look: Look) -> Line2D:
    """Draws a curve, and returns the line that stands for it in a legend."""
    steps, values, spread = series
    color = look.color
    if len(values) >= MANY:
        if spread is None:
            axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.7)
        else:
            spread = _moving_average(spread, len(values) // 40)
        values = _moving_average(values, len(values) // 40)
    if spread is not None:
        low, high = values - spread, values + spread
        axes.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
    mark = "o" if len(values) <= FEW else None
    (line,) = axes.plot(
        steps, values, color=color, linestyle=look.dash, linewidth=1.8, marker=mark, markersize=4
    )
    return line


def _moving_average(values: np.ndarray, width: int) -> np.ndarray:
    """Averages the finite values around each point; NaN if there are too few."""
    finite = np.isfinite(values)
    window = np.ones(width)
    totals = np.convolve(np.where(finite, values, 0.0), window, "same")
    counts = np.convolve(finite.astype(float), window, "same").round()
    return np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts >= width / 2)
