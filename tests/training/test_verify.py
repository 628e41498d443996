import json

import pytest
from runs import EACH, TINY, command, contents, copy

from jaxgan.rundir.log import read_metrics
from jaxgan.training.verify import verify


@pytest.mark.parametrize("recipe", EACH)
def test_a_run_is_reproduced_and_left_as_it_is(recipe, here, whole_run, mnist_dir):
    run = whole_run(recipe)
    before = contents(run)
    done = command("verify", run, "--data-dir", mnist_dir)
    assert (done.status, done.out) == (0, "reproduced: 10 of 10 points\n"), done
    assert contents(run) == before


@pytest.mark.parametrize(("steps", "points"), [(4, 1), (11, 2), (40, 10), (1000, 10)])
def test_it_can_stop_early(steps, points, here, whole_run):
    done = command("verify", whole_run("pattern_1010"), "--steps", steps)
    assert (done.status, done.out) == (0, f"reproduced: {points} of {points} points\n")


def test_the_first_difference_is_named_with_what_differs(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    lines = [dict(record) for record in read_metrics(run)]
    for line in lines[5:]:
        line["digest"] = "0" * 16
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = json.loads((run / "config.json").read_text())
    config["versions"]["jax"] = "0.1"
    config["device"]["kind"] = "abacus"
    (run / "config.json").write_text(json.dumps(config))
    done = command("verify", "run")
    assert done.status == 1
    first, *others = done.out.splitlines()
    assert first.startswith("step 24 differs, after 5 equal points: 0000000000000000 there, ")
    marked = [line.split() for line in others if line.endswith("<-")]
    assert [line[0] for line in marked] == ["jax", "kind"]
    assert marked[1][1:3] == ["abacus", "there,"]


def test_another_seed_is_another_run(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"seed": 1}))
    assert verify(run).differs == 4


@pytest.mark.parametrize("words", [["--steps", "3"], ["--steps", "0"], ["--steps", "-1"]])
def test_nothing_to_compare_is_said(words, here, whole_run):
    done = command("verify", whole_run("pattern_1010"), *words)
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1


@pytest.mark.slow
def test_a_run_on_several_devices_is_repeated_on_as_many(here):
    words = [*TINY["mnist_mlp"], "--steps", "8", "--out", "run", "--devices", "4"]
    assert command("train", "mnist_mlp", *words).status == 0
    assert json.loads((here / "run" / "config.json").read_text())["device"]["count"] == 4
    assert command("verify", "run").out == "reproduced: 2 of 2 points\n"
    assert verify(here / "run", devices=1).differs == 4  # by rounding
    again = command("train", "mnist_mlp", "--out", "run", "--resume", "--steps", "12")
    assert again.status == 0, again.err
    assert json.loads((here / "run" / "config.json").read_text())["device"]["count"] == 4
    assert command("verify", "run").out == "reproduced: 3 of 3 points\n"


@pytest.mark.parametrize(
    "line",
    [
        {"step": "a", "digest": "x"},
        {"step": None},
        {"step": 2**31, "digest": "x"},
        {"step": 0, "digest": "x"},
        {"step": 4, "digest": 3},
        {"step": 4, "loss_d": "low"},
        {"step": 4, "loss_d": [1]},
        {"step": True},
        [4],
        4,
    ],
)
def test_a_line_that_is_no_record_is_named(line, here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join([lines[0], json.dumps(line), *lines[1:]]) + "\n")
    for words in (["verify", "run"], ["report", "run"]):
        done = command(*words)
        assert (done.status, done.out) == (2, "")
        (said,) = done.err.splitlines()
        assert "metrics.jsonl is damaged: line 2 is not a record" in said


def test_a_run_without_versions_can_differ_too(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    config = json.loads((run / "config.json").read_text())
    del config["versions"], config["device"]
    (run / "config.json").write_text(json.dumps(config | {"seed": 1}))
    done = command("verify", "run")
    assert done.status == 1
    assert "jax              None there" in done.out
