"""Meshes of devices, and the processes that train together.

The batches of a single GAN are spread over the devices and its state is replicated: the program is
written for the whole batch, and the compiler splits it by the shardings of its arguments. The
members of a population are spread instead, and each device trains its own, by `map_members`.
`fully_sharded` splits a state that is too large for one device.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxgan.types import PyTree
from jaxgan.util.errors import UserError

AXIS = "batch"  # name of the axis over which examples, or members, are spread


def make_mesh(devices_per_process: int | None) -> Mesh:
    """Arranges devices in one row, those of a process beside each other.

    Args:
        devices_per_process: how many devices of each process to use; None for all of them.

    Returns:
        A mesh with the axis `AXIS`.

    Raises:
        UserError: if a process has fewer devices than that.
    """
    if devices_per_process is not None and devices_per_process < 1:
        raise UserError(f"devices is {devices_per_process}; it must be at least 1")
    chosen = []
    for process in range(jax.process_count()):
        own = sorted(jax.devices(), key=lambda device: device.id)
        own = [device for device in own if device.process_index == process]
        count = len(own) if devices_per_process is None else devices_per_process
        if count > len(own):
            raise UserError(f"{count} devices were asked for, but there are {len(own)}")
        chosen += own[:count]
    return Mesh(np.array(chosen), (AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays that are the same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_leading_axis(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of arrays whose examples, or members, are spread over the devices."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def fully_sharded(mesh: Mesh) -> Callable[[PyTree], PyTree]:
    """Makes the rule that splits each array of a state over the devices, for large networks.

    So no device holds a whole state: the compiler gathers each array where it is needed, a layer at
    a time, and scatters its gradient. Batches are spread as ever:

        shardings = fully_sharded(mesh)(state)
        state = jax.device_put(state, shardings)
        step = make_step(update, sharding=by_leading_axis(mesh))
        step = jax.jit(step, donate_argnums=0, out_shardings=(shardings, replicated(mesh)))

    Source: Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter
    Models" (2020), stage 3.

    Args:
        mesh: the devices.

    Returns:
        `(arrays) -> shardings`, of any tree of arrays or of their shapes: each is split along the
        longest of the axes that the devices divide, and is the same on all devices if there is
        none.
    """

    def rule(x: Any) -> NamedSharding:
        axes = [axis for axis, size in enumerate(x.shape) if size and size % mesh.size == 0]
        if not axes:
            return replicated(mesh)
        longest = max(axes, key=lambda axis: x.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*[None] * longest, AXIS))

    return lambda tree: jax.tree.map(rule, tree)


def map_members(function: Callable, mesh: Mesh, rows: PyTree, arguments: int) -> Callable:
    """Maps a function over the devices of a mesh, each with its own members of a population.

    Args:
        function: `(states, keys, rows, *rest) -> (states, metrics)`; `rows` are arrays
            `[T, M, ...]`, of which it gets those of its members, or `[T]`, which it gets whole.
        mesh: the devices.
        rows: an example of the rows.
        arguments: how many `rest` there are, the same on all devices.

    Returns:
        A function of the same arguments, to be jitted.
    """
    members = PartitionSpec(AXIS)
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(members, members, jax.tree.map(_row_spec, rows), *[PartitionSpec()] * arguments),
        out_specs=(members, PartitionSpec(None, AXIS)),
        check_vma=False,
    )


def put_rows(rows: PyTree, mesh: Mesh) -> PyTree:
    """Puts the rows of some steps on the devices of a mesh.

    Args:
        rows: this process's share: arrays `[T, B / processes, ...]`, or `[T]`.
        mesh: the devices.

    Returns:
        Arrays of all processes together, `[T, B, ...]` spread over the devices by their second
        axis, or `[T]`.
    """
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(NamedSharding(mesh, _row_spec(x)), x), rows
    )


def put(tree: PyTree, sharding: NamedSharding) -> PyTree:
    """Puts arrays, the same in every process, on the devices of a sharding."""
    # By jit, as device_put does not take typed keys to the devices of other processes.
    return jax.jit(lambda tree: tree, out_shardings=sharding)(tree)


def put_copies(tree: PyTree, mesh: Mesh) -> PyTree:
    """Puts arrays, the same in every process, on all devices of a mesh.

    What a device has already is not copied there, and processes send each other nothing.
    """

    def copies(x: Any) -> jax.Array:
        own = [jax.device_put(x, device) for device in mesh.local_devices]
        return jax.make_array_from_single_device_arrays(np.shape(x), replicated(mesh), own)

    return jax.tree.map(copies, tree)


def local_copy(tree: PyTree) -> PyTree:
    """Takes this process's first copy of replicated arrays; arrays that are spread stay as is."""
    return jax.tree.map(lambda x: x.addressable_data(0) if x.is_fully_replicated else x, tree)


def share(size: int, mesh: Mesh) -> slice:
    """Chooses which examples of a batch this process reads.

    Args:
        size: of the batch.
        mesh: the devices.

    Returns:
        A slice of the batch.

    Raises:
        UserError: if the devices do not divide the batch.
    """
    if size % mesh.size:
        raise UserError(
            f"a batch of {size} cannot be spread over {mesh.size} devices: choose a --batch-size "
            f"that {mesh.size} divides"
        )
    part = size // jax.process_count()
    return slice(part * jax.process_index(), part * (jax.process_index() + 1))


def is_main_process() -> bool:
    """Whether this is the process that writes files and speaks for all."""
    return jax.process_index() == 0


def max_over_processes(value: int) -> int:
    """Returns the largest of a number in all processes, which wait for each other here."""
    if jax.process_count() == 1:
        return value
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


@contextmanager
def fail_together() -> Iterator[None]:
    """Lets all processes wait for each other after a `with` block, and fail if one has failed.

    Raises:
        UserError: in the processes where the block succeeded, if it failed in another.
    """
    failed: Any = True
    try:
        yield
        failed = False
    finally:
        others = max_over_processes(int(failed))
        if others and not failed:
            raise UserError("another process of this run has failed; its message says why")


def _row_spec(rows: Any) -> PartitionSpec:
    return PartitionSpec(None, AXIS) if np.ndim(rows) > 1 else PartitionSpec()
