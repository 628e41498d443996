import json
import os

import numpy as np
import pytest
from html_pages import Page, assert_self_contained
from PIL import Image

from jaxgan.metrics import Protocol, Result
from jaxgan.metrics.intervals import Interval
from jaxgan.report.page import MAX_GRIDS, write_report
from jaxgan.report.pictures import grid, save_png
from jaxgan.rundir.evaluated import EVALUATED, add_evaluation
from jaxgan.util.errors import UserError

CONFIG = {
    "recipe": "mnist_mlp",
    "description": "A fully connected GAN.",
    "hyperparameters": {"learning_rate": 2e-4, "augment": None, "widths": [128, 256]},
    "seed": 7,
    "steps": 4680,
    "shape": [28, 28, 1],
    "versions": {"jaxgan": "0.1.0"},
    "device": {"platform": "cpu", "kind": "cpu", "count": 1, "cores": 2},
    "created": "2026-02-03T10:11:12+00:00",
    "something_new": {"x": 1},
}
RECORD = {"loss_d": 1.2, "loss_g": 0.8, "score_real": 0.7, "score_fake": 0.3}
EVALUATION = {"step": 4000, "averaged": True, "digest": "0a", "metrics": ["fd"]}
ATTACK = "<script>alert('x')</script><img src=http://example.com/x.png>"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "samples").mkdir()
    write_config(tmp_path)
    return tmp_path


def write_config(run, **changes):
    (run / "config.json").write_text(json.dumps(CONFIG | changes))


def write_metrics(run, records):
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def write_grid(path, value):
    save_png(grid(np.full((4, 4, 4, 1), value, np.uint8), 2, 2), path)


def image_run(run, count):
    write_config(run, steps=100 * count)
    records = [RECORD | {"step": 50 * i, "images_per_second": 5123.0} for i in range(1, 4)]
    write_metrics(run, records)
    for i in range(count):
        write_grid(run / "samples" / f"step_{100 * (i + 1):09d}.png", 5 * i)
    write_grid(run / "final.png", 255)


def page_of(run) -> Page:
    return Page(write_report(run).read_text("utf-8"))


def test_report_of_images(run):
    image_run(run, 3)
    page = page_of(run)
    assert_self_contained(page)
    assert len(page.all("h1")) == 1
    for words in (
        "mnist_mlp A fully connected GAN.",
        "Steps 300 of 300",
        "Seed 7",
        "Device cpu, 2 cores",
        "Speed 5,120 examples/s",
        "learning_rate 0.0002",
        "augment null",
        "widths [128, 256]",
        "jaxgan 0.1.0",
    ):
        assert words in page.text
    alts = [image["alt"] for image in page.all("img")]
    assert alts[0] == "Grid of new samples of the trained generator"
    assert alts[-4:] == [f"Samples at step {n}" for n in ("300", "100", "200", "300")]
    assert any("discriminator 1.2 at step 150" in alt for alt in alts)
    with Image.open(run / "progress.gif") as gif:
        assert getattr(gif, "n_frames", 1) == 3
    with Image.open(run / "losses.png") as losses:
        assert losses.width > 900
    assert not (run / "pattern.png").exists()


def test_report_of_vectors(run):
    write_config(run, shape=[4])
    write_metrics(run, [RECORD | {"step": 5}])
    for i in range(3):
        np.save(run / "samples" / f"step_{i * 1000:09d}.npy", np.full((1, 4), i / 4, np.float32))
    page = page_of(run)
    assert_self_contained(page)
    assert "How the pattern evolves" in page.text
    assert "Step 2,000: 0.50, 0.50, 0.50, 0.50." in page.all("img")[0]["alt"]
    assert not [each for each in page.all("input") if each.get("type") == "range"]
    assert (run / "pattern.png").exists()
    assert not (run / "progress.gif").exists()


def test_report_of_points(run):
    write_config(run, shape=[2])
    write_metrics(run, [RECORD | {"step": 5}])
    for i in range(8):
        points = np.full((7, 2), i / 4, np.float32)
        np.save(run / "samples" / f"step_{i * 1000:09d}.npy", points)
    page = page_of(run)
    assert_self_contained(page)
    assert "How the points move" in page.text
    assert (
        page.all("img")[0]["alt"] == "Scatter plots of 6 samples over time. Step 7,000: 7 points."
    )
    assert (run / "points.png").exists()
    assert not (run / "pattern.png").exists()


def test_report_of_series(run, caplog):
    write_config(run, shape=[5, 3])
    write_metrics(run, [RECORD | {"step": 5}])
    for i in range(3):
        series = np.full((7, 5, 3), i / 4, np.float32)
        np.save(run / "samples" / f"step_{i * 1000:09d}.npy", series)
    np.save(run / "samples" / "step_000003000.npy", np.zeros((7, 3, 5), np.float32))
    page = page_of(run)
    assert_self_contained(page)
    assert "How a series evolves" in page.text
    values = ", ".join(["0.50"] * 15)
    alt = f"Line charts of 3 samples over time. Step 2,000: {values}."
    assert page.all("img")[0]["alt"] == alt
    assert (run / "series.png").exists()
    assert "step_000003000.npy is damaged: its shape is (7, 3, 5)" in caplog.text


def test_examples_of_more_axes_have_no_figure(run, caplog):
    write_config(run, shape=[2, 5, 5, 3])
    write_metrics(run, [RECORD | {"step": 5}])
    np.save(run / "samples" / "step_000001000.npy", np.zeros((7, 2, 5, 5, 3), np.float32))
    alts = [image["alt"] for image in page_of(run).all("img")]
    assert alts and not [alt for alt in alts if "samples over time" in alt]
    assert not caplog.records


def damage(path, how):
    if how == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif how == "shape":
        np.save(path, np.zeros((3, 3, 4), np.float32))
    elif how == "pickle":
        np.save(path, np.array([{}]), allow_pickle=True)
    else:
        path.write_bytes(path.read_bytes()[: {"cut": 90, "empty": 0}[how]])


def some_slow(*slow):
    """The ways of damage; those named are left to the slow tests."""
    ways = ["cut", "empty", "pickle", "shape", "pipe"]
    return [pytest.param(x, marks=pytest.mark.slow if x in slow else ()) for x in ways]


@pytest.mark.parametrize("how", some_slow("empty", "shape", "pipe"))
def test_damaged_vectors_are_left_out_with_a_warning(run, how, caplog):
    write_config(run, shape=[4])
    for i in range(3):
        np.save(run / "samples" / f"step_{i * 1000:09d}.npy", np.full((1, 4), i / 4, np.float32))
    damage(run / "samples" / "step_000002000.npy", how)
    assert "2 samples over time. Step 1,000: 0.25" in page_of(run).all("img")[0]["alt"]
    (warning,) = caplog.messages
    assert "step_000002000.npy" in warning and "\n" not in warning


@pytest.mark.parametrize("how", ["cut", pytest.param("empty", marks=pytest.mark.slow), "pipe"])
def test_damaged_grids_are_left_out_with_a_warning(run, how, caplog):
    image_run(run, 3)
    damage(run / "samples" / "step_000000200.png", how)
    alts = [image["alt"] for image in page_of(run).all("img")]
    assert alts[-3:] == [f"Samples at step {n}" for n in ("300", "100", "300")]
    (warning,) = caplog.messages
    assert "step_000000200.png" in warning and "\n" not in warning


@pytest.mark.parametrize("names", [CONFIG, ("recipe", "hyperparameters", "seed", "shape")])
def test_a_run_that_has_just_begun_has_a_page(tmp_path, names):
    (tmp_path / "config.json").write_text(json.dumps({name: CONFIG[name] for name in names}))
    page = page_of(tmp_path)
    assert_self_contained(page)
    assert "This run has no samples yet." in page.text
    assert "This run has recorded no losses yet." in page.text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "report.html"]


@pytest.mark.parametrize("how", ["missing", "resumed", "damaged"])
def test_without_final_samples_the_last_ones_lead(run, how):
    image_run(run, 2)
    if how == "missing":
        (run / "final.png").unlink()
    elif how == "resumed":  # final.png is of an earlier end
        write_config(run, steps=300)
    else:
        damage(run / "final.png", "cut")
    page = page_of(run)
    assert "Latest samples" in page.text
    assert page.all("img")[0]["alt"] == "Samples at step 200"


@pytest.mark.slow
def test_many_grids_are_thinned(run):
    image_run(run, 40)
    page = page_of(run)
    strip = [image["alt"] for image in page.all("img")][-MAX_GRIDS:]
    assert (strip[0], strip[-1]) == ("Samples at step 100", "Samples at step 4,000")
    assert page.all("input")[0]["max"] == str(MAX_GRIDS - 1)


@pytest.mark.slow
def test_heavy_grids_are_thinned_further(run, monkeypatch):
    image_run(run, 10)
    size = max(path.stat().st_size for path in (run / "samples").iterdir())
    monkeypatch.setattr("jaxgan.report.page.GRIDS_BYTES", 4 * size)
    assert page_of(run).all("input")[0]["max"] == "3"


def test_text_of_the_run_is_never_markup(run):
    image_run(run, 2)
    scripts = len(page_of(run).all("script"))
    write_config(
        run,
        recipe=ATTACK,
        description=ATTACK,
        hyperparameters={ATTACK: ATTACK, "data": ATTACK},
    )
    page = page_of(run)
    assert len(page.all("script")) == scripts
    assert_self_contained(page)
    assert page.text.count(ATTACK) == 7  # title, heading, description, data twice, name and value


def test_numbers_that_are_not_finite_are_shown_and_named(run):
    write_metrics(
        run,
        [
            RECORD | {"step": 50, "images_per_second": float("inf")},
            RECORD | {"step": 1100, "loss_g": float("nan")},
            RECORD | {"step": 1150, "loss_g": float("nan")},
        ],
    )
    page = page_of(run)
    assert "loss_g was NaN or infinite, first at step 1,100." in page.text
    assert "Speed" not in page.text


def test_the_same_run_gives_the_same_bytes(run):
    image_run(run, 3)

    def build():
        write_report(run)
        return {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()}

    first = build()
    assert {"losses.png", "progress.gif", "report.html"} < set(first)
    assert build() == first


def test_a_folder_without_config_is_no_run(tmp_path):
    with pytest.raises(UserError, match="is not a run directory: it has no config.json"):
        write_report(tmp_path)
    with pytest.raises(UserError, match="there is no run directory .*/absent"):
        write_report(tmp_path / "absent")


def test_damaged_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"recipe": ')
    with pytest.raises(UserError, match="config.json is damaged"):
        write_report(tmp_path)


def results(name: str, value: float, interval: Interval | None = None) -> list[dict]:
    protocol = Protocol(9, 9, "mnist", "train", "none", "digits", None, 0)
    return [Result(name, value, protocol, interval).to_dict() | {"floor": 0.25}]


def test_evaluations_are_tables_with_their_protocols_the_newest_first(run):
    interval = Interval(1.5, 2.5, 0.95, "t of 2 draws of samples")
    older = {"protocol": "of 9", "results": results("fd_digits", 2.0, interval)}
    newer = {"protocol": "of 10", "step": 300, "averaged": False, "member": 2}
    newer |= {"date": "2026-03-04T05:06:07+00:00", "results": results("recall", 0.5)}
    for each in (older, newer):
        add_evaluation(run, EVALUATION | each)
    page = page_of(run)
    assert_self_contained(page)
    assert (
        "Evaluations Step 300, G not averaged, member 2 2026-03-04 05:06:07+00:00 "
        "metric value 95% interval of real examples recall 0.5 0.25 (of 10) "
        "Step 4,000, G averaged metric value 95% interval of real examples "
        "fd_digits 2 1.5 to 2.5 0.25 (of 9) Curves"
    ) in page.text
    assert ["open" in each for each in page.all("details")] == [True, False]


def test_an_evaluation_of_a_population_is_a_table_of_its_settings(run):
    spread = {"mean": 4.0, "deviation": None, "low": None, "high": None}
    groups = [
        {"setting": {"lr": 0.5}, "members": 2, "diverged": 1, "metrics": {"fd": spread}},
        {"setting": {"lr": 1.0}, "members": 2, "diverged": 2, "metrics": {}},
    ]
    about = {"protocol": "of 9", "members": [None] * 4, "groups": groups, "floors": {"fd": 0.25}}
    add_evaluation(run, EVALUATION | about)
    assert (
        "setting metric members mean deviation 95% interval of real examples "
        "lr=0.5 fd 1 of 2 4 0.25 lr=1 all diverged 0 of 2 (of 9)"
    ) in page_of(run).text


def test_text_of_evaluations_is_never_markup(run):
    scripts = len(page_of(run).all("script"))
    told = {"protocol": ATTACK, "date": ATTACK, "results": results(ATTACK, 1.0)}
    add_evaluation(run, EVALUATION | told)
    page = page_of(run)
    assert len(page.all("script")) == scripts
    assert_self_contained(page)
    assert page.text.count(ATTACK) == 3


@pytest.mark.parametrize(
    "entry",
    [
        {"results": [results("fd", 1.0)[0] | {"value": float("nan")}]},
        {"date": 3},
        {"groups": [{}]},
        {
            "groups": [
                {"setting": {}, "members": 1, "diverged": 0,
                 "metrics": {"fd": {"mean": 1.0, "deviation": None, "low": None, "high": None}}}
            ],
            "floors": {},
        },
        {"step": "4"},
    ],
    ids=str,
)  # fmt: skip
def test_evaluations_that_are_damaged_are_left_out_with_a_warning(run, entry, caplog):
    told = {"evaluations": [EVALUATION | {"protocol": "of 9"} | entry]}
    (run / EVALUATED).write_text(json.dumps(told))
    assert "Evaluations" not in page_of(run).text
    (warning,) = caplog.messages
    assert warning.startswith("the report leaves out the evaluations: ") and "\n" not in warning
