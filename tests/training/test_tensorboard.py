"""Events for TensorBoard, read back."""

import shutil
import struct
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from runs import TINY, assert_refused, command

from jaxgan.report import write_report
from jaxgan.rundir import sample_path
from jaxgan.rundir.log import read_evaluations, read_metrics

Event: Any = import_module("tensorboardX.proto.event_pb2").Event  # has no types
EVENTS = "events.out.tfevents.*"


def read(run: Path) -> list[Any]:
    """All events of a run, file by file: a length, its checksum, an event, its checksum."""
    found = []
    for path in sorted((run / "tensorboard").glob(EVENTS)):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            found.append(Event.FromString(data[place + 12 : place + 12 + length]))
            place += 16 + length
    return found


def by_tag(events: list[Any]) -> dict[str, dict[int, Any]]:
    """Values by tag and step."""
    found: dict[str, dict[int, Any]] = defaultdict(dict)
    for event in events:
        for value in event.summary.value:
            assert event.step not in found[value.tag]
            found[value.tag][event.step] = value
    return found


def scalars(events: list[Any], tag: str) -> dict[int, float]:
    return {step: value.simple_value for step, value in by_tag(events)[tag].items()}


@pytest.mark.slow
def test_metrics_samples_and_scores_are_written(here):
    words = [*TINY["mnist_mlp"], "--steps", "6", "--log-every", "2", "--sample-every", "3"]
    done = command(
        "train", "mnist_mlp", *words, "--tensorboard", "--eval-every", "3", "--eval-num", "200"
    )
    assert done.status == 0
    run = here / "runs" / "mnist_mlp-seed0"
    events = read(run)
    for name in ("loss_d", "loss_g", "score_real", "images_per_second"):
        logged = {line["step"]: line[name] for line in read_metrics(run)}
        assert scalars(events, name) == pytest.approx(logged)
    (best, *_) = read_evaluations(run)[0]["metrics"]
    measured = {line["step"]: line["metrics"][best] for line in read_evaluations(run)}
    assert scalars(events, f"evaluation/{best}") == pytest.approx(measured)
    tags = by_tag(events)
    assert [*tags["samples"]] == [0, 3, 6]
    (run / "seen.png").write_bytes(tags["samples"][6].image.encoded_image_string)
    with Image.open(run / "seen.png") as seen, Image.open(sample_path(run, 6, "png")) as own:
        np.testing.assert_array_equal(seen.convert("L"), own.convert("L"))
    for kind in ("real", "fake"):
        histograms = tags[f"scores/score_{kind}"]
        assert [*histograms] == [3, 6]
        assert histograms[6].histo.num == 8  # examples in a batch
    # The scores' mean, before a step, is near the metric of the step before.
    assert tags["scores/score_real"][6].histo.sum / 8 == pytest.approx(
        scalars(events, "score_real")[6], abs=0.5
    )


def test_a_resumed_run_says_what_it_writes_again(here):
    words = [*TINY["pattern_1010"], "--out", "run", "--tensorboard"]
    assert command("train", "pattern_1010", *words, "--steps", "10").status == 0
    assert command("train", "pattern_1010", *words, "--steps", "20", "--resume").status == 0
    events = read(here / "run")
    starts = [event.step for event in events if event.HasField("session_log")]
    assert starts == [0, 11]
    assert max(scalars(events, "loss_g")) == 20


def test_a_run_that_begins_again_replaces_all_that_it_wrote(here, monkeypatch):
    within_a_second = SimpleNamespace(time=lambda: 1_800_000_000.0)
    monkeypatch.setattr("tensorboardX.event_file_writer.time", within_a_second)
    words = [*TINY["pattern_1010"], "--out", "run", "--tensorboard"]
    assert command("train", "pattern_1010", *words, "--steps", "4").status == 0
    shutil.rmtree(here / "run" / "checkpoints")  # as if it had died before the first
    assert command("train", "pattern_1010", *words, "--steps", "4", "--resume").status == 0
    starts = [event.step for event in read(here / "run") if event.HasField("session_log")]
    assert starts == [0, 0]


@pytest.mark.slow
def test_each_member_of_a_population_has_its_own(here, monkeypatch):
    monkeypatch.setattr("jaxgan.training.observers.write_report", write_report)
    words = [*TINY["pattern_1010"], "--members", "2", "--steps", "10", "--out", "run"]
    assert command("population", "pattern_1010", *words, "--tensorboard").status == 0
    events = read(here / "run")
    for member in range(2):
        logged = {line["step"]: line["loss_g"][member] for line in read_metrics(here / "run", 2)}
        assert scalars(events, f"loss_g/{member}") == pytest.approx(logged)
        assert by_tag(events)[f"scores/score_fake/{member}"]


def test_a_missing_library_is_named_before_anything_is_written(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    done = command("train", "pattern_1010", *TINY["pattern_1010"], "--out", "run", "--tensorboard")
    assert_refused(done, r"pip install 'jaxgan\[tensorboard\]'")
    assert not (here / "run").exists()
