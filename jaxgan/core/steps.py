"""From an update to a training step, and from a step to many of them in one program."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.core import Tracer
from jax.sharding import Sharding

from jaxgan import axes
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update, require_update
from jaxgan.types import Metrics, PRNGKey, PyTree


@runtime_checkable
class Step(Protocol):
    """One step of training: pure, so it can be jitted, scanned, mapped and sharded."""

    def __call__(self, state: GANState, batch: PyTree, key: PRNGKey, /) -> tuple[GANState, Metrics]:
        """Does the step.

        Args:
            state: the state to start from.
            batch: real examples.
            key: the key of the whole run, the same in every step.

        Returns:
            The state after the step, and its metrics, scalars.
        """
        ...


def make_step(
    update: Update, *, axis_name: str | None = None, sharding: Sharding | None = None
) -> Step:
    """Makes the training step of an update.

    The step derives its own key from the run's key and the state's step number, so a run is a
    function of (first state, batches, key), wherever it is interrupted.

    Args:
        update: what the step does.
        axis_name: the mapped axis over which each batch is spread: the `axis_name` that is given to
            `jax.pmap` or `jax.shard_map` too. None on one device, and under `jit`.
        sharding: under `jit` on several devices, how the leading axis of each batch is sharded.
            What is drawn for a batch is spread alike, so that each device does its share of G's
            work.

    Returns:
        A pure function, not yet jitted: `jax.jit(step, donate_argnums=0)`,
        `jax.pmap(step, axis_name, in_axes=(0, 0, None), donate_argnums=0)`. Traced with a state
        that does not have exactly what the update keeps (see `init`), with a metric that is not a
        scalar, or by a `jax.shard_map` without `check_vma=False`, it raises a ValueError.

    Raises:
        TypeError: if `update` is no update.
    """
    require_update(update)

    def step(state: GANState, batch: PyTree, key: PRNGKey) -> tuple[GANState, Metrics]:
        if axis_name is not None and _is_checked(batch, axis_name):
            # With these types, shard_map sums the gradients over the devices by itself, and the
            # updates' own mean would leave that sum: a step too large by the number of devices.
            raise ValueError("a step with an axis_name needs jax.shard_map(..., check_vma=False)")
        key = jax.random.fold_in(key, state.step)
        with axes.spread(axis_name, sharding):
            _check_extra(update, state, batch, key)
            state, metrics = update.apply(state, batch, key)
        for name, value in metrics.items():
            if jnp.shape(value):
                shape = jnp.shape(value)
                raise ValueError(f"metrics are scalars, but {name!r} has the shape {shape}")
        return state.replace(step=state.step + 1), metrics

    return step


def _check_extra(update: Update, state: GANState, batch: PyTree, key: PRNGKey) -> None:
    """Raises if a state has less, or more, than an update keeps for itself."""
    kept = jax.eval_shape(update.init, state.replace(extra={}), batch, key).extra
    if missing := ", ".join(map(repr, kept.keys() - state.extra.keys())):
        raise ValueError(
            f"the state lacks {missing}, which the update keeps: make it by "
            "jaxgan.init(gan, key, batch, update)"
        )
    if idle := ", ".join(map(repr, state.extra.keys() - kept.keys())):
        raise ValueError(
            f"the state has {idle}, which nothing in this update moves: add what does, or take it "
            "out of state.extra"
        )


def _is_checked(batch: PyTree, axis_name: str) -> bool:
    """Whether arrays carry the type that a shard_map with check_vma=True gives them."""
    return any(axis_name in jax.typeof(x).mat.varying for x in jax.tree.leaves(batch))


def run_steps(
    step: Step,
    state: GANState,
    batches: PyTree,
    key: PyTree,
    count: Array | int | None = None,
) -> tuple[GANState, Metrics]:
    """Does several steps in one loop that the device runs by itself.

    Args:
        step: the step.
        state: the state to start from.
        batches: one batch per step, stacked: leaves `[T, ...]`.
        key: the key of the whole run, or what the step takes for it; of a population, the keys
            `[M]` of its members.
        count: how many of the batches to use, from the first; all if None. It may be a traced
            number, so that chunks of any length share one compilation; then, it is at most T.

    Returns:
        The state after the steps, and each step's metrics, `[T]` (`[T, M]` of a population); unused
        places hold zeros.

    Raises:
        ValueError: if there are fewer batches than `count`, unless that is traced, or it is
            negative.
    """
    length = jax.tree.leaves(batches)[0].shape[0]
    if not (count is None or isinstance(count, Tracer)) and not 0 <= count <= length:
        raise ValueError(f"{count} steps take as many batches, of which there are {length}")
    step = jax.jit(step, inline=True)  # traced once, for the shapes of its metrics and for the loop

    def pick(index) -> PyTree:
        return jax.tree.map(lambda x: x[index], batches)

    _, shapes = jax.eval_shape(step, state, pick(0), key)
    blank = jax.tree.map(lambda x: jnp.zeros((length, *x.shape), x.dtype), shapes)

    def body(index, carry):
        state, history = carry
        state, metrics = step(state, pick(index), key)
        history = jax.tree.map(lambda rows, value: rows.at[index].set(value), history, metrics)
        return state, history

    return lax.fori_loop(0, length if count is None else count, body, (state, blank))
