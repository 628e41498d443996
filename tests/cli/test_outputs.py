"""Where commands may write."""

import pytest
from runs import assert_refused, command, contents, copy


@pytest.fixture
def run(whole_run, here):
    return copy(whole_run("mnist_mlp"), here / "run")


@pytest.mark.parametrize(
    "words",
    [
        "export run --format stablehlo --out run/config.json",
        "export run --format stablehlo --out run/config",  # a description is written beside it
        "export run --format stablehlo --out run/metrics.jsonl",
        "sample run --num 1 --out run/samples/step_000000040.png",
        "interpolate run --rows 1 --out run/checkpoints/walk.png",
        "compare run run --out run/samples/compared.html",
    ],
)
def test_the_record_of_a_run_is_not_replaced(words, run):
    before = contents(run)
    assert_refused(command(*words.split()), "belongs to the record of a run: choose another --out")
    assert contents(run) == before


def test_files_of_such_names_are_replaced_elsewhere(here, run):
    (here / "config.json").write_text("of something else")
    done = command("sample", "run", "--num", "1", "--out", "samples/a.png")
    assert done.status == 0, done.err
    assert (here / "samples" / "a.png").exists()
