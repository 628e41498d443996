"""The page that compares runs."""

import json

import numpy as np
import pytest
from html_pages import Page, assert_self_contained
from runs import assert_refused, command, copy

from jaxgan.metrics.intervals import Interval
from jaxgan.metrics.result import Protocol, Result
from jaxgan.report.comparing import comparison
from jaxgan.report.page import as_uri
from jaxgan.rundir.evaluated import add_evaluation
from jaxgan.util.errors import UserError

PROTOCOL = "100 generated, 100 of mnist train, features digit network"
EVALUATION = {"step": 40, "averaged": False, "digest": "0" * 16, "metrics": ["fd_digits"]}


@pytest.fixture
def two(here, whole_run):
    """Two runs of one recipe, of which the second claims another learning rate and other losses."""
    first, second = (copy(whole_run("mnist_mlp"), here / name) for name in ("first", "second"))
    config = json.loads((second / "config.json").read_text())
    config["hyperparameters"]["learning_rate"] = 0.125
    (second / "config.json").write_text(json.dumps(config))
    lines = [json.loads(line) for line in (second / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line["loss_d"] = 77.5
    (second / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return first, second


def numbers(value: float, interval: Interval | None = None) -> list[dict]:
    protocol = Protocol(100, 100, "mnist", "train", "none", "digits", None, 0)
    return [Result("fd_digits", value, protocol, interval).to_dict() | {"floor": 0.5}]


def test_settings_curves_samples_and_facts_are_side_by_side(two):
    page = Page(comparison(two))
    assert_self_contained(page)
    assert "setting first second learning_rate 0.0002 0.125" in page.text
    assert "latent_size" not in page.text  # is the same in both
    charts = [
        json.loads(each["data-reading"]) for each in page.all("figure") if "data-reading" in each
    ]
    (losses,) = [x for x in charts if any(77.5 in s["values"] for s in x["series"])]
    assert [each["label"] for each in losses["series"]] == ["first", "second"]
    assert losses["series"][1]["values"] == [77.5] * len(losses["series"][1]["steps"])
    assert [image["alt"] for image in page.all("img")][:2] == [
        "Samples of first",
        "Samples of second",
    ]
    assert "2 runs side by side Run Recipe Steps" in page.text
    assert "first mnist_mlp 40 of 40" in page.text


def test_the_last_evaluations_under_one_protocol_share_a_table(two):
    first, second = two
    interval = Interval(1.5, 2.5, 0.95, "t of 5 draws")
    told = {"protocol": f"step 40, G not averaged; {PROTOCOL}"}
    add_evaluation(first, EVALUATION | told | {"results": numbers(2.0, interval)})
    averaged = {"protocol": f"step 40, G averaged; {PROTOCOL}", "digest": "1" * 16}
    add_evaluation(second, EVALUATION | averaged | {"results": numbers(3.25)})
    other = {"protocol": "step 40, G not averaged; 7 generated", "digest": "1" * 16}
    add_evaluation(second, EVALUATION | other | {"results": numbers(9.0)})
    page = Page(comparison(two))
    assert "run step fd_digits first 40 2 (1.5 to 2.5) second 40 3.25" in page.text
    assert f"{PROTOCOL}. In brackets" in page.text
    assert "run step fd_digits second 40 9" in page.text


def test_settings_of_a_population_are_rows(two):
    groups = [
        {"setting": {"learning_rate": rate}, "members": 2, "diverged": 0,
         "metrics": {"fd_digits": {"mean": 4.0, "deviation": 1.0, "low": None, "high": None}}}
        for rate in (0.5, 0.25)
    ]  # fmt: skip
    told = {"protocol": f"step 40, G not averaged; {PROTOCOL}", "groups": groups}
    add_evaluation(two[0], EVALUATION | told)
    assert "first, learning_rate=0.5 40 4 first, learning_rate=0.25 40 4" in comparison_text(two)


def test_the_values_of_a_sweep_are_those_of_its_members(two):
    path = two[0] / "config.json"
    config = json.loads(path.read_text())
    sweep = {"learning_rate": [0.5, 0.25]}
    path.write_text(json.dumps(config | {"members": {"count": 4, "sweep": sweep}}))
    (two[0] / "metrics.jsonl").unlink()
    assert "setting first second learning_rate 0.5, 0.25 0.125" in comparison_text(two)


def test_members_of_a_population_are_rows_of_their_own(two):
    protocol = {"protocol": f"step 40, G not averaged; {PROTOCOL}"}
    for member, value in enumerate((1.5, 2.5)):
        told = {"member": member, "digest": f"{member}" * 16, "results": numbers(value)}
        add_evaluation(two[0], EVALUATION | protocol | told)
    add_evaluation(two[1], EVALUATION | protocol | {"results": numbers(3.5)})
    told = "fd_digits first, member 0 40 1.5 first, member 1 40 2.5 second 40 3.5"
    assert told in comparison_text(two)


def test_samples_are_the_newest_that_can_be_read(two, caplog):
    (first, second), path = two, "samples/step_000000040.png"

    def pictures() -> list[str]:
        return [image["src"] for image in Page(comparison(two)).all("img")[:2]]

    def uri(run, name: str) -> str:
        return as_uri((run / name).read_bytes())

    assert pictures() == [uri(first, "final.png"), uri(second, "final.png")]
    config = json.loads((first / "config.json").read_text())
    (first / "config.json").write_text(json.dumps(config | {"steps": 80}))  # resumed
    assert pictures() == [uri(first, path), uri(second, "final.png")]
    assert caplog.messages == []
    for damaged in (first / path, second / "final.png"):
        damaged.write_bytes(b"")
    assert pictures() == [uri(first, "samples/step_000000030.png"), uri(second, path)]
    assert len(caplog.messages) == 2 and path in caplog.messages[0]


def comparison_text(runs) -> str:
    return Page(comparison(runs)).text


def test_vectors_are_drawn(here, whole_run):
    first = copy(whole_run("pattern_1010"), here / "first")
    second = copy(whole_run("pattern_1010"), here / "second")
    page = Page(comparison([first, second]))
    assert_self_contained(page)
    assert page.all("img")[0]["alt"] == "Samples of first at step 40"
    assert "Settings in which they differ None." in page.text


def test_a_damaged_sample_is_left_out_with_a_warning(here, whole_run, caplog):
    runs = [copy(whole_run("pattern_1010"), here / name) for name in ("first", "second")]
    last = runs[0] / "samples" / "step_000000040.npy"
    np.save(last, np.zeros((0, 4), np.float32))
    page = Page(comparison(runs))
    assert page.all("img")[0]["alt"] == "Samples of first at step 30"
    (warning,) = caplog.messages
    assert str(last) in warning and "\n" not in warning


def test_runs_of_one_name_are_told_apart(here, two):
    (here / "elsewhere").mkdir()
    again = copy(two[0], here / "elsewhere" / "first")
    assert "elsewhere/first" in comparison_text([two[0], again])


@pytest.mark.parametrize("count", [1, 13])
def test_too_few_or_too_many_are_refused(count, two, here):
    with pytest.raises(UserError, match=f"2 to 12 runs, not {count}"):
        comparison([here / str(number) for number in range(count)])


def test_the_command_writes_the_page(two, here):
    done = command("compare", "first", "second")
    assert (done.status, done.out) == (0, "comparison.html\n")
    assert "77.5" in (here / "comparison.html").read_text()
    assert_refused(command("compare", "first", "first"), "twice")
    assert_refused(command("compare", "first", "nothing"), "nothing")
    config = (here / "first" / "config.json").read_text()
    done = command("compare", "first", "second", "--out", "first/config.json")
    assert_refused(done, "--out must end in .html")
    assert (here / "first" / "config.json").read_text() == config
