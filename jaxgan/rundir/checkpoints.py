"""Checkpoints of a GAN's state, which Orbax writes and a digest seals.

checkpoints/40/default   the state of step 40, as Orbax writes it
checkpoints/40/sha256    the digest of those files
checkpoints/50.partial   a checkpoint that is being written or deleted, or was when the run ended
checkpoints/replaced/30  a damaged checkpoint, after step 30 was trained and saved again

A folder gets the name of its step only once all of it is on the disk. Damage is a digest that
differs, nothing else; an error of the file system is never taken for it.
"""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.sharding import Sharding, SingleDeviceSharding

from jaxgan.core.fingerprint import digest
from jaxgan.core.state import GANState, steps_done
from jaxgan.devices.mesh import is_main_process, local_copy
from jaxgan.util.errors import CannotSave, FileError, UserError
from jaxgan.util.files import (
    files_below,
    identify,
    naming,
    open_regular,
    read_bytes,
    sync,
    sync_tree,
    write_atomically,
)

logger = logging.getLogger(__name__)

STATE = "default"  # the folder of a checkpoint that holds the state
SEAL = "sha256"  # the file beside it that holds its digest
PARTIAL = ".partial"  # the end of the name of a checkpoint that does not count
REPLACED = "replaced"  # the folder of damaged checkpoints
KEPT = 5  # checkpoints of a run
BLOCK = 2**20  # bytes read at once

Keep = Callable[[Sequence[int]], Collection[int]]  # all steps, oldest first -> those to be kept


def newest(steps: Sequence[int]) -> Collection[int]:
    """Chooses the newest `KEPT` steps."""
    return steps[-KEPT:]


class Checkpoints:
    """The checkpoints of one run, by step.

    Saving happens in the background; `wait`, `close` or leaving the `with` block waits for it.
    Where several processes train together, the main process saves for all.
    """

    def __init__(
        self,
        path: Path,
        like: GANState,
        sharding: Sharding | None = None,
        *,
        keep: Keep = newest,
    ):
        """Opens the checkpoints in a folder.

        Args:
            path: the folder, made with the first checkpoint; its parent exists.
            like: a state of the run's GAN, or its shapes (`jax.eval_shape`).
            sharding: where restored arrays go; None for this process's first device.
            keep: which to keep whenever one was saved: `(steps) -> steps`. The others are deleted.
        """
        self._path = path
        self._like = _on(sharding or SingleDeviceSharding(jax.local_devices()[0]), like)
        self._keep = keep
        self._here: set[int] = set()  # steps that this object saved or restored
        self._failed: set[int] = set()  # steps that could not be saved
        self._folder: tuple[int, int] | None = None  # which one `path` was, and which its parent
        self._parent: tuple[int, int] | None = None
        self._opened: ocp.StandardCheckpointer | None = None
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._saving: tuple[int, Future] | None = None  # which step, until it was waited for

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self.close()
        except CannotSave as also:
            if error is None:
                raise
            logger.warning("%s", also)  # what came first says more

    def steps(self) -> list[int]:
        """Lists the steps that were saved, oldest first.

        Raises:
            UserError: if the folder cannot be read.
        """
        with naming(self._path):
            try:
                names = os.listdir(self._path)
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(int(name) for name in names if re.fullmatch(r"0|[1-9][0-9]*", name))

    def steps_begun(self) -> list[int]:
        """Lists the steps that were saved and the one that is being saved, oldest first.

        Raises:
            UserError: if the folder cannot be read.
        """
        begun = [] if self._saving is None else [self._saving[0]]
        return sorted({*begun, *self.steps()})

    def save(self, state: GANState) -> None:
        """Starts to save a state, unless it is saved already.

        A damaged checkpoint of the same step is moved to `REPLACED`, never deleted.

        Args:
            state: the state; it may be donated as soon as this returns.

        Raises:
            CannotSave: if this or the last checkpoint could not be written.
        """
        if not is_main_process():
            return
        self.wait()
        step, state = steps_done(state), _of_this_process(state)
        if self._here and not self._path.is_dir():
            raise CannotSave(
                f"{self._path} was moved or removed while the run trained, with all checkpoints: "
                "put it back, then go on with --resume"
            )
        if step in self._here or self._holds(step, state):
            return
        try:
            self._parent = identify(self._path.parent)
            self._path.mkdir(exist_ok=True)
            self._folder = identify(self._path)
            for left in self._path.glob(f"*{PARTIAL}"):
                shutil.rmtree(left)
            self._partial(step).mkdir()
            self._orbax.save((self._partial(step) / STATE).absolute(), state)
        except Exception as error:  # Orbax raises what the file system and TensorStore raise
            self._clean_up(step)
            raise self._cannot_save(error) from error
        self._saving = step, self._thread.submit(self._finish, step)

    def wait(self) -> None:
        """Waits until everything is saved.

        Raises:
            CannotSave: if the last checkpoint could not be written.
        """
        if self._saving is None:
            return
        step, saving = self._saving
        try:
            saving.result()
            self._here.add(step)
        except Exception as error:  # as in `save`
            raise self._cannot_save(error) from error
        finally:
            self._saving = None

    def close(self) -> None:
        """Waits until everything is saved, and ends the threads.

        Raises:
            CannotSave: if the last checkpoint could not be written.
        """
        try:
            self.wait()
        except CannotSave:
            with suppress(Exception):  # which only echoes the first
                self._end()
            raise
        try:
            self._end()
        except Exception as error:  # as in `save`
            raise self._cannot_save(error) from error

    def _end(self) -> None:
        self._thread.shutdown()
        opened, self._opened = self._opened, None
        try:
            if opened is not None:
                opened.close()
        finally:
            for step in self._failed:  # TensorStore may have written on after the first error
                self._clean_up(step)

    def delete(self, step: int) -> None:
        """Deletes the checkpoint of a step, if there is one.

        Args:
            step: the step.

        Raises:
            CannotSave: if it cannot be deleted.
        """
        if step in self.steps():
            try:
                self._delete(step)
            except OSError as error:
                raise self._cannot_save(error) from error

    def damage(self, step: int) -> str | None:
        """Looks for damage: compares the digest of a checkpoint's files with the one beside them.

        Args:
            step: one of `steps()`.

        Returns:
            What is wrong, as in "checkpoints/40 is damaged: ..."; None for a sound checkpoint.

        Raises:
            UserError: if it cannot be read, which is no damage.
        """
        folder = self._path / str(step)
        try:
            expected = read_bytes(folder / SEAL)
        except (FileNotFoundError, NotADirectoryError):
            return f"{folder} is damaged: it has no digest ({SEAL})"
        try:
            found = _digest_of_files(folder / STATE)
        except (FileNotFoundError, NotADirectoryError):
            return f"{folder} is damaged: files are missing"
        if expected != found.encode():
            return f"{folder} is damaged: its files differ from their digest ({SEAL})"
        return None

    def restore(self, step: int | None = None) -> GANState:
        """Loads a state.

        Args:
            step: the step; None for the newest.

        Returns:
            The state.

        Raises:
            UserError: if there is no such checkpoint, or it is damaged, or cannot be read.
        """
        saved = self.steps()
        if not saved:
            raise UserError(
                f"{self._path} holds no checkpoint: nothing was saved yet "
                "(train with --resume, which then begins at step 0)"
            )
        if step is None:
            step = saved[-1]
        if step not in saved:
            listed = ", ".join(map(str, saved))
            raise UserError(f"no checkpoint of step {step} in {self._path}; there are: {listed}")
        if wrong := self.damage(step):
            raise UserError(f"{wrong}; {self._other_than(step)}")
        folder = self._path / str(step)
        try:
            state = self._read(folder / STATE, self._like)
        except (UserError, MemoryError):
            raise
        except Exception as error:  # the files are as they were written: it is not their fault
            if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error):
                raise  # JAX is out of memory; TensorStore says the same of a full disk
            raise FileError(f"cannot read {folder}: {_reason(error)}") from error
        self._here.add(step)
        return state

    def _read(self, folder: Path, like: GANState) -> GANState:
        # Were Orbax to find this out as it reads, it would leave errors behind that no one catches.
        stored: Any = self._orbax.handler.metadata(epath.Path(folder.absolute()))
        if _arrays(stored) != _arrays(jax.eval_shape(_plain, like)):
            raise UserError(
                f"{folder.parent} is of other networks than config.json describes: "
                "undo what was changed there"
            )
        return self._orbax.restore(folder.absolute(), like)

    @property
    def _orbax(self) -> ocp.StandardCheckpointer:
        """Orbax, for this process alone: then no process ever waits for another."""
        if self._opened is None:
            index = jax.process_index()
            alone = ocp.options.MultiprocessingOptions(
                primary_host=index,
                active_processes={index},
                barrier_sync_key_prefix=f"process{index}",
            )
            self._opened = ocp.StandardCheckpointer(multiprocessing_options=alone)
        return self._opened

    def _partial(self, step: int) -> Path:
        return self._path / f"{step}{PARTIAL}"

    def _holds(self, step: int, state: GANState) -> bool:
        """Whether this very state is saved already, as when a run repeats steps."""
        if step not in self.steps() or self.damage(step):
            return False
        return np.array_equal(digest(self.restore(step)), digest(state))

    def _finish(self, step: int) -> None:
        """Waits for Orbax, seals the checkpoint, gives it its name, and deletes old ones."""
        assert self._opened is not None
        written, final = self._partial(step), self._path / str(step)
        try:
            self._opened.wait_until_finished()
            # Orbax passes over some errors and leaves arrays out: what is not read never counts.
            self._read(written / STATE, _on(_host(), self._like))
            write_atomically(written / SEAL, _digest_of_files(written / STATE).encode())
            sync_tree(written)
            if identify(self._path) != self._folder:  # then TensorStore made it again
                raise FileError(f"{self._path}: moved or removed")
            if final.exists():
                self._set_aside(final)
            written.rename(final)
        except BaseException:
            self._clean_up(step)
            raise
        sync(self._path)
        before = [saved for saved in self.steps() if saved <= step]
        for old in set(before) - set(self._keep(before)):
            self._delete(old)

    def _delete(self, step: int) -> None:
        shutil.rmtree(self._partial(step), ignore_errors=True)  # where a killed run left it
        (self._path / str(step)).rename(self._partial(step))  # so that half of it never counts
        shutil.rmtree(self._partial(step))

    def _clean_up(self, step: int) -> None:
        """Removes what was written of a checkpoint, which makes room on a full disk."""
        self._failed.add(step)
        shutil.rmtree(self._partial(step), ignore_errors=True)
        with suppress(OSError, FileError):
            self._path.rmdir()  # if it is empty
            if self._parent not in (None, identify(self._path.parent)):
                self._path.parent.rmdir()  # which TensorStore made where a run was moved away

    def _set_aside(self, folder: Path) -> None:
        replaced = self._path / REPLACED
        replaced.mkdir(exist_ok=True)
        names = (f"{folder.name}{suffix}" for suffix in ("", *(f".{n}" for n in range(2, 1000))))
        folder.rename(next(replaced / name for name in names if not (replaced / name).exists()))
        sync(replaced)

    def _other_than(self, step: int) -> str:
        """Says which other checkpoint may be used."""
        for other in reversed(self.steps()):
            try:
                if other != step and not self.damage(other):
                    return f"the newest sound one is that of --step {other}"
            except FileError:
                continue
        return "there is no sound one: restore it from a backup"

    def _cannot_save(self, error: Exception) -> CannotSave:
        return CannotSave(
            f"cannot write a checkpoint to {self._path}: {_reason(error)} "
            "(fix that, then continue with --resume)"
        )


def _on(sharding: Sharding, tree: Any) -> Any:
    """The shapes of a tree whose arrays have a sharding."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def _host() -> Sharding:
    """The host's memory, where JAX has it."""
    try:
        return SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
    except RuntimeError:  # as JAX_PLATFORMS may say
        return SingleDeviceSharding(jax.local_devices()[0])


def _reason(error: Exception) -> str:
    """What an error says, in short."""
    if isinstance(error, FileError):
        return error.reason
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if code := re.search(r"os_error_code='(\d+)'", str(error)):  # at the end of much else
        return os.strerror(int(code[1]))
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _of_this_process(tree: Any) -> Any:
    """Takes this process's copy of a state; of several processes, Orbax wants NumPy arrays."""
    tree = local_copy(tree)
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(
        lambda x: x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.asarray(x), tree
    )


def _plain(tree: Any) -> Any:
    """Typed keys as Orbax stores them."""

    def plain(x: jax.Array) -> jax.Array:
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if is_key else x

    return jax.tree.map(plain, tree)


def _arrays(tree: Any) -> dict[str, Any]:
    """The shapes of all arrays; by paths that are the same for fields and for keys."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _digest_of_files(folder: Path) -> str:
    """The digest of the names, sizes and contents of all files below a folder."""
    sha = hashlib.sha256()
    for path in files_below(folder):
        with open_regular(path) as file:
            sha.update(f"{path.relative_to(folder)} {os.fstat(file.fileno()).st_size};".encode())
            while block := file.read(BLOCK):
                sha.update(block)
    return sha.hexdigest()
