"""From an update to a training step, and from a step to many of them in one program."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan.core.gan import GANState
from jaxgan.core.updates import Update
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


def make_step(update: Update, *, axis_name: str | None = None) -> Step:
    """Makes the training step of an update.

    The step derives its own key from the run's key and the state's step number, so a run is a
    function of (first state, batches, key), wherever it is interrupted.

    Args:
        update: what the step does.
        axis_name: the mapped axis over which each batch is spread: the `axis_name` that is given to
            `jax.pmap` or `jax.shard_map` too. None on one device, and under `jit` with shardings.

    Returns:
        A pure function, not yet jitted: `jax.jit(step, donate_argnums=0)`,
        `jax.pmap(step, axis_name, in_axes=(0, 0, None), donate_argnums=0)`. It raises a ValueError
        when traced by a `jax.shard_map` that does not have `check_vma=False`.
    """

    def step(state: GANState, batch: PyTree, key: PRNGKey) -> tuple[GANState, Metrics]:
        if any(axis_name in jax.typeof(x).mat.varying for x in jax.tree.leaves(batch)):
            # With these types, shard_map sums the gradients over the devices by itself, and the
            # updates' own mean would leave that sum: a step too large by the number of devices.
            raise ValueError("a step with an axis_name needs jax.shard_map(..., check_vma=False)")
        state, metrics = update(state, batch, jax.random.fold_in(key, state.step), axis_name)
        return state.replace(step=state.step + 1), metrics

    return step


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
            number, so that stretches of any length share one compilation.

    Returns:
        The state after the steps, and each step's metrics, `[T]` (`[T, M]` of a population); unused
        places hold zeros.
    """
    length = jax.tree.leaves(batches)[0].shape[0]
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
