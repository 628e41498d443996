"""Runs that go on after they ended early, or after something happened to their files."""

import errno
import gc
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import jax.numpy as jnp
import pytest
from runs import command, contents, copy, result_of
from test_checkpoints import DAMAGES

from jaxgan.core.state import GANState, TrainState
from jaxgan.core.updates import Update
from jaxgan.evaluation.evaluator import Evaluated
from jaxgan.metrics import Protocol, Result
from jaxgan.recipes.pattern_1010 import Pattern1010
from jaxgan.rundir import BEST, Checkpoints, load, read_evaluations, read_metrics, sample_path
from jaxgan.rundir.directory import find_samples
from jaxgan.rundir.resuming import best_at, rewind
from jaxgan.training import Observer, train
from jaxgan.util.errors import FileError, UserError
from jaxgan.util.files import write_atomically

RECIPE = Pattern1010(log_every=4, sample_every=10, checkpoint_every=10, steps=40)


def warnings(caplog) -> list[str]:
    found = [r for r in caplog.records if r.name.startswith("jaxgan") and r.levelname == "WARNING"]
    return [record.getMessage() for record in found]


def steps_of(run: Path, name: str = "checkpoints") -> list[int]:
    return sorted(int(path.name) for path in (run / name).iterdir() if path.name.isdecimal())


# When one file cannot be written, Orbax closes the event loop that the others still use.
def echoes(test):
    """Marks a test in which Orbax leaves errors that show only when they are collected."""
    ignored = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    return ignored(pytest.mark.usefixtures("collected")(test))


@pytest.fixture
def collected():
    """Collects what a test leaves before others begin, which have nothing to do with it."""
    yield
    gc.collect()


class At(Observer):
    """Does something after a step."""

    def __init__(self, step, action):
        self.period = step
        self._action = action

    def see(self, chunk):
        if chunk.step == self.period:
            self._action()


class Died(Exception):
    """A run ended without a chance to save anything."""


def die():
    raise Died


@pytest.mark.parametrize(
    "damage", [pytest.param(x, marks=() if x == "flip" else pytest.mark.slow) for x in DAMAGES]
)
def test_a_run_goes_on_from_the_newest_sound_checkpoint(damage, here, whole_run, caplog):
    run = copy(whole_run("pattern_1010"), here / "run")
    for file in (run / "checkpoints" / "40").rglob("d/*"):
        DAMAGES[damage](file)
    damaged = contents(run / "checkpoints" / "40")
    assert command("train", "pattern_1010", "--out", "run", "--resume").status == 0
    assert result_of(run) == result_of(whole_run("pattern_1010"))
    (warning,) = warnings(caplog)
    assert warning.startswith("run/checkpoints/40 is damaged: ")
    assert "resuming from step 30" in [record.getMessage() for record in caplog.records]
    assert contents(run / "checkpoints" / "replaced" / "40") == damaged
    assert steps_of(run) == [10, 20, 30, 40]


def test_resuming_a_run_at_its_end_changes_nothing(here):
    recipe, run = replace(RECIPE, steps=15), here / "run"  # whose last step is no log point else
    train(recipe, run)
    whole = result_of(run)
    train(recipe, run, resume=True)
    assert result_of(run) == whole
    assert read_metrics(run)[-1]["step"] == 15
    assert [sample.step for sample in find_samples(run, "npy")] == [0, 10, 15]


def test_files_that_a_killed_run_was_writing_are_removed(here, whole_run, monkeypatch):
    run = copy(whole_run("pattern_1010"), here / "run")

    def die_at_once(*_):
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr("jaxgan.util.files.os.replace", die_at_once)
        patch.setattr("jaxgan.util.files.Path.unlink", lambda *_, **__: None)
        ours = ("samples/step_000000030.npy", "metrics.jsonl", "evaluations.jsonl", "config.json")
        names = (*ours, "report.html")
        for name in names:
            with pytest.raises(Died):
                write_atomically(run / name, b"half")
    left = sorted(run.rglob(".*.tmp"))
    assert len(left) == len(names)
    train(RECIPE, run, resume=True)
    assert result_of(run) == result_of(whole_run("pattern_1010"))
    (stays,) = run.rglob(".*.tmp")  # another command may be writing it
    assert stays in left and stays.name.startswith(".report.html.")


def test_a_damaged_checkpoint_stays_until_something_newer_was_saved(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    DAMAGES["flip"](next((run / "checkpoints" / "40").rglob("d/*")))
    before = contents(run / "checkpoints")
    with pytest.raises(Died):
        train(RECIPE, run, resume=True, observers=[At(39, die)])
    assert contents(run / "checkpoints") == before
    train(RECIPE, run, resume=True)
    assert result_of(run) == result_of(whole_run("pattern_1010"))


def test_samples_of_a_damaged_or_unreadable_checkpoint_are_refused(here, whole_run, monkeypatch):
    run = copy(whole_run("pattern_1010"), here / "run")
    really = os.open

    def fail(path, *arguments, **options):
        if "/40/default/" in str(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return really(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        done = command("sample", "run")
    assert (done.status, done.out) == (2, "")
    assert "run/checkpoints/40/default/" in done.err and "Input/output error" in done.err

    DAMAGES["flip"](next((run / "checkpoints" / "40").rglob("d/*")))
    done = command("sample", "run")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("jaxgan: run/checkpoints/40 is damaged: ")
    assert "--step 30" in done.err
    assert command("sample", "run", "--step", "30").status == 0


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_an_error_of_the_file_system_ends_a_resume_and_costs_nothing(
    number, here, whole_run, monkeypatch
):
    run = copy(whole_run("pattern_1010"), here / "run")
    before = contents(run)
    really = os.open

    def fail(path, *arguments, **options):
        if "/40/" in str(path):
            raise OSError(number, os.strerror(number), str(path))
        return really(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(FileError, match=f"{run}/checkpoints/40/.*: {os.strerror(number)}"):
            train(replace(RECIPE, steps=60), run, resume=True)
    assert contents(run) == before


def test_a_run_without_a_sound_checkpoint_names_each_cause_and_stays_as_it_is(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    for file in (run / "checkpoints").rglob("d/*"):
        file.unlink()
    before = contents(run)
    done = command("train", "pattern_1010", "--resume", "--out", "run")
    assert done.status == 2
    for step in (10, 20, 30, 40):
        assert f"run/checkpoints/{step} is damaged: " in done.err
    assert "from a backup" in done.err and "overwrite" not in done.err
    assert contents(run) == before


def test_a_run_that_never_saved_says_so_and_starts_again(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    shutil.rmtree(run / "checkpoints")
    done = command("sample", "run")
    assert done.status == 2
    assert "nothing was saved yet" in done.err and "--resume" in done.err
    assert command("train", "pattern_1010", "--out", "run", "--resume").status == 0
    assert result_of(run) == result_of(whole_run("pattern_1010"))


def cut(path: Path, lines: int) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))


@pytest.mark.parametrize(
    ("spoil", "step"),
    [
        (lambda path: cut(path, 6), 20),  # up to step 24
        *[
            pytest.param(spoil, step, marks=pytest.mark.slow)
            for spoil, step in (
                (lambda path: cut(path, 4), 10),  # up to step 16
                (lambda path: path.write_text(path.read_text()[:-30]), 30),  # within step 40's line
            )
        ],
        (lambda path: path.unlink(), 0),
    ],
)
def test_lines_that_are_missing_in_the_log_come_back(spoil, step, here, whole_run, caplog):
    run = copy(whole_run("pattern_1010"), here / "run")
    spoil(run / "metrics.jsonl")
    before = contents(run / "checkpoints")
    assert command("train", "pattern_1010", "--out", "run", "--resume").status == 0
    (warning,) = warnings(caplog)
    assert warning.startswith("the log of run lacks step ")
    assert warning.endswith(f": the steps after {step} are trained again")
    assert result_of(run) == result_of(whole_run("pattern_1010"))
    assert contents(run / "checkpoints") == before  # which are the same states


def test_a_run_whose_log_was_cut_may_die_again(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    cut(run / "metrics.jsonl", 4)
    for step in (13, 27):
        with pytest.raises(Died):
            train(RECIPE, run, resume=True, observers=[At(step, die)])
        assert steps_of(run) == [10, 20, 30, 40]
    train(RECIPE, run, resume=True)
    assert result_of(run) == result_of(whole_run("pattern_1010"))


def test_pipes_in_the_place_of_files_do_not_block(here, whole_run):
    for name in ("metrics.jsonl", "config.json", "checkpoints/40/sha256"):
        run = copy(whole_run("pattern_1010"), here / name.replace("/", "-"))
        (run / name).unlink()
        os.mkfifo(run / name)
        for words in (["train", "pattern_1010", "--resume", "--out", run], ["sample", run]):
            if words[0] == "sample" and name == "metrics.jsonl":
                continue  # which needs no metrics
            done = command(*words)
            assert done.status == 2
            assert f"{run / name} is not a regular file" in done.err


@pytest.mark.parametrize(
    "content",
    [
        b"\x93NUMPY\x01",
        *(pytest.param(x, marks=pytest.mark.slow) for x in (b"", b"no array at all")),
    ],
)
def test_damaged_samples_are_named_and_end_neither_report_nor_run(
    content, here, whole_run, monkeypatch, caplog
):
    from jaxgan.report import write_report

    run = copy(whole_run("pattern_1010"), here / "run")
    path = run / "samples" / "step_000000020.npy"
    path.write_bytes(content)
    monkeypatch.setattr("jaxgan.training.observers.write_report", write_report)
    assert command("train", "pattern_1010", "--resume", "--out", "run").status == 0
    (warning,) = warnings(caplog)
    assert f"run/{path.relative_to(run)} is damaged: " in warning


@echoes
def test_a_run_directory_that_is_renamed_is_missed_and_not_made_again(here):
    run, moved = here / "run", here / "moved"
    told = f"{run} was moved or removed while it trained: .*put it back, then go on with --resume"
    with pytest.raises(UserError, match=told):
        train(RECIPE, run, observers=[At(20, lambda: run.rename(moved))])
    assert not run.exists()
    train(RECIPE, moved, resume=True)
    train(RECIPE, run)
    assert result_of(moved) == result_of(run)


@echoes
def test_a_run_directory_that_is_removed_is_missed_and_a_new_run_may_go_there(here):
    run = here / "run"
    with pytest.raises(UserError, match=f"{run} was moved or removed while it trained"):
        train(RECIPE, run, observers=[At(20, lambda: run.rename(here / "gone"))])
    train(RECIPE, run)


@echoes
def test_another_run_in_the_place_of_a_renamed_one_is_left_alone(here, whole_run):
    run, another = here / "run", copy(whole_run("pattern_1010"), here / "another")

    def replace_it():
        # A save that is under way would make the folder again between the two lines.
        end = time.monotonic() + 60
        while not (run / "checkpoints" / "10").is_dir() and time.monotonic() < end:
            time.sleep(0.001)
        run.rename(here / "moved")
        another.rename(run)

    with pytest.raises(UserError, match=f"{run} was moved or removed while it trained"):
        train(RECIPE, run, observers=[At(15, replace_it)])
    assert contents(run) == contents(whole_run("pattern_1010"))


@echoes
def test_checkpoints_that_are_removed_are_missed(here):
    run = here / "run"
    told = f"({run}/checkpoints was moved or removed|cannot write a checkpoint to {run})"
    with pytest.raises(UserError, match=told):
        train(RECIPE, run, observers=[At(15, lambda: (run / "checkpoints").rename(here / "gone"))])
    train(RECIPE, run, resume=True)


class Vector(Pattern1010):
    """Has a metric that is no number."""

    name: ClassVar[str] = "vector"

    def update(self, gan):
        inner = super().update(gan)

        def apply(state, batch, key):
            state, metrics = inner.apply(state, batch, key)
            return state, metrics | {"loss_g": jnp.zeros(3)}

        return Update(inner.init, apply)


def test_a_metric_that_is_no_number_is_told_before_anything_is_written(here):
    with pytest.raises(ValueError, match="loss_g"):
        train(Vector(steps=4), here / "run")
    assert [path.name for path in here.rglob("*")] in ([], ["run", "lock"])


RECORDS = (2, 8, 10, 20, 32)  # steps that are better than all before


class Scores:
    """Stands for an evaluator that is quick: in every run, a state has the same score."""

    floors, features = {"fd_points": 0.0}, "points"
    seen: dict[bytes, int] = {}  # samples, and the step of theirs

    def __init__(self, *_, **__):
        pass

    def __call__(self, draws):
        step = self.seen.setdefault(draws[0].tobytes(), 2 * len(self.seen) + 2)
        value = 100.0 - step if step in RECORDS else 200.0
        protocol = Protocol(1, 1, "", "", "", "", "", 0, {})
        return [Evaluated(Result("fd_points", value, protocol), 0.0)]

    def labels(self, choice):
        return None  # points have none

    def protocol(self, draws):
        return "made up"


def best_of(run: Path) -> int | None:
    """The step that evaluations.jsonl tells to be the best."""
    found = [(line["metrics"]["fd_points"], line["step"]) for line in read_evaluations(run)]
    return min(found)[1] if found else None


class Agrees(Observer):
    """Checks, as training goes on, that best/ holds what evaluations.jsonl tells."""

    def start(self, experiment, run, state):
        self._run = run
        self._check()

    def see(self, chunk):
        if chunk.step in RECORDS:
            self._check()

    def _check(self):
        if (best := best_of(self._run)) is not None:
            assert int(load(self._run, best=True).state.step) == best


EVALUATED = Pattern1010(
    log_every=2, sample_every=100, checkpoint_every=10, eval_every=2, eval_num=8, steps=50
)


@pytest.fixture
def scores(monkeypatch):
    monkeypatch.setattr(Scores, "seen", {})
    monkeypatch.setattr("jaxgan.training.monitor.Evaluator", Scores)


@pytest.mark.slow
def test_best_agrees_with_the_evaluations_wherever_a_run_dies(here, scores):
    whole, run = here / "whole", here / "run"
    train(EVALUATED, whole)
    assert best_of(whole) == RECORDS[-1]
    for step in sorted({*RECORDS, 9, 47}):
        with pytest.raises(Died):
            resume = run.exists()
            train(EVALUATED, run, resume=resume, observers=[Agrees(), At(step, die)])
    train(EVALUATED, run, resume=True, observers=[Agrees()])
    assert [line["step"] for line in read_evaluations(run)] == list(range(2, 51, 2))
    assert best_of(run) == best_of(whole)
    assert int(load(run, best=True).state.step) == RECORDS[-1]
    assert len(steps_of(run, BEST)) <= len(steps_of(run)) + 2


@pytest.mark.slow
def test_best_is_there_also_for_a_checkpoint_that_took_long_to_save(here, scores, monkeypatch):
    run = here / "run"
    monkeypatch.setitem(globals(), "RECORDS", (2, 10, 12, 14))
    finish = Checkpoints._finish

    def late(checkpoints, step):
        """Ends the checkpoint of step 10 only after the best state of step 14 was saved."""
        if step == 10 and checkpoints._path.name == "checkpoints":
            deadline = time.monotonic() + 60
            while not (run / BEST / "14").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert time.monotonic() < deadline
        return finish(checkpoints, step)

    monkeypatch.setattr(Checkpoints, "_finish", late)
    train(replace(EVALUATED, steps=20), run)
    assert steps_of(run) == [10, 20]
    assert steps_of(run, BEST) == [10, 12, 14]


@pytest.mark.slow
def test_a_state_that_was_best_before_steps_are_trained_again_does_not_stay(
    here, scores, monkeypatch
):
    run = here / "run"
    with pytest.raises(Died):
        train(EVALUATED, run, observers=[At(39, die)])
    assert steps_of(run, BEST)[-1] == 32 and steps_of(run)[-1] == 30
    monkeypatch.setitem(globals(), "RECORDS", (2, 8, 10, 20))  # as rounding may have it elsewhere
    train(EVALUATED, run, resume=True)
    assert best_of(run) == int(load(run, best=True).state.step) == 20
    assert 32 not in steps_of(run, BEST)


@pytest.mark.slow
def test_best_is_there_also_after_damage_that_takes_a_run_far_back(here, scores):
    run = here / "run"
    train(EVALUATED, run)
    for step in steps_of(run)[1:]:
        shutil.rmtree(run / "checkpoints" / str(step) / "default")
    train(EVALUATED, run, resume=True, observers=[Agrees()])
    cut(run / "evaluations.jsonl", 0)
    train(EVALUATED, run, resume=True, observers=[Agrees()])
    assert best_of(run) == int(load(run, best=True).state.step)


def test_a_run_without_evaluations_has_no_best(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    assert command("train", "pattern_1010", "--out", "run", "--resume").status == 0
    assert not (run / BEST).exists()
    done = command("sample", "run", "--best")
    assert (done.status, done.err) == (
        2,
        "jaxgan: run has no best checkpoint: train it with --eval-every\n",
    )


def test_a_damaged_line_of_the_log_is_named_and_its_step_can_be_trained_again(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join([*lines[:3], "{\n", *lines[4:]]))
    words = ["train", "pattern_1010", "--out", "run", "--resume"]
    done = command(*words)
    assert done.status == 2
    assert "run/metrics.jsonl is damaged: line 4 is not a record (remove that line" in done.err
    (run / "metrics.jsonl").write_text("".join([*lines[:3], *lines[4:]]))
    assert command(*words).status == 0
    assert result_of(run) == result_of(whole_run("pattern_1010"))
    assert [json.loads(line)["step"] for line in lines] == [x["step"] for x in read_metrics(run)]


@pytest.mark.parametrize(
    ("step", "metrics", "samples"),
    [
        (0, [], [0]),
        (5, [5], [0]),
        (10, [5, 10], [0, 10]),
        (13, [5, 10], [0, 10]),
        (20, [5, 10, 15, 20], [0, 10, 20]),
    ],
)
def test_rewinding_leaves_what_an_uninterrupted_run_has_at_that_step(
    step, metrics, samples, tmp_path
):
    run = tmp_path
    (run / "samples").mkdir()
    recipe = Pattern1010(log_every=5, sample_every=10)
    steps = [5, 10, 13, 15, 20, 23]  # it ended early at 13 and at 23
    lines = "".join(json.dumps({"step": number}) + "\n" for number in steps)
    (run / "metrics.jsonl").write_text(lines + '{"step": 2')  # and was killed while it wrote
    for number in (0, 10, 13, 20, 23):
        sample_path(run, number, "png").touch()
        sample_path(run, number, "npy").touch()
    rewind(run, step, recipe, 40)
    assert [line["step"] for line in read_metrics(run)] == metrics
    for suffix in ("png", "npy"):
        assert [sample.step for sample in find_samples(run, suffix)] == samples


def test_the_best_until_each_checkpoint_is_kept(tmp_path):
    for step in (10, 20, 30):
        (tmp_path / str(step)).mkdir()
    net = TrainState({}, {}, ())
    keep = best_at(Checkpoints(tmp_path, GANState(jnp.zeros((), int), net, net, {})))
    assert set(keep([2])) == {2}
    assert set(keep([2, 6, 12, 14])) == {6, 12, 14}
    assert set(keep([6, 14, 22, 28, 34, 35, 36])) == {6, 14, 28, 35, 36}
    assert set(keep([34, 35, 36])) == {35, 36}
