"""Checkpoints of a GAN's state, by Orbax: the only file that knows it."""

import hashlib
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import Sharding, SingleDeviceSharding

from jaxgan.core.state import GANState, steps_done
from jaxgan.devices.mesh import fail_together, is_main_process
from jaxgan.util.errors import CannotSave, UserError

logger = logging.getLogger(__name__)

STATE = "default"  # Orbax's name for the folder of a checkpoint that holds the state
SEAL = "sha256"  # the file beside it that holds its digest


class Checkpoints:
    """The checkpoints of one run, by step. The newest few are kept.

    Saving happens in the background; `close` (or leaving the `with` block) waits for it. With each
    state goes a digest of its files, so that damage is found before Orbax reads them.
    """

    def __init__(
        self, path: Path, like: GANState, sharding: Sharding | None = None, *, keep: int = 5
    ):
        """Opens the checkpoints in a folder, which need not exist before the first is saved.

        Args:
            path: the folder. Where several processes train together, all of them see it, and call
                the methods of their `Checkpoints` together.
            like: a state of the run's GAN, or its shapes (`jax.eval_shape`).
            sharding: where restored arrays go; None for this process's first device.
            keep: how many of the newest to keep.
        """
        self._path = path
        where = sharding or SingleDeviceSharding(jax.local_devices()[0])
        self._like = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), like
        )
        self._keep = keep
        self._opened: ocp.CheckpointManager | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def _manager(self) -> ocp.CheckpointManager:
        if self._opened is None:
            options = ocp.CheckpointManagerOptions(
                max_to_keep=self._keep,
                async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
            )
            self._opened = ocp.CheckpointManager(self._path.absolute(), options=options)
        return self._opened

    def steps(self) -> list[int]:
        """Lists the steps that were saved, oldest first."""
        return sorted(self._manager.all_steps()) if self._path.is_dir() else []

    def save(self, state: GANState) -> None:
        """Starts to save a state, unless the state of its step is saved already.

        Args:
            state: the state; it may be donated as soon as this returns.

        Raises:
            CannotSave: if this or the last checkpoint could not be written.
        """
        step = steps_done(state)
        if step in self.steps():
            return
        try:
            self._manager.save(step, args=ocp.args.StandardSave(state))
        except Exception as error:  # Orbax raises what the file system and TensorStore raise
            raise self._cannot_write(error) from error

    def restore(self, step: int | None = None) -> GANState:
        """Loads a state, if its files are as they were written.

        Args:
            step: the step; None for the newest sound one, with a warning for each damaged one that
                is passed over.

        Returns:
            The state.

        Raises:
            UserError: if there is no such checkpoint, or none that is sound.
        """
        saved = self.steps()
        if step is not None and step not in saved:
            listed = ", ".join(map(str, saved)) or "none"
            raise UserError(f"no checkpoint of step {step} in {self._path}; there are: {listed}")
        for candidate in [step] if step is not None else reversed(saved):
            try:
                return self._load(candidate)
            except Exception as error:  # damage shows in as many ways as there are bytes
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                logger.warning("checkpoint of step %d is damaged (%s)", candidate, reason)
        raise UserError(f"no sound checkpoint in {self._path}: train anew, with --overwrite")

    def delete_after(self, step: int) -> None:
        """Deletes the checkpoints of later steps, which a run resumed at `step` makes anew."""
        later = [saved for saved in self.steps() if saved > step]
        with fail_together():
            for saved in later if is_main_process() else []:
                shutil.rmtree(self._path / str(saved))
        self._manager.reload()

    def close(self) -> None:
        """Waits until everything is saved.

        Raises:
            CannotSave: if the last checkpoint could not be written.
        """
        if self._opened is None:
            return
        opened, self._opened = self._opened, None
        try:
            try:
                opened.wait_until_finished()
            finally:
                opened.close()
        except Exception as error:  # as in `save`, of the one or the other
            raise self._cannot_write(error) from error

    def _load(self, step: int) -> GANState:
        folder = self._path / str(step)
        if (folder / SEAL).read_text() != _digest_of_files(folder / STATE):
            raise ValueError("its files are not as they were written")
        # Orbax finds this out when it reads already, and leaves errors behind that no one catches.
        with ocp.StandardCheckpointer() as reader:
            stored: Any = reader.metadata((folder / STATE).absolute())
        if _arrays(stored.item_metadata) != _arrays(self._like):
            raise ValueError("it is of other networks than config.json describes")
        restored: Any = self._manager.restore(step, args=ocp.args.StandardRestore(self._like))
        return restored

    def _seal(self) -> None:
        """Writes the digest beside a state that is complete, before it gets its final name."""
        for folder in self._path.glob("*.orbax-checkpoint-tmp"):
            (folder / SEAL).write_text(_digest_of_files(folder / STATE))

    def _cannot_write(self, error: Exception) -> CannotSave:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        if code := re.search(r"os_error_code='(\d+)'", str(error)):  # at the end of much else
            reason = os.strerror(int(code[1]))
        return CannotSave(
            f"cannot write a checkpoint to {self._path} ({reason}): "
            "mend that, then go on with --resume"
        )


def _arrays(tree: Any) -> dict[str, Any]:
    """The shapes of all arrays; by paths that are the same for fields and for keys."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _digest_of_files(folder: Path) -> str:
    sha = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        sha.update(f"{path.relative_to(folder)} {len(data)};".encode())
        sha.update(data)
    return sha.hexdigest()
