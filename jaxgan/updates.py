"""Updates, pure functions that move part of a GAN's state, and ways to compose them.

A training step is a chain of updates:

    chain(update_discriminator(gan), update_generator(gan))
"""

from typing import Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.gan import GAN, GANState, TrainState, apply
from jaxgan.keys import stream
from jaxgan.types import Batch, Latents, Metrics, PRNGKey, PyTree, Scores


@runtime_checkable
class Update(Protocol):
    """A pure function that moves part of a GAN's state."""

    def __call__(
        self, state: GANState, batch: Batch, key: PRNGKey, axis_name: str | None = None
    ) -> tuple[GANState, Metrics]:
        """Makes the update.

        Args:
            state: the state to start from.
            batch: real examples: this device's share of them under `axis_name`.
            key: the key of this step, the same on all devices.
            axis_name: the mapped axis over which the batch is spread (pmap, shard_map), or None.

        Returns:
            The moved state, and metrics: scalars, averaged over the devices.
        """
        ...


def update_discriminator(
    gan: GAN, *, on: Literal["both", "real", "fake"] = "both", latents: str = "latents"
) -> Update:
    """Makes the update that steps the discriminator once.

    Reals and fakes pass through D separately, reals first; D's running averages follow both
    passes. G runs in training mode, but its running averages move in its own update only.

    Args:
        gan: the GAN.
        on: which examples the step learns from; "real" and "fake" need a separable loss.
        latents: name of the key stream that the latents come from. Updates of one chain that name
            the same stream use the same latents.

    Returns:
        An update. Its metrics are D's mean loss `loss_d` (`loss_d_real`, `loss_d_fake` for a step
        on one kind) and D's mean scores, `score_real` and `score_fake`.

    Raises:
        ValueError: if `on` is "real" or "fake" and the loss pairs reals with fakes.
    """
    objective = {"both": gan.loss.discriminator, "real": gan.loss.real, "fake": gan.loss.fake}[on]
    if objective is None:
        raise ValueError(f"a loss that pairs reals with fakes has no part on {on} examples alone")

    def update(
        state: GANState, batch: Batch, key: PRNGKey, axis_name: str | None = None
    ) -> tuple[GANState, Metrics]:
        examples = {}
        if on != "fake":
            examples["real"] = batch["image"]
        if on != "real":
            z = _draw_latents(gan, stream(key, latents), len(batch["image"]), axis_name)
            net = state.generator
            examples["fake"], _ = apply(
                gan.generator,
                net.params,
                net.batch_stats,
                z,
                train=True,
                key=stream(key, "dropout_generator"),
                axis_name=axis_name,
            )

        def loss(params: PyTree):
            batch_stats = state.discriminator.batch_stats
            scores: dict[str, Scores] = {}
            for kind, images in examples.items():
                scores[kind], batch_stats = apply(
                    gan.discriminator,
                    params,
                    batch_stats,
                    images,
                    train=True,
                    key=stream(key, f"dropout_discriminator_{kind}"),
                    axis_name=axis_name,
                )
            return objective(*scores.values()).mean(), (scores, batch_stats)

        moved, value, scores = _descend(
            loss, state.discriminator, gan.discriminator_optimizer, axis_name
        )
        metrics = {"loss_d" if on == "both" else f"loss_d_{on}": value}
        for kind in scores:
            metrics[f"score_{kind}"] = _mean(scores[kind].mean(), axis_name)
        return state.replace(discriminator=moved), metrics

    return update


def update_generator(gan: GAN, *, latents: str = "latents") -> Update:
    """Makes the update that steps the generator once, through the discriminator as it is now.

    D runs in training mode, but its running averages move in its own update only.

    Args:
        gan: the GAN.
        latents: name of the key stream that the latents come from (see `update_discriminator`).

    Returns:
        An update. Its metric is G's mean loss, `loss_g`.
    """

    def update(
        state: GANState, batch: Batch, key: PRNGKey, axis_name: str | None = None
    ) -> tuple[GANState, Metrics]:
        z = _draw_latents(gan, stream(key, latents), len(batch["image"]), axis_name)

        def score(images, kind: str) -> Scores:
            net = state.discriminator
            scores, _ = apply(
                gan.discriminator,
                net.params,
                net.batch_stats,
                images,
                train=True,
                key=stream(key, f"dropout_generator_{kind}"),
                axis_name=axis_name,
            )
            return scores

        def loss(params: PyTree):
            fakes, batch_stats = apply(
                gan.generator,
                params,
                state.generator.batch_stats,
                z,
                train=True,
                key=stream(key, "dropout_generator"),
                axis_name=axis_name,
            )
            paired = gan.loss.real is None
            real = score(batch["image"], "real") if paired else None
            return gan.loss.generator(score(fakes, "fake"), real).mean(), ({}, batch_stats)

        moved, value, _ = _descend(loss, state.generator, gan.generator_optimizer, axis_name)
        return state.replace(generator=moved), {"loss_g": value}

    return update


def update_average(gan: GAN) -> Update:
    """Makes the update that moves the average of the generator's parameters.

    `average = decay * average + (1 - decay) * parameters`; the running averages of batch norm are
    taken over as they are.

    Args:
        gan: the GAN; its `average_decay` is the decay.

    Returns:
        An update without metrics.

    Raises:
        ValueError: if the GAN keeps no average.
    """
    decay = gan.average_decay
    if decay is None:
        raise ValueError("the GAN keeps no average: set its average_decay")

    def update(
        state: GANState, batch: Batch, key: PRNGKey, axis_name: str | None = None
    ) -> tuple[GANState, Metrics]:
        assert state.average is not None
        params = optax.incremental_update(
            state.generator.params, state.average.params, step_size=1 - decay
        )
        # A copy: a state that holds the same buffer twice could not be donated.
        batch_stats = jax.tree.map(jnp.copy, state.generator.batch_stats)
        average = state.average.replace(params=params, batch_stats=batch_stats)
        return state.replace(average=average), {}

    return update


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


def _mean(x: PyTree, axis_name: str | None) -> PyTree:
    return x if axis_name is None else lax.pmean(x, axis_name)


def _draw_latents(gan: GAN, key: PRNGKey, n: int, axis_name: str | None) -> Latents:
    """Draws `n` latents; under an axis, this device's share of what one device would draw."""
    if axis_name is None:
        return gan.latents(key, n)
    everyone = gan.latents(key, n * lax.axis_size(axis_name))
    return lax.dynamic_slice_in_dim(everyone, lax.axis_index(axis_name) * n, n)


def _descend(
    loss, net: TrainState, optimizer: optax.GradientTransformation, axis_name: str | None
) -> tuple[TrainState, jax.Array, dict[str, Scores]]:
    """Steps one network down the gradient of `loss(params) -> value, (scores, batch_stats)`."""
    (value, (scores, batch_stats)), gradients = jax.value_and_grad(loss, has_aux=True)(net.params)
    value, gradients = _mean((value, gradients), axis_name)
    changes, opt_state = optimizer.update(gradients, net.opt_state, net.params)
    params = optax.apply_updates(net.params, changes)
    return TrainState(params, batch_stats, opt_state), value, scores
