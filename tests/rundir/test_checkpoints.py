import errno
import gc
import os
import shutil
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import pytest
from runs import contents, copy, digest

from jaxgan.core.state import GANState, TrainState
from jaxgan.rundir.checkpoints import Checkpoints
from jaxgan.util.errors import CannotSave, FileError, UserError


def state_of(step: int, scale: float = 1.0) -> GANState:
    def network(seed: int) -> TrainState:
        kernel = scale * jax.random.normal(jax.random.key(seed + step), (40, 30))
        return TrainState({"dense": {"kernel": kernel}}, {"mean": jnp.ones(30)}, (jnp.int32(step),))

    return GANState(jnp.int32(step), network(0), network(1), {})


def save(folder, *steps: int, **options) -> None:
    with Checkpoints(folder, state_of(0), **options) as checkpoints:
        for step in steps:
            checkpoints.save(state_of(step))


def restore(folder, step: int | None = None) -> GANState:
    with Checkpoints(folder, jax.eval_shape(lambda: state_of(0))) as checkpoints:
        return checkpoints.restore(step)


def steps(folder) -> list[int]:
    with Checkpoints(folder, state_of(0)) as checkpoints:
        return checkpoints.steps()


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A folder with checkpoints of steps 1, 2 and 3; only to be read."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    save(folder, 1, 2, 3)
    return folder


def test_a_state_comes_back_bit_for_bit(tmp_path):
    odd = state_of(3).with_extra(x=jnp.array([jnp.nan, -0.0]), key=jax.random.key(5))
    with Checkpoints(tmp_path / "a", odd) as checkpoints:
        assert checkpoints.steps() == []
        checkpoints.save(odd)
    with Checkpoints(tmp_path / "a", jax.eval_shape(lambda: odd)) as checkpoints:
        restored = checkpoints.restore()
    assert jax.tree.structure(restored) == jax.tree.structure(odd)
    plain = [
        state.with_extra(key=jax.random.key_data(state.extra["key"])) for state in (restored, odd)
    ]
    assert digest(plain[0]) == digest(plain[1])
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(restored))


def test_a_state_may_be_donated_as_soon_as_it_is_saved(tmp_path):
    state = state_of(1)
    expected = digest(state)
    spoil = jax.jit(lambda state: jax.tree.map(lambda x: x * 0 - 7, state), donate_argnums=0)
    with Checkpoints(tmp_path, state) as checkpoints:
        checkpoints.save(state)
        jax.block_until_ready(spoil(state))
    assert digest(restore(tmp_path)) == expected


def test_only_those_are_kept_that_are_to_be(tmp_path):
    save(tmp_path / "newest", *range(1, 8))
    assert steps(tmp_path / "newest") == [3, 4, 5, 6, 7]
    save(tmp_path / "even", 1, 2, 3, 4, keep=lambda steps: [x for x in steps if x % 2 == 0])
    assert steps(tmp_path / "even") == [2, 4]
    assert [path.name for path in sorted((tmp_path / "even").iterdir())] == ["2", "4"]


def test_later_checkpoints_stay_when_an_earlier_one_is_saved(tmp_path):
    save(tmp_path, 8, 9)
    save(tmp_path, 1, 2, keep=lambda steps: steps[-1:])
    assert steps(tmp_path) == [2, 8, 9]


def test_the_newest_is_restored_or_the_one_that_is_asked_for(saved):
    assert int(restore(saved).step) == 3
    assert digest(restore(saved, 1)) == digest(state_of(1))
    with pytest.raises(UserError, match=r"no checkpoint of step 7 in .*; there are: 1, 2, 3"):
        restore(saved, 7)


def test_looking_for_checkpoints_makes_no_folder(tmp_path):
    assert steps(tmp_path / "none") == []
    for step in (None, 1):
        told = f"{tmp_path}/none holds no checkpoint: nothing was saved yet .*--resume, which"
        with pytest.raises(UserError, match=told):
            restore(tmp_path / "none", step)
    assert not (tmp_path / "none").exists()


def flip(path):
    data = bytearray(path.read_bytes() or b"\0")
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def add(path):
    path.with_name(f"{path.name}2").touch()


DAMAGES = {"flip": flip, "truncate": truncate, "remove": Path.unlink, "add": add}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damaged_file_is_found_and_another_step_is_named(damage, saved, tmp_path):
    files = files_of(saved / "3" / "default")
    files += [saved / "3" / "sha256"] if damage != "add" else []
    assert len(files) >= 8
    for number, file in enumerate(files):
        folder = copy(saved, tmp_path / str(number))
        DAMAGES[damage](folder / file.relative_to(saved))
        told = f"^{folder}/3 is damaged: .*; the newest sound one is that of --step 2$"
        with pytest.raises(UserError, match=told):
            restore(folder)
        assert digest(restore(folder, 2)) == digest(state_of(2))


def test_when_all_are_damaged_it_says_so_and_nothing_is_changed(saved, tmp_path):
    folder = copy(saved, tmp_path / "folder")
    for file in files_of(folder):
        truncate(file)
    before = contents(folder)
    with pytest.raises(UserError, match="3 is damaged: .*; there is no sound one: restore it from"):
        restore(folder)
    assert contents(folder) == before


def test_a_damaged_checkpoint_stays_until_its_step_is_saved_again_and_then_is_set_aside(
    saved, tmp_path
):
    folder = copy(saved, tmp_path / "folder")
    for again in ("3", "3.2"):
        flip(folder / "3" / "default" / "manifest.ocdbt")
        damaged = contents(folder / "3")
        assert steps(folder) == [1, 2, 3]
        save(folder, 3)
        assert contents(folder / "replaced" / again) == damaged
        assert digest(restore(folder)) == digest(state_of(3))
        assert steps(folder) == [1, 2, 3]


def test_the_same_state_is_saved_once_and_another_one_replaces_it(saved, tmp_path):
    folder = copy(saved, tmp_path / "folder")
    before = contents(folder)
    save(folder, 3, 3)
    assert contents(folder) == before
    with Checkpoints(folder, state_of(0)) as checkpoints:
        checkpoints.save(state_of(3, scale=2.0))
    assert digest(restore(folder)) == digest(state_of(3, scale=2.0))
    assert contents(folder / "replaced" / "3") == contents(saved / "3")


def test_what_is_half_written_does_not_count_and_goes_with_the_next_checkpoint(saved, tmp_path):
    folder = copy(saved, tmp_path / "folder")
    shutil.copytree(folder / "3", folder / "4.partial")
    (folder / "notes").mkdir()
    (folder / "readme.txt").write_text("7")
    assert digest(restore(folder)) == digest(state_of(3))
    save(folder, 5)
    assert {path.name for path in folder.iterdir()} == {"1", "2", "3", "5", "notes", "readme.txt"}


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOMEM])
@pytest.mark.parametrize("name", ["sha256", "manifest.ocdbt", "_METADATA"])
def test_an_error_of_the_file_system_is_told_and_is_no_damage(
    name, number, saved, tmp_path, monkeypatch
):
    folder = copy(saved, tmp_path / "folder")
    before = contents(folder)
    really = os.open

    def fail(path, *arguments, **options):
        if str(path).endswith(f"3/default/{name}") or str(path).endswith(f"3/{name}"):
            raise OSError(number, os.strerror(number), str(path))
        return really(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        told = rf"^{folder}/3/.*{name}: {os.strerror(number)} \(fix that, then run again\)$"
        with pytest.raises(FileError, match=told):
            restore(folder)
    assert contents(folder) == before
    assert int(restore(folder).step) == 3


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes")]
)
def test_running_out_of_memory_is_passed_on(error, saved, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(ocp.StandardCheckpointer, "restore", fail)
    with pytest.raises(type(error)):
        restore(saved)


def test_what_orbax_cannot_read_is_named_and_no_damage(saved, monkeypatch):
    def fail(*_, **__):
        raise ValueError("RESOURCE_EXHAUSTED: cannot read x [os_error_code='28']\nand much more")

    monkeypatch.setattr(ocp.StandardCheckpointer, "restore", fail)
    with pytest.raises(FileError, match=f"^cannot read {saved}/3: No space left"):
        restore(saved)


def test_other_networks_are_told_of(saved):
    other = state_of(0).with_extra(more=jnp.zeros(3))
    with pytest.raises(UserError, match=f"{saved}/3 is of other networks than config.json"):
        with Checkpoints(saved, other) as checkpoints:
            checkpoints.restore()


def test_a_pipe_in_the_place_of_a_file_does_not_block(saved, tmp_path):
    folder = copy(saved, tmp_path / "folder")
    began = time.monotonic()
    for file in files_of(folder / "3"):
        file.rename(tmp_path / "file")
        os.mkfifo(file)
        with pytest.raises(UserError, match=f"{file} is not a regular file"):
            restore(folder)
        file.unlink()
        (tmp_path / "file").rename(file)
    assert time.monotonic() - began < 10


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "checkpoints", tmp_path / "gone" / "checkpoints"):
        told = rf"cannot write a checkpoint to {folder}: .* \(fix that, then continue with --resume"
        with pytest.raises(CannotSave, match=told), Checkpoints(folder, state_of(0)) as checkpoints:
            checkpoints.save(state_of(1))
    assert not (tmp_path / "gone").exists()


def test_a_folder_that_was_removed_is_missed_and_not_made_again(tmp_path):
    folder = tmp_path / "folder"
    with Checkpoints(folder, state_of(0)) as checkpoints:
        checkpoints.save(state_of(1))
        checkpoints.wait()
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(CannotSave, match=f"{folder} was moved or removed.* put it back"):
            checkpoints.save(state_of(2))
    assert not folder.exists()


def test_a_checkpoint_in_a_folder_that_was_made_again_does_not_count(tmp_path, monkeypatch):
    folder, moved = tmp_path / "checkpoints", tmp_path / "moved"
    finish = ocp.StandardCheckpointer.wait_until_finished

    def move_the_folder(writer):  # as if TensorStore had written all of it later
        finish(writer)
        monkeypatch.setattr(ocp.StandardCheckpointer, "wait_until_finished", finish)
        folder.rename(moved)
        shutil.copytree(moved, folder)

    checkpoints = Checkpoints(folder, state_of(0))
    monkeypatch.setattr(ocp.StandardCheckpointer, "wait_until_finished", move_the_folder)
    checkpoints.save(state_of(1))
    with pytest.raises(CannotSave, match="moved or removed"):
        checkpoints.wait()
    checkpoints.close()
    assert not folder.exists()


def test_what_is_written_after_the_first_error_goes_as_well(tmp_path, monkeypatch):
    run, moved = tmp_path / "run", tmp_path / "moved"
    run.mkdir()
    finish, close = ocp.StandardCheckpointer.wait_until_finished, ocp.StandardCheckpointer.close

    def lose_the_folder(writer):
        finish(writer)
        run.rename(moved)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def write_on(writer):  # as TensorStore does, which makes folders that are missing
        late = run / "checkpoints" / "1.partial" / "default" / "d"
        late.mkdir(parents=True)
        (late / "late").write_bytes(b"0")
        close(writer)

    checkpoints = Checkpoints(run / "checkpoints", state_of(0))
    checkpoints.save(state_of(1))
    monkeypatch.setattr(ocp.StandardCheckpointer, "wait_until_finished", lose_the_folder)
    with pytest.raises(CannotSave, match="No such file"):
        checkpoints.wait()
    monkeypatch.setattr(ocp.StandardCheckpointer, "wait_until_finished", finish)
    monkeypatch.setattr(ocp.StandardCheckpointer, "close", write_on)
    checkpoints.close()
    assert not run.exists() and (moved / "checkpoints").is_dir()


@pytest.mark.parametrize("name", ["fsync", "rename", "mkdir"])
def test_a_failure_in_the_background_is_told_and_the_last_checkpoint_stays(
    name, tmp_path, monkeypatch
):
    save(tmp_path, 1)

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    checkpoints = Checkpoints(tmp_path, state_of(0))
    with monkeypatch.context() as patch, pytest.raises(CannotSave, match="No space left on device"):
        patch.setattr(os, name, fail)
        checkpoints.save(state_of(2))
        checkpoints.wait()
    checkpoints.close()
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    assert digest(restore(tmp_path)) == digest(state_of(1))


# Orbax leaves errors behind that no one catches.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_cannot_be_read_again_does_not_count_as_saved(tmp_path, monkeypatch):
    finish = ocp.StandardCheckpointer.wait_until_finished

    def leave_something_out(writer):  # as Orbax does when it cannot list what it wrote
        finish(writer)
        for path in tmp_path.glob("2.partial/default/manifest.ocdbt"):
            path.unlink()

    save(tmp_path, 1)
    monkeypatch.setattr(ocp.StandardCheckpointer, "wait_until_finished", leave_something_out)
    with pytest.raises(CannotSave, match=f"cannot write a checkpoint to {tmp_path}"):
        save(tmp_path, 2)
    assert steps(tmp_path) == [1]
    gc.collect()  # here, where such errors are expected


def test_all_of_a_checkpoint_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def note(number):
        synced.append((Path(os.readlink(f"/proc/self/fd/{number}")), (tmp_path / "1").exists()))
        fsync(number)

    monkeypatch.setattr(os, "fsync", note)
    save(tmp_path, 1)
    before = {path for path, named in synced if not named}
    for path in [tmp_path / "1", *(tmp_path / "1").rglob("*")]:
        assert Path(str(path).replace("/1", "/1.partial", 1)) in before, path
    assert synced[-1] == (tmp_path, True)
