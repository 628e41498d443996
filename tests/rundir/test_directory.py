from pathlib import Path

import numpy as np
import pytest

from jaxgan import rundir
from jaxgan.devices.mesh import make_mesh
from jaxgan.recipes.mnist_mlp import MnistMlp
from jaxgan.rundir.config import read_config
from jaxgan.rundir.directory import (
    check_free,
    create,
    find_samples,
    locked,
    read_vectors,
    write_vectors,
)
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

RECIPE = MnistMlp(log_every=5, sample_every=10)


@pytest.fixture
def run(tmp_path):
    create(tmp_path / "run", rundir.describe(RECIPE, 3, 40, DataSpec((28, 28, 1)), make_mesh(1)))
    return tmp_path / "run"


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
        with pytest.raises(UserError, match="exists and is not a run directory: choose another"):
            check_free(tmp_path / name, overwrite=overwrite)
    (tmp_path / "folder" / "config.json").write_text('{"recipe": "soup"}')  # of another program
    with pytest.raises(UserError):
        check_free(tmp_path / "folder", overwrite=overwrite)


def test_a_replaced_run_leaves_nothing_behind_but_what_links_point_to_stays(tmp_path, run):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").touch()
    (run / "tensorboard").symlink_to(tmp_path / "elsewhere")
    for name in ("report.html", "sample_step5_seed0.png", ".evaluation.json.lock", ".x.7.tmp"):
        (run / name).touch()
    (run / "checkpoints" / "5").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(run)
    create(tmp_path / "alias", rundir.describe(RECIPE, 4, 40, DataSpec((28, 28, 1)), make_mesh(1)))
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "samples"]
    assert read_config(run).seed == 4
    assert (tmp_path / "elsewhere" / "precious").exists()


def test_a_run_is_not_replaced_with_what_others_put_there(run):
    config = rundir.describe(RECIPE, 4, 40, DataSpec((28, 28, 1)), make_mesh(1))
    (run / ".DS_Store").touch()
    check_free(run, overwrite=True)
    for name in ("child", "notes.txt"):
        (run / name).mkdir()
    with pytest.raises(UserError, match=r"holds child, notes.txt besides the run: move that"):
        check_free(run, overwrite=True)
    create(run, config)
    assert sorted(path.name for path in run.iterdir()) == [
        *(".DS_Store", "child", "config.json", "notes.txt", "samples")
    ]


def test_a_run_does_not_go_into_the_record_of_another(run):
    (run / "metrics.jsonl").touch()
    with pytest.raises(UserError, match="checkpoints/x belongs to the record of a run"):
        check_free(run / "checkpoints" / "x", overwrite=False)
    check_free(run / "child", overwrite=False)


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
    rundir.rewind(run, 0, RECIPE, 40)
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


def test_what_a_removed_run_leaves_behind_does_not_forbid_a_new_one(tmp_path):
    (tmp_path / "checkpoints" / "5.partial" / "default").mkdir(parents=True)
    (tmp_path / "lock").touch()
    check_free(tmp_path, overwrite=False)
    (tmp_path / "checkpoints" / "4").mkdir()
    with pytest.raises(UserError, match="exists and is not a run directory"):
        check_free(tmp_path, overwrite=False)


def test_vectors_are_read_as_they_were_written_and_damage_is_named(tmp_path):
    path = tmp_path / "step.npy"
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    write_vectors(path, vectors)
    np.testing.assert_array_equal(read_vectors(path), vectors)
    whole = path.read_bytes()
    np.save(path, np.array(["text"], object), allow_pickle=True)
    pickled = path.read_bytes()
    for data in (b"", whole[:-3], b"\x93NUMPY", b"text", pickled):
        path.write_bytes(data)
        with pytest.raises(UserError, match=f"{path} is damaged: "):
            read_vectors(path)
    for wrong in (np.zeros(3, np.float32), np.zeros((2, 2), int), np.zeros((0, 2), np.float32)):
        np.save(path, wrong)
        with pytest.raises(UserError, match=f"{path} is damaged: "):
            read_vectors(path)
    with pytest.raises(UserError, match=f"{tmp_path}/gone.npy: No such file"):
        read_vectors(tmp_path / "gone.npy")


def test_a_locked_run_is_refused_and_a_place_that_cannot_be_locked_is_named(tmp_path):
    with locked(tmp_path / "a" / "run"):
        with pytest.raises(UserError, match="another process trains in .*/a/run: wait for it"):
            with locked(tmp_path / "a" / "run"):
                pass
    with locked(tmp_path / "a" / "run"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"{tmp_path}/file is a file, not a folder"):
        with locked(tmp_path / "file" / "run"):
            pass
