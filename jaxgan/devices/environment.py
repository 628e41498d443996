"""What a run's numbers depend on besides its hyperparameters: versions and devices."""

import importlib.metadata
import os
import platform
from typing import Any

from jax.sharding import Mesh

from jaxgan.devices import startup

_PACKAGES = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def devices(mesh: Mesh) -> dict[str, Any]:
    """Looks up what the numbers depend on of the devices.

    Args:
        mesh: the devices that the run uses.

    Returns:
        A dictionary that JSON can hold.
    """
    used = list(mesh.devices.flat)
    return {
        "platform": used[0].platform,
        "kind": used[0].device_kind,
        "count": len(used),
        "processes": len({device.process_index for device in used}),
        "cores": cores(),
        "deterministic": startup.is_deterministic(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def cores() -> int | None:
    """Counts the processor cores that this process may use, or all where it cannot tell."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def versions() -> dict[str, str]:
    """Looks up the versions that the numbers depend on.

    Returns:
        Versions by package, Python's among them.
    """
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}
