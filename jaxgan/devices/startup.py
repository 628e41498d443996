"""What has to be set before JAX is first used: devices, processes, determinism, its cache."""

import hashlib
import os
import platform
import re
from pathlib import Path
from typing import Any

import jax

from jaxgan.util.errors import UserError
from jaxgan.util.files import expanded
from jaxgan.util.parsing import shown

MOST_DEVICES = 128  # in one process; XLA takes long to think of many more, and then gives up
CACHE_BYTES = 1 << 30  # of compiled programs; the ones not used for longest go first
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
BACKEND_OPTIONS = "--xla_backend_extra_options="
# A loop whose turn touches fewer bytes is called small; a step of `mnist_mlp` touches a thousand
# times as many.
SMALL_LOOP_BYTES = 1 << 15


def use_devices(count: int) -> None:
    """Lets the CPU count as several devices, should it be what JAX runs on.

    Args:
        count: devices of this process.

    Raises:
        UserError: if no process can have so many.
    """
    if count > MOST_DEVICES:
        raise UserError(f"devices is {count}; it must be at most {MOST_DEVICES}")
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:  # JAX runs already, with the devices it has
        pass


def connect(coordinator: str | None, processes: int | None, index: int | None) -> None:
    """Makes this process one of several that train together.

    Args:
        coordinator: `host:port` of the process with index 0, where it listens.
        processes: how many there are.
        index: of this one, from 0.

    Each is None where JAX finds it out by itself: under SLURM, Open MPI, GKE and on TPU pods.

    Raises:
        UserError: if something is missing or no address, or the others cannot be reached.
    """
    if coordinator is not None and not re.fullmatch(r".+:\d+", coordinator):
        raise UserError(f"coordinator must be HOST:PORT, not {shown(coordinator)}")
    try:
        jax.distributed.initialize(coordinator, processes, index)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"cannot join the other processes ({_reason(error)}): give --coordinator HOST:PORT, "
            "--process-count and --process-index unless a cluster manager provides them"
        ) from error


def find_devices() -> list[Any]:
    """Starts JAX, after which the functions here can change nothing.

    Returns:
        The devices it runs on.

    Raises:
        UserError: if JAX has none of the kind that it was told to use.
    """
    try:
        return jax.devices()
    except (AssertionError, RuntimeError) as error:
        asked = shown(os.environ.get("JAX_PLATFORMS", ""))
        raise UserError(
            f"JAX finds no devices of JAX_PLATFORMS={asked} ({_reason(error)}): unset it, or "
            "install JAX for them"
        ) from error


def be_deterministic() -> None:
    """Makes XLA use on a GPU only operations that give the same bits in every run.

    It costs speed: kernels are no longer chosen by trying which is fastest, and atomic additions
    are avoided. On CPU and TPU it changes nothing. To be called before JAX is first used.

    Raises:
        UserError: if XLA's flags are in a file.
    """
    if is_deterministic():
        return
    if _flags_are_in_a_file():
        raise UserError(f"XLA_FLAGS names a file: write {DETERMINISTIC} into it")
    _add_flag(DETERMINISTIC)


def is_deterministic() -> bool:
    """Whether XLA was told to use deterministic operations only."""
    return DETERMINISTIC in os.environ.get("XLA_FLAGS", "").split()


def compile_small_loops_whole() -> None:
    """Makes XLA compile a loop of little work into one function, on CPUs.

    Otherwise it hands every operation of every turn to a queue, which takes longer than a step of
    networks as small as `pattern_1010`'s. Where XLA was told of such options, or reads its flags
    from a file (`XLA_FLAGS`), they stay as they are. To be called before JAX is first used.
    """
    if BACKEND_OPTIONS not in os.environ.get("XLA_FLAGS", "") and not _flags_are_in_a_file():
        _add_flag(f"{BACKEND_OPTIONS}xla_cpu_small_while_loop_byte_threshold={SMALL_LOOP_BYTES}")


def cache_compilations() -> None:
    """Keeps compiled programs in the user's cache directory, so that a second start is quick.

    Where JAX was told of a cache (JAX_COMPILATION_CACHE_DIR), it stays with that one. Where the
    directory cannot be written, there is none.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    path = cache_folder("compiled") / _processor()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(path, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_compilation_cache_max_size", CACHE_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cache_folder(name: str) -> Path:
    """Names a folder in the user's cache directory, $XDG_CACHE_HOME or else ~/.cache.

    Args:
        name: what it keeps.

    Returns:
        Its path; it may not exist yet, and cannot where the user has no home directory.
    """
    home = expanded("~")
    if not home.is_absolute():
        home = Path(os.devnull)
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "jaxgan" / name


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _flags_are_in_a_file() -> bool:
    """Whether XLA_FLAGS is a path: XLA takes for one what does not begin with a dash."""
    return os.environ.get("XLA_FLAGS", "").strip()[:1] not in ("", "-")


def _add_flag(flag: str) -> None:
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()


def _processor() -> str:
    """Tells kinds of processors apart: JAX would load for one what was compiled for another."""
    described = platform.machine() + platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        described += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(described.encode()).hexdigest()[:16]
