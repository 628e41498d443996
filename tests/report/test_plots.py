from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from jaxgan.report.plots import (
    Panel,
    Series,
    curves,
    describe,
    evaluations,
    heat_map,
    lines,
    panels,
    png,
    reading,
    scatter,
)

THOUSANDS = ("1,000", "2,000", "3,000")


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert image.format == "PNG"
        return image.size


def test_one_loss_each_shares_a_panel():
    records = [{"step": s, "loss_d": 1.0, "loss_g": 2.0, "fid": 3.0} for s in (1, 2)]
    (panel,) = panels(records)
    assert list(panel.series) == ["discriminator", "generator"]
    np.testing.assert_array_equal(panel.series["generator"].steps, [1, 2])
    np.testing.assert_array_equal(panel.series["generator"].values, [2, 2])


def test_several_losses_of_a_net_give_each_net_a_panel():
    record = {"step": 5, "loss_d_real": 0.1, "loss_d_fake": 0.2, "loss_g": 0.3}
    record |= {"score_real": 0.6, "score_fake": 0.4}
    shown = panels([record])
    assert [list(panel.series) for panel in shown] == [
        ["real", "fake"],
        ["generator"],
        ["real", "fake"],
    ]
    assert shown[0].series["fake"].values[0] == 0.2
    assert shown[2].series["fake"].values[0] == 0.4
    assert [panel.bounds for panel in shown] == [None, None, (0, 1)]


def test_scores_beyond_one_are_not_cut_off():
    (panel,) = panels([{"step": 1, "score_real": 3.0, "score_fake": float("nan")}])
    assert panel.bounds is None


def test_no_records_no_panels():
    assert panels([]) == []
    assert panels([{"step": 1, "images_per_second": 5.0}]) == []


def test_describe_gives_the_last_values():
    text = describe(panels([{"step": 1000, "loss_d": 1.23456}, {"step": 2000, "loss_g": 0.5}])[0])
    assert "discriminator 1.23 at step 1,000" in text
    assert "generator 0.5 at step 2,000" in text


def test_values_can_be_read_where_they_are_drawn():
    records: list[dict[str, float]] = [
        {"step": 2 * i, "loss_d": i / 3, "loss_g": 1.0} for i in range(5000)
    ]
    records[7]["loss_d"] = float("nan")
    (panel,) = panels(records)
    figure = curves([panel])
    read = reading(panel, figure)
    d, g = read["series"]
    assert (d["label"], g["label"]) == ("discriminator", "generator")
    assert (d["steps"][0], d["steps"][-1], len(d["steps"])) == (0, 9998, 400)
    assert d["values"] == [float(f"{step / 6:.4g}") for step in d["steps"]]
    # The curve's last point is as far to the right as is said.
    (axes,) = figure.axes
    width = figure.get_size_inches()[0] * figure.dpi
    x = axes.transData.transform((9998, 1.0))[0] / width
    share = (9998 - read["first"]) / (read["last"] - read["first"])
    assert x == pytest.approx(read["left"] + share * (read["right"] - read["left"]), abs=1e-6)


@pytest.mark.parametrize(("low", "scale"), [(1e-3, "log"), (0.5, "linear"), (-1e-3, "linear")])
def test_a_scale_is_logarithmic_where_values_span_magnitudes(low, scale):
    (panel,) = panels([{"step": 1, "loss_d": low}, {"step": 2, "loss_d": 1.0}])
    (axes,) = curves([panel]).axes
    assert axes.get_yscale() == scale
    (axes,) = curves([panel._replace(signed=True)]).axes
    assert axes.get_yscale() == "linear"


@pytest.mark.parametrize("count", [1, 2, 50, 3000])
@pytest.mark.parametrize("dark", [False, True])
def test_curves_are_drawn_for_few_and_for_many_points(count, dark):
    rng = np.random.default_rng(0)
    records = [{"step": 10 * i, "loss_d": rng.normal(), "score_real": 0.5} for i in range(count)]
    width, height = size_of(png(curves(panels(records), dark=dark), transparent=dark))
    assert 900 < width < 1400
    assert 900 < height < 1600


def test_long_curves_are_smoothed_by_the_mean_of_their_surroundings():
    records = [{"step": i, "loss_d": float(i % 2)} for i in range(400)]
    raw, smooth = curves(panels(records)).axes[0].lines
    np.testing.assert_array_equal(raw.get_ydata(), [r["loss_d"] for r in records])
    np.testing.assert_allclose(np.asarray(smooth.get_ydata()), 0.5, atol=0.1)


@pytest.mark.parametrize("count", [1, 400])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None])
def test_values_that_are_not_finite_leave_gaps(count, bad):
    records = [{"step": i, "loss_d": bad, "loss_g": 1.0} for i in range(count)]
    shown = panels(records)
    assert np.all(np.isnan(shown[0].series["discriminator"].values))
    size_of(png(curves(shown)))


def test_one_bad_value_does_not_spoil_the_average():
    records = [{"step": i, "loss_d": 2.0} for i in range(400)]
    records[200]["loss_d"] = float("nan")
    smooth = curves(panels(records)).axes[0].lines[1]
    np.testing.assert_allclose(np.asarray(smooth.get_ydata()), 2.0)


def named(*names: str) -> Panel:
    """A curve for each of some runs."""
    steps = np.arange(3)
    series = {name: Series(steps, steps + float(i)) for i, name in enumerate(names)}
    return Panel("loss_d", series, named=True)


def test_names_of_runs_are_no_markup():
    names = ["_under", "cost$5_to_$6", "generator"]
    panel = named(*names)
    figure = curves([panel._replace(title="$x_$")])
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == names
    size_of(png(figure))  # or matplotlib would raise for what is no formula


def test_a_dozen_runs_look_different_whatever_their_names():
    names = "abcdefghijkl"
    lines = curves([named(*names)]).axes[0].lines
    looks = [(line.get_color(), line.get_linestyle()) for line in lines]
    assert len(set(looks)) == 12
    other = curves([named("generator", *names[1:])]).axes[0].lines
    assert [(line.get_color(), line.get_linestyle()) for line in other] == looks


def test_a_legend_of_many_runs_has_room_beside_the_curves():
    figure = curves([named("first"), named(*(f"run number {i}" for i in range(12)))])
    figure.draw_without_rendering()
    for axes in figure.axes:
        legend, title = axes.get_legend(), axes._left_title  # pyright: ignore
        assert legend is not None
        texts = [text.get_window_extent() for text in legend.get_texts()]
        assert title.get_window_extent().y0 >= max(box.y1 for box in texts)
    heights = [axes.get_window_extent().height for axes in figure.axes]
    assert heights[0] == pytest.approx(heights[1], rel=0.1)
    width = figure.axes[0].get_window_extent().width
    assert width > 0.8 * figure.get_size_inches()[0] * figure.dpi


def test_a_curve_without_a_color_of_its_own_has_none_of_the_others():
    (panel,) = panels([{"step": 1, "loss_e": 1.0, "loss_d": 1.0, "loss_g": 2.0}])
    lines = curves([panel]).axes[0].lines
    assert len({line.get_color() for line in lines}) == 3


def test_an_evaluation_without_its_value_for_real_examples_is_drawn():
    lines = [{"step": 1, "metrics": {"fd": 2.0, "kd": 1.0}, "floors": {"kd": 0.5}}]
    fd, kd = evaluations(lines)
    assert list(fd.series) == ["generated"]
    assert list(kd.series) == ["generated", "real examples"]
    assert describe(fd) == "fd over the steps. Last values: generated 2 at step 1."


def test_heat_map_has_a_row_per_entry_and_a_column_per_step():
    patterns = np.linspace(0, 1, 44, dtype=np.float32).reshape(11, 4)
    figure = heat_map(patterns, np.arange(0, 11_000, 1000))
    axes, bar = figure.axes
    np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), patterns.T)
    assert axes.images[0].get_clim() == (0, 1)
    assert len(axes.texts) == 44
    assert axes.texts[-1].get_text() == "1.00"
    assert axes.get_xticklabels()[-1].get_text() == "10,000"
    assert bar.get_ylim() == (0, 1)
    width, height = size_of(png(figure))
    assert 900 < width < 1400
    assert 400 < height < 1100


@pytest.mark.parametrize("shape", [(1, 4), (300, 4), (3, 64)])
def test_heat_map_of_any_shape(shape):
    patterns = np.full(shape, 0.5, np.float32)
    patterns[0, 0] = np.nan
    figure = heat_map(patterns, np.arange(shape[0]) * 1000, dark=True)
    size_of(png(figure, transparent=True))
    assert 1 <= len(figure.axes[0].get_xticks()) <= 22


def test_colors_of_a_heat_map_reach_all_that_there_is():
    patterns = np.array([[-3.0, 0.5, np.nan], [0.2, 1.5, 0.0]], np.float32)
    axes, _ = heat_map(patterns, np.arange(2)).axes
    assert axes.images[0].get_clim() == (-3, 1.5)
    black = [text.get_text() for text in axes.texts if text.get_color() == "black"]
    assert black == ["0.50", "0.20", "1.50", "0.00"]


def test_scatter_has_a_panel_per_step_all_of_one_scale():
    points = np.random.default_rng(0).normal(size=(4, 50, 2)).astype(np.float32)
    points[2, 7] = (1, -20)
    figure = scatter(points, np.arange(0, 4000, 1000))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [f"step {s}" for s in ("0", *THOUSANDS)]
    for axes, cloud in zip(shown, points, strict=True):
        np.testing.assert_array_equal(axes.lines[0].get_xydata(), cloud)
        assert axes.get_xlim() == axes.get_ylim() == pytest.approx((-22, 22))
    width, height = size_of(png(figure))
    assert 900 < width < 1400 and 600 < height < 1100


@pytest.mark.parametrize("shape", [(1, 1, 2), (6, 2500, 2)])
def test_scatter_of_any_points(shape):
    points = np.zeros(shape, np.float32)
    points[0, 0] = (np.nan, np.inf)
    shown = png(scatter(points, np.arange(shape[0]), dark=True), transparent=True)
    assert min(size_of(shown)) > 100


def test_a_series_has_a_panel_per_step_and_a_line_per_channel():
    series = np.random.default_rng(0).normal(size=(3, 20, 9)).astype(np.float32)
    series[1, 4, 2] = np.nan
    figure = lines(series, np.arange(0, 3000, 1000))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["step 0", "step 1,000", "step 2,000"]
    for axes, channels in zip(shown, series, strict=True):
        drawn = np.stack([np.asarray(line.get_ydata()) for line in axes.lines], axis=1)
        np.testing.assert_array_equal(drawn, channels)
        assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 9
        assert axes.get_ylim() == shown[0].get_ylim()
    assert min(size_of(png(figure))) > 400


def test_the_same_plot_has_the_same_bytes():
    shown = panels([{"step": s, "loss_d": 1.0 / s} for s in range(1, 200)])
    assert png(curves(shown)) == png(curves(shown))
