"""How a batch is spread over devices: trace-time context that no signature has to carry.

`jaxgan.make_step` sets the context while an update is traced. Whatever depends on the whole batch
asks here: gradients and statistics for their mean, latents and dropout masks for an example's place
in the whole batch. Modules and updates of your own can do the same; on one device, all of this is
the identity.

There are two ways to spread a batch. Mapped (`jax.pmap`, `jax.shard_map`), a program is written for
one device's share, and collectives over the named axis join the shares. Sharded (`jax.jit` with
shardings), a program is written for the whole batch, and the compiler splits it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Sharding

T = TypeVar("T")


class _Spread(NamedTuple):
    axis_name: str | None = None  # of the mapped axis
    sharding: Sharding | None = None  # of a batch, under jit


_NOT_SPREAD = _Spread()
_current: ContextVar[_Spread] = ContextVar("_current", default=_NOT_SPREAD)


@contextmanager
def spread(axis_name: str | None = None, sharding: Sharding | None = None) -> Iterator[None]:
    """Says how batches are spread while a `with` block is traced.

    Args:
        axis_name: the mapped axis (pmap, shard_map), or None.
        sharding: under `jit`, how the leading axis of a batch is sharded, or None.
    """
    token = _current.set(_Spread(axis_name, sharding))
    try:
        yield
    finally:
        _current.reset(token)


def axis_name() -> str | None:
    """Returns the mapped axis over which the batch is spread, or None."""
    return _current.get().axis_name


def device_count() -> int:
    """Returns the number of shares that a batch is mapped as: 1 unless an axis is mapped."""
    name = axis_name()
    return 1 if name is None else lax.axis_size(name)


def mean(tree: T) -> T:
    """Averages arrays over the mapped devices.

    Args:
        tree: of arrays, one value per device. Floating-point leaves are averaged; all others,
            such as counters, must be the same on every device already.

    Returns:
        The same tree on every device.
    """
    name = axis_name()
    if name is None:
        return tree
    return jax.tree.map(lambda x: lax.pmean(x, name) if _is_floating(x) else x, tree)


def whole(tree: T) -> T:
    """Gathers the whole batch from all mapped devices.

    Args:
        tree: this device's share: arrays `[b, ...]`.

    Returns:
        Arrays `[B, ...]`, the same on every device.
    """
    name = axis_name()
    if name is None:
        return tree
    return jax.tree.map(lambda x: lax.all_gather(x, name, axis=0, tiled=True), tree)


def share(tree: T) -> T:
    """Takes this device's share of a whole batch.

    Under `jit` with a sharding, constrains the batch to that sharding, so that the compiler spreads
    the work that follows from it.

    Args:
        tree: of the whole batch: arrays `[B, ...]`, the same on every device.

    Returns:
        Arrays `[b, ...]`; `[B, ...]` where no axis is mapped.
    """
    name, sharding = _current.get()
    if sharding is not None:
        return jax.tree.map(lambda x: lax.with_sharding_constraint(x, sharding), tree)
    if name is None:
        return tree

    def take(x: Array) -> Array:
        size = len(x) // lax.axis_size(name)
        return lax.dynamic_slice_in_dim(x, size * lax.axis_index(name), size)

    return jax.tree.map(take, tree)


def places(n: int) -> Array:
    """Numbers the examples of a share by their places in the whole batch.

    Args:
        n: examples in this device's share.

    Returns:
        int32 `[n]`.
    """
    name = axis_name()
    start = 0 if name is None else lax.axis_index(name) * n
    return start + jnp.arange(n)


def _is_floating(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)
