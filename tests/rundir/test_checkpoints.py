import logging
import shutil

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import pytest
from runs import command, contents, copy, digest, process, result_of

from jaxgan.core.state import GANState, TrainState
from jaxgan.rundir.checkpoints import Checkpoints
from jaxgan.util.errors import CannotSave, UserError


def state_of(step: int, scale: float = 1.0) -> GANState:
    def network(seed: int) -> TrainState:
        kernel = scale * jax.random.normal(jax.random.key(seed + step), (40, 30))
        return TrainState({"dense": {"kernel": kernel}}, {"mean": jnp.ones(30)}, (jnp.int32(step),))

    return GANState(jnp.int32(step), network(0), network(1), None)


def save(folder, *steps: int, keep: int = 5) -> None:
    with Checkpoints(folder, state_of(0), keep=keep) as checkpoints:
        for step in steps:
            checkpoints.save(state_of(step))


def restore(folder, step: int | None = None) -> GANState:
    with Checkpoints(folder, jax.eval_shape(lambda: state_of(0))) as checkpoints:
        return checkpoints.restore(step)


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_state_comes_back_bit_for_bit(tmp_path):
    odd = state_of(3).replace(average=TrainState({"x": jnp.array([jnp.nan, -0.0])}, {}, ()))
    with Checkpoints(tmp_path / "a" / "b", odd) as checkpoints:
        assert checkpoints.steps() == []
        checkpoints.save(odd)
    with Checkpoints(tmp_path / "a" / "b", jax.eval_shape(lambda: odd)) as checkpoints:
        restored = checkpoints.restore()
    assert jax.tree.structure(restored) == jax.tree.structure(odd)
    assert digest(restored) == digest(odd)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(restored))


def test_a_state_may_be_donated_as_soon_as_it_is_saved(tmp_path):
    state = state_of(1)
    expected = digest(state)
    spoil = jax.jit(lambda state: jax.tree.map(lambda x: x * 0 - 7, state), donate_argnums=0)
    with Checkpoints(tmp_path, state) as checkpoints:
        checkpoints.save(state)
        jax.block_until_ready(spoil(state))
    assert digest(restore(tmp_path)) == expected


def test_only_the_newest_are_kept(tmp_path):
    save(tmp_path, 1, 2, 3, 4, 5, keep=2)
    with Checkpoints(tmp_path, state_of(0)) as checkpoints:
        assert checkpoints.steps() == [4, 5]


def test_a_step_is_saved_once(tmp_path):
    save(tmp_path, 1)
    with Checkpoints(tmp_path, state_of(0)) as checkpoints:
        checkpoints.save(state_of(1, scale=2.0))
    assert digest(restore(tmp_path)) == digest(state_of(1))


def test_the_newest_is_restored_or_the_one_that_is_asked_for(tmp_path):
    save(tmp_path, 1, 3, 12)
    assert int(restore(tmp_path).step) == 12
    assert digest(restore(tmp_path, 3)) == digest(state_of(3))
    with pytest.raises(UserError, match=r"no checkpoint of step 2 in .*; there are: 1, 3, 12"):
        restore(tmp_path, 2)


def test_later_checkpoints_are_deleted_and_can_be_made_anew(tmp_path):
    save(tmp_path, 1, 2, 3)
    with Checkpoints(tmp_path, state_of(0)) as checkpoints:
        assert int(checkpoints.restore().step) == 3
        checkpoints.delete_after(1)
        assert checkpoints.steps() == [1]
        checkpoints.save(state_of(2, scale=2.0))
    assert digest(restore(tmp_path)) == digest(state_of(2, scale=2.0))


def test_looking_for_checkpoints_makes_no_folder(tmp_path):
    with Checkpoints(tmp_path / "none", state_of(0)) as checkpoints:
        assert checkpoints.steps() == []
    assert not (tmp_path / "none").exists()
    with pytest.raises(UserError, match="no sound checkpoint in"):
        restore(tmp_path / "none")
    with pytest.raises(UserError, match="no checkpoint of step 1 in .*; there are: none"):
        restore(tmp_path / "none", 1)
    assert not (tmp_path / "none").exists()


def ours(caplog) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("jaxgan")]


def flip(path):
    data = bytearray(path.read_bytes() or b"\0")
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {"flip": flip, "truncate": truncate, "remove": lambda path: path.unlink()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damaged_file_leads_to_a_wrong_state(damage, tmp_path, caplog):
    save(tmp_path / "sound", 1, 2)
    skipped = 0
    for number, file in enumerate(files_of(tmp_path / "sound" / "2")):
        folder = copy(tmp_path / "sound", tmp_path / str(number))
        DAMAGES[damage](folder / file.relative_to(tmp_path / "sound"))
        caplog.clear()
        state = restore(folder)
        step = int(state.step)
        assert digest(state) == digest(state_of(step)), file
        warned = ours(caplog)
        if step == 1:
            skipped += 1
            assert len(warned) == 1
            assert warned[0].getMessage().startswith("checkpoint of step 2 is damaged (")
            assert warned[0].levelno == logging.WARNING
    assert skipped >= 2  # arrays and digest at least; some files hold what no one needs


def test_half_written_and_foreign_directories_are_passed_over(tmp_path, caplog):
    save(tmp_path, 1)
    shutil.copytree(tmp_path / "1", tmp_path / "3.orbax-checkpoint-tmp")
    (tmp_path / "2").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("7")
    assert digest(restore(tmp_path)) == digest(state_of(1))
    assert [record.getMessage()[:32] for record in ours(caplog)] == [
        "checkpoint of step 2 is damaged "
    ]


def test_when_all_are_damaged_it_says_so(tmp_path, caplog):
    save(tmp_path, 1, 2)
    for file in files_of(tmp_path):
        truncate(file)
    with pytest.raises(UserError, match=f"no sound checkpoint in {tmp_path}"):
        restore(tmp_path)
    assert len(ours(caplog)) == 2
    assert all("\n" not in record.getMessage() for record in ours(caplog))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "checkpoints"
    told = f"cannot write a checkpoint to {folder} .*: mend that, then go on with --resume"
    with pytest.raises(UserError, match=told), Checkpoints(folder, state_of(0)) as checkpoints:
        checkpoints.save(state_of(1))


@pytest.mark.parametrize("damage", [*DAMAGES, "half-written"])
def test_a_run_goes_on_from_the_newest_sound_checkpoint(damage, here, whole_run, caplog):
    run = copy(whole_run("mnist_mlp"), here / "run")
    newest = run / "checkpoints" / "40"
    if damage == "half-written":
        newest.rename(newest.with_name("40.orbax-checkpoint-tmp"))
    else:
        for file in newest.rglob("d/*"):
            DAMAGES[damage](file)
    assert command("train", "mnist_mlp", "--out", "run", "--resume").status == 0
    assert result_of(run) == result_of(whole_run("mnist_mlp"))
    told = [record.getMessage() for record in caplog.records]
    assert "resuming from step 30" in told
    if damage != "half-written":
        warning = told[told.index("resuming from step 30") - 1]
        assert warning.startswith("checkpoint of step 40 is damaged (")


def test_a_damaged_checkpoint_is_told_on_standard_error(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    for file in (run / "checkpoints" / "40").rglob("d/*"):
        file.unlink()
    done = process("sample", "run", cwd=here)
    assert (done.status, done.out) == (0, "run/sample_step30_seed0.npz\n")
    (line,) = done.err.splitlines()
    assert line.startswith("checkpoint of step 40 is damaged (")


def test_a_run_without_a_sound_checkpoint_is_refused_and_stays_as_it_is(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    for file in (run / "checkpoints").rglob("d/*"):
        file.unlink()
    before = contents(run)
    for words in (["train", "mnist_mlp", "--resume", "--out", "run"], ["sample", "run"]):
        done = command(*words)
        assert (done.status, done.err) == (
            2,
            "jaxgan: no sound checkpoint in run/checkpoints: train anew, with --overwrite\n",
        )
    assert contents(run) == before


@pytest.mark.parametrize("failing", [("close",), ("wait_until_finished", "close")])
def test_whatever_fails_at_the_end_is_told_in_one_way(tmp_path, failing, monkeypatch):
    def fail(manager):
        raise OSError(1, "not permitted", str(tmp_path))

    close = ocp.CheckpointManager.close
    checkpoints = Checkpoints(tmp_path, state_of(0))
    checkpoints.save(state_of(1))
    for name in failing:
        monkeypatch.setattr(ocp.CheckpointManager, name, fail)
    manager = checkpoints._manager
    with pytest.raises(CannotSave, match="cannot write a checkpoint to .*not permitted"):
        checkpoints.close()
    monkeypatch.undo()
    close(manager)
