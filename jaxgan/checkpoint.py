"""Checkpoints of a GAN's state, by Orbax: the only file that knows it."""

import hashlib
import logging
import shutil
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxgan.errors import UserError
from jaxgan.gan import GANState

logger = logging.getLogger(__name__)


def digest(state: GANState) -> str:
    """Computes a fingerprint of a whole state: of the names, types, shapes and bytes of its arrays.

    Args:
        state: the state.

    Returns:
        A SHA-256 in hexadecimal; equal for bit-identical states only.
    """
    sha = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(state):
        array = np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape};".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


class Checkpoints:
    """The checkpoints of one run, by step. The newest few are kept.

    Saving happens in the background; `close` (or leaving the `with` block) waits for it. With each
    state goes its digest, so that damage is found when it is restored.
    """

    def __init__(self, path: Path, like: GANState, *, keep: int = 5):
        """Opens the checkpoints in a folder, which need not exist before the first is saved.

        Args:
            path: the folder.
            like: a state of the run's GAN, or its shapes (`jax.eval_shape`).
            keep: how many of the newest to keep.
        """
        self._path = path
        self._like = like
        self._keep = keep
        self._opened: ocp.CheckpointManager | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def _manager(self) -> ocp.CheckpointManager:
        if self._opened is None:
            options = ocp.CheckpointManagerOptions(max_to_keep=self._keep)
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
            UserError: if this or the last checkpoint could not be written.
        """
        step = int(state.step)
        if step in self.steps():
            return
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave({"digest": digest(state)})
        )
        try:
            self._manager.save(step, args=arguments)
        except Exception as error:  # Orbax raises what the file system and TensorStore raise
            raise self._cannot_write(error) from error

    def restore(self, step: int | None = None) -> GANState:
        """Loads a state and checks it against its digest.

        Args:
            step: the step; None for the newest sound one, with a warning for each damaged one that
                is passed over.

        Returns:
            The state, its arrays on the default device.

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
        raise UserError(f"no sound checkpoint in {self._path}")

    def delete_after(self, step: int) -> None:
        """Deletes the checkpoints of later steps, which a run resumed at `step` makes anew."""
        for later in self.steps():
            if later > step:
                shutil.rmtree(self._path / str(later))
        self._manager.reload()

    def close(self) -> None:
        """Waits until everything is saved.

        Raises:
            UserError: if the last checkpoint could not be written.
        """
        if self._opened is None:
            return
        try:
            self._opened.wait_until_finished()
        except Exception as error:  # as in `save`
            raise self._cannot_write(error) from error
        finally:
            self._opened.close()
            self._opened = None

    def _load(self, step: int) -> GANState:
        arguments = ocp.args.Composite(
            state=ocp.args.StandardRestore(self._like), meta=ocp.args.JsonRestore()
        )
        restored = self._manager.restore(step, args=arguments)
        if digest(restored["state"]) != restored["meta"]["digest"]:
            raise ValueError("its digest does not match")
        return restored["state"]

    def _cannot_write(self, error: Exception) -> UserError:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        return UserError(
            f"cannot write a checkpoint to {self._path} ({reason}): "
            "mend that, then go on with --resume"
        )
