"""One training step on many devices, in one process or several.

Of a single GAN, the batch is spread over the devices and the state is the same on each: the step is
the one that `jaxgan.steps.make_step` makes with `AXIS` for its axis_name, mapped over a mesh by
`spread`. Of a population, the members are spread, and each device trains its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxgan.types import PyTree
from jaxgan.util.errors import UserError

AXIS = "batch"  # name of the axis over which examples, or members, are spread
SAME = PartitionSpec()  # the same on every device


class Layout(NamedTuple):
    """How the arrays of a training lie on a mesh."""

    state: PartitionSpec  # and the key
    metrics: PartitionSpec  # of some steps


BY_EXAMPLE = Layout(SAME, SAME)
BY_MEMBER = Layout(PartitionSpec(AXIS), PartitionSpec(None, AXIS))


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


def spread(
    function: Callable, mesh: Mesh, layout: Layout, rows: PyTree, arguments: int
) -> Callable:
    """Makes a function that does its work on every device, for the device's share of the rows.

    Args:
        function: of `(state, key, rows, *rest) -> (state, metrics)`; `rows` are arrays
            `[T, B, ...]`, of which it gets a share of the examples (or members), or `[T]`, which it
            gets whole. It knows the axis `AXIS`.
        mesh: the devices.
        layout: of what goes in and comes out.
        rows: an example of the rows.
        arguments: how many `rest` there are, the same on all devices.

    Returns:
        A function of the same arguments, to be jitted.
    """
    by_row = jax.tree.map(_row_spec, rows)
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(layout.state, layout.state, by_row, *[SAME] * arguments),
        out_specs=(layout.state, layout.metrics),
        check_vma=False,  # the step takes its means by itself
    )


def put_rows(rows: PyTree, mesh: Mesh) -> PyTree:
    """Puts rows where `spread` wants them.

    Args:
        rows: this process's share: arrays `[T, B / processes, ...]`, or `[T]`.
        mesh: the devices.

    Returns:
        Arrays of all processes together, `[T, B, ...]` or `[T]`.
    """
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(NamedSharding(mesh, _row_spec(x)), x), rows
    )


def put(tree: PyTree, mesh: Mesh, spec: PartitionSpec = SAME) -> PyTree:
    """Puts arrays, the same in every process, on the devices of a mesh."""
    # By jit, as device_put does not take typed keys to the devices of other processes.
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, spec))(tree)


def local(tree: PyTree) -> PyTree:
    """Takes this process's first copy of arrays that are the same on every device.

    Arrays that are spread stay as they are.
    """
    return jax.tree.map(lambda x: x.addressable_data(0) if x.is_fully_replicated else x, tree)


def share(size: int, mesh: Mesh) -> slice:
    """Says which examples of a batch this process reads.

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


def leads() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return jax.process_index() == 0


def highest(value: int) -> int:
    """The largest of a number in all processes, which meet here."""
    if jax.process_count() == 1:
        return value
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


@contextmanager
def unanimous() -> Iterator[None]:
    """Lets all processes meet at the end of a `with` block, and fail if it failed in one.

    Raises:
        UserError: where the block went well, if it did not in another process.
    """
    failed: Any = True
    try:
        yield
        failed = False
    finally:
        others = highest(int(failed))
        if others and not failed:
            raise UserError("another process of this run has failed; its message says why")


def _row_spec(rows: Any) -> PartitionSpec:
    return PartitionSpec(None, AXIS) if np.ndim(rows) > 1 else SAME
