"""Ways to compose updates: in a row, on parts of a batch, repeatedly, now and then, averaged."""

import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from jaxgan.core.gan import batch_size
from jaxgan.core.state import GANState
from jaxgan.core.updates import Player, Update, require_player, require_update
from jaxgan.types import Batch, Metrics, PRNGKey, PyTree, Scalar

Schedule = Callable[[Array], Array | float]  # of the step number, as in optax


def chain(*updates: Update) -> Update:
    """Makes one update of several, done in order, each with a key of its own.

    So each of them draws its own latents, dropout masks and augmentations:
    `chain(*[update_discriminator(gan)] * 5, update_generator(gan))` draws six times.

    Args:
        *updates: the updates.

    Returns:
        An update with the metrics of all; where two give the same metric, the later one's.

    Raises:
        TypeError: if one is no update.
    """
    return share_key(*(_with_own_key(update, index) for index, update in enumerate(updates)))


def share_key(*updates: Update) -> Update:
    """Makes one update of several, done in order, all with the same key.

    So they draw the same: `share_key(update_generator(gan), update_generator(gan))` steps G twice
    on the same latents.

    Args:
        *updates: the updates.

    Returns:
        An update with the metrics of all; where two give the same metric, the later one's. Its
        `init` raises a ValueError if two updates keep different things by the same name.

    Raises:
        TypeError: if one is no update.
    """
    for update in updates:
        require_update(update)

    def init(state: GANState, batch: Batch, key: PRNGKey) -> GANState:
        for update in updates:
            kept, state = state.extra, update.init(state, batch, key)
            for name, x in kept.items():
                if (old := _shapes(x)) != (new := _shapes(state.extra[name])):
                    raise ValueError(
                        f"two updates keep different things, both as {name!r}: {old} and {new}"
                    )
        return state

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        metrics: Metrics = {}
        for update in updates:
            state, new = update.apply(state, batch, key)
            metrics |= new
        return state, metrics

    return Update(init, apply)


def _shapes(tree: PyTree) -> PyTree:
    return jax.tree.map(jnp.shape, tree)


def _with_own_key(update: Update, index: int) -> Update:
    require_update(update)
    return Update(
        lambda state, batch, key: update.init(state, batch, jax.random.fold_in(key, index)),
        lambda state, batch, key: update.apply(state, batch, jax.random.fold_in(key, index)),
    )


def on_part(update: Update, part: int | slice, parts: int) -> Update:
    """Makes an update that sees only a part of the batch: every `parts`-th example.

    Every `parts`-th, and not a block, so that the parts are the same however the batch is spread
    over devices.

    Args:
        update: the update.
        part: which part, 0 to parts - 1; a slice of them for several, such as `slice(2)`.
        parts: how many parts the batch has.

    Returns:
        An update. It raises a ValueError when traced with a batch that `parts` does not divide.

    Raises:
        TypeError: if it is no update.
        ValueError: if there are no such parts.
    """
    require_update(update)
    chosen = range(parts)[part] if isinstance(part, slice) else part in range(parts)
    if not chosen:
        raise ValueError(f"there is no part {part} of {parts}: parts count from 0")

    def take(batch: Batch) -> Batch:
        if batch_size(batch) % parts:
            raise ValueError(f"{parts} parts do not divide a batch of {batch_size(batch)}")

        # Not x[part::parts], of which the compiler makes an exchange between devices.
        def of(x: Array) -> Array:
            return x.reshape(-1, parts, *x.shape[1:])[:, part].reshape(-1, *x.shape[1:])

        return jax.tree.map(of, batch)

    return Update(
        lambda state, batch, key: update.init(state, take(batch), key),
        lambda state, batch, key: update.apply(state, take(batch), key),
    )


def repeat(update: Update, times: int) -> Update:
    """Makes an update that is done several times, each with its own part of the batch and key.

    Args:
        update: the update.
        times: how often; it divides the batch size.

    Returns:
        An update with the metrics of the last time.
    """
    return chain(*(on_part(update, index, times) for index in range(times)))


def every(period: int, update: Update) -> Update:
    """Makes an update that is done in each step whose number is divisible by `period`.

    Args:
        period: steps from one time to the next.
        update: the update.

    Returns:
        An update without metrics, for a step that leaves it out has none.

    Raises:
        TypeError: if it is no update.
        ValueError: if the period is not a whole number of at least 1.
    """
    require_update(update)
    if operator.index(period) < 1:
        raise ValueError(f"a period is at least 1 step, not {period}")

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        def act(state: GANState) -> GANState:
            return update.apply(state, batch, key)[0]

        return lax.cond(state.step % period == 0, act, lambda state: state, state), {}

    return Update(update.init, apply)


def scheduled(make_update: Callable[[Array], Update]) -> Update:
    """Makes an update that is made anew for each step: a schedule for anything.

    Learning rates and betas are optax's to schedule. For everything else, such as the weight of a
    penalty:

        scheduled(lambda step: update_both(replace(gan, penalty=r1(gamma(step)))))

    where `gamma` is a schedule of optax. Images seen are `step * batch_size`.

    Args:
        make_update: makes the update from the step number, a traced int32.

    Returns:
        The update.
    """
    return Update(
        lambda state, batch, key: make_update(state.step).init(state, batch, key),
        lambda state, batch, key: make_update(state.step).apply(state, batch, key),
    )


def update_average(
    decay: Scalar | Schedule, *, of: Player = "generator", name: str = "average"
) -> Update:
    """Makes the update that moves an average of a player's parameters.

    `average = decay * average + (1 - decay) * parameters`; collections, such as the running
    averages of batch norm, are taken over as they are. `sample` and `generate` use the average that
    is called "average".

    Args:
        decay: in [0, 1), or a schedule of it (see `half_life`).
        of: whose parameters.
        name: of the average in `state.extra`, where it is a `TrainState` without optimizer state.

    Returns:
        An update without metrics.

    Raises:
        ValueError: if there is no such player, or the average of another than G is called
            "average".
    """
    require_player(of)
    if of != "generator" and name == "average":
        raise ValueError(f"give the average of {of} a name: samples are made with {name!r}")

    def init(state: GANState, batch: Batch, key: PRNGKey) -> GANState:
        return state.with_extra(**{name: getattr(state, of).replace(opt_state=())})

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        net = getattr(state, of)
        kept = decay(state.step) if callable(decay) else decay
        params = optax.incremental_update(net.params, state.extra[name].params, 1 - kept)
        # A copy: a state that holds the same buffer twice could not be donated.
        average = net.replace(
            params=params, collections=jax.tree.map(jnp.copy, net.collections), opt_state=()
        )
        return state.with_extra(**{name: average}), {}

    return Update(init, apply)


def half_life(steps: Scalar | Schedule) -> Schedule:
    """Makes the schedule of a decay from the time in which an average forgets half of the past.

    Args:
        steps: the half-life in steps (of images seen: images / batch size), 0 or more, or a
            schedule of it, such as a ramp.

    Returns:
        A schedule of `decay = 0.5 ** (1 / steps)`; 0 where `steps` is 0.
    """

    def decay(step: Array) -> Array:
        now = jnp.asarray(steps(step) if callable(steps) else steps, jnp.float32)
        return jnp.where(now > 0, 0.5 ** (1 / jnp.where(now > 0, now, 1)), 0)

    return decay
