"""Ways to compose updates: in a row, on parts of a batch, several times, now and then."""

import jax
from jax import lax

from jaxgan.core.gan import GANState
from jaxgan.core.updates import Update
from jaxgan.types import Batch, Metrics, PRNGKey


def chain(*updates: Update) -> Update:
    """Makes one update of several, done in order with the same batch and key.

    Args:
        *updates: the updates.

    Returns:
        An update with the metrics of all; where two give the same metric, the later one's.
    """

    def update(
        state: GANState, batch: Batch, key: PRNGKey, axis_name: str | None = None
    ) -> tuple[GANState, Metrics]:
        metrics: Metrics = {}
        for each in updates:
            state, new = each(state, batch, key, axis_name)
            metrics |= new
        return state, metrics

    return update


def on_part(update: Update, part: int, parts: int) -> Update:
    """Makes an update that sees only a part of the batch: every `parts`-th example.

    Every `parts`-th, and not a block, so that the parts are the same however the batch is spread
    over devices.

    Args:
        update: the update.
        part: which part, 0 to parts - 1.
        parts: how many parts the batch has.

    Returns:
        An update. It raises a ValueError when traced with a batch that `parts` does not divide.
    """

    def partial_update(
        state: GANState, batch: Batch, key: PRNGKey, axis_name: str | None = None
    ) -> tuple[GANState, Metrics]:
        if len(batch["image"]) % parts:
            raise ValueError(f"{parts} parts do not divide a batch of {len(batch['image'])}")
        own = jax.tree.map(lambda x: x[part::parts], dict(batch))
        return update(state, own, key, axis_name)

    return partial_update


def repeat(update: Update, times: int) -> Update:
    """Makes an update that is done several times, each with its own part of the batch and key.

    Args:
        update: the update.
        times: how often; it divides the batch size.

    Returns:
        An update with the metrics of the last time.
    """

    def fresh(index: int) -> Update:
        def update_with_key(
            state: GANState, batch: Batch, key: PRNGKey, axis_name: str | None = None
        ) -> tuple[GANState, Metrics]:
            return update(state, batch, jax.random.fold_in(key, index), axis_name)

        return update_with_key

    return chain(*(on_part(fresh(index), index, times) for index in range(times)))


def every(period: int, update: Update) -> Update:
    """Makes an update that is done in each step whose number is divisible by `period`.

    Args:
        period: steps from one time to the next.
        update: the update.

    Returns:
        An update without metrics, for a step that leaves it out has none.
    """

    def lazy(
        state: GANState, batch: Batch, key: PRNGKey, axis_name: str | None = None
    ) -> tuple[GANState, Metrics]:
        def act(state: GANState) -> GANState:
            return update(state, batch, key, axis_name)[0]

        return lax.cond(state.step % period == 0, act, lambda state: state, state), {}

    return lazy
