import json
from pathlib import Path

import numpy as np
import pytest

from jaxgan import rundir
from jaxgan.devices.mesh import make_mesh
from jaxgan.recipes.mnist_mlp import MnistMlp
from jaxgan.rundir.config import read_config
from jaxgan.rundir.directory import check_free, create, find_samples
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

RECIPE = MnistMlp(log_every=5, sample_every=10)


@pytest.fixture
def run(tmp_path):
    create(tmp_path / "run", rundir.describe(RECIPE, 3, 40, DataSpec((28, 28, 1)), make_mesh(1)))
    return tmp_path / "run"


def write_metrics(run, records):
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def test_a_new_run_may_go_where_nothing_is(tmp_path, run):
    (tmp_path / "empty").mkdir()
    check_free(tmp_path / "empty", overwrite=False)
    check_free(tmp_path / "a" / "b", overwrite=False)
    check_free(run, overwrite=True)
    assert not (tmp_path / "a").exists()
    with pytest.raises(UserError, match="holds a run already: go on with --resume, choose"):
        check_free(run, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_run_is_never_replaced(tmp_path, overwrite):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").touch()
    for name in ("file", "folder"):
        with pytest.raises(UserError, match="exists and is no run directory: choose another --out"):
            check_free(tmp_path / name, overwrite=overwrite)
    (tmp_path / "folder" / "config.json").write_text('{"recipe": "soup"}')  # of another program
    with pytest.raises(UserError):
        check_free(tmp_path / "folder", overwrite=overwrite)


def test_a_replaced_run_leaves_nothing_behind_but_what_links_point_to_stays(tmp_path, run):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").touch()
    (run / "link").symlink_to(tmp_path / "elsewhere")
    (run / "checkpoints" / "5").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(run)
    create(tmp_path / "alias", rundir.describe(RECIPE, 4, 40, DataSpec((28, 28, 1)), make_mesh(1)))
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "samples"]
    assert read_config(run).seed == 4
    assert (tmp_path / "elsewhere" / "precious").exists()


def test_a_run_that_is_killed_while_it_is_made_can_be_made_again(tmp_path, run, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    config = rundir.describe(RECIPE, 4, 40, DataSpec((28, 28, 1)), make_mesh(1))
    new = tmp_path / "new"
    with monkeypatch.context() as patch:
        patch.setattr("jaxgan.util.files.os.replace", stop)
        patch.setattr("jaxgan.util.files.Path.unlink", lambda *_, **__: None)
        for path in (new, run):
            with pytest.raises(KeyboardInterrupt):
                create(path, config)
    assert [path.suffix for path in new.iterdir()] == [".tmp"]
    check_free(new, overwrite=False)
    check_free(run, overwrite=True)
    assert read_config(run).seed == 3
    for path in (new, run):
        create(path, config)
        assert sorted(path.name for path in path.iterdir()) == ["config.json", "samples"]
    (run / "samples").rmdir()
    rundir.rewind(run, 0, RECIPE)
    assert (run / "samples").is_dir()


def test_a_run_may_go_into_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    create(Path("."), rundir.describe(RECIPE, 4, 40, DataSpec((28, 28, 1)), make_mesh(1)))
    assert (tmp_path / "config.json").exists()


def test_samples_come_in_order_of_steps_and_other_files_do_not(run):
    for name in ("step_9.png", "step_000000010.png", "step_1.npy", "step_x.png", ".step_2.png.tmp"):
        (run / "samples" / name).touch()
    assert [sample.step for sample in find_samples(run, "png")] == [9, 10]
    assert find_samples(run / "absent", "png") == []
    assert rundir.sample_path(run, 20, "png").name == "step_000000020.png"


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
def test_rewinding_leaves_what_an_uninterrupted_run_has_at_that_step(run, step, metrics, samples):
    steps = [5, 10, 13, 15, 20, 23]  # it ended early at 13 and at 23
    write_metrics(run, [{"step": number} for number in steps])
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 2')  # and was killed while it wrote
    for number in (0, 10, 13, 20, 23):
        rundir.sample_path(run, number, "png").touch()
        np.save(rundir.sample_path(run, number, "npy"), np.zeros(4))
    rundir.rewind(run, step, RECIPE)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == metrics
    for suffix in ("png", "npy"):
        assert [sample.step for sample in find_samples(run, suffix)] == samples
