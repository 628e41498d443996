"""Updates, pure functions that move part of a GAN's state.

A training step is a chain of updates (see `jaxgan.combinators`):

    chain(update_discriminator(gan), update_generator(gan))
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.core.gan import GAN, GANState, TrainState, apply, pack
from jaxgan.keys import per_example, stream
from jaxgan.types import Batch, Images, Latents, Metrics, PerSample, PRNGKey, PyTree, Scores


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

    A penalty is computed with D in training mode, by passes of its own that leave D's running
    averages alone and have dropout masks of their own, the same in all of them. With batch norm,
    where a score depends on the other examples too, the slopes are those of the sum of all scores:
    penalties of single examples want a D without it (Gulrajani et al., 2017, section 4).

    Args:
        gan: the GAN.
        on: which examples the step learns from; "real" and "fake" need a separable loss and no
            penalty.
        latents: name of the key stream that the latents come from. Updates of one chain that name
            the same stream use the same latents.

    Returns:
        An update. Its metrics are D's mean loss `loss_d` (`loss_d_real`, `loss_d_fake` for a step
        on one kind), D's mean scores, `score_real` and `score_fake`, and, where there is one, the
        mean `penalty`, which `loss_d` does not contain.

    Raises:
        ValueError: if `on` is "real" or "fake" and the loss or a penalty wants both.
    """
    if gan.penalty is not None and on != "both":
        raise ValueError(f"a penalty needs reals and fakes, not {on} examples alone")
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
            # What the fakes alone do not need is never computed: jit leaves it out.
            examples["fake"], *_ = _generate(gan, state, batch, key, axis_name, latents)
        return _step_discriminator(gan, state, examples, objective, key, axis_name)

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
        generated = _generate(gan, state, batch, key, axis_name, latents)
        return _step_generator(gan, state, generated, batch, key, axis_name)

    return update


def update_both(gan: GAN, *, latents: str = "latents") -> Update:
    """Makes the update that steps D and then G on the same latents, by one pass through G.

    Computes what `chain(update_discriminator(gan), update_generator(gan))` does, which makes the
    same fakes twice.

    Args:
        gan: the GAN.
        latents: name of the key stream that the latents come from (see `update_discriminator`).

    Returns:
        An update with the metrics of both.
    """

    def update(
        state: GANState, batch: Batch, key: PRNGKey, axis_name: str | None = None
    ) -> tuple[GANState, Metrics]:
        generated = _generate(gan, state, batch, key, axis_name, latents)
        examples = {"real": batch["image"], "fake": generated.fakes}
        objective = gan.loss.discriminator
        state, of_d = _step_discriminator(gan, state, examples, objective, key, axis_name)
        state, of_g = _step_generator(gan, state, generated, batch, key, axis_name)
        return state, of_d | of_g

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


def _mean(x: PyTree, axis_name: str | None) -> PyTree:
    return x if axis_name is None else lax.pmean(x, axis_name)


def _draw_latents(gan: GAN, key: PRNGKey, n: int, axis_name: str | None) -> Latents:
    """Draws `n` latents; under an axis, this device's share of what one device would draw."""
    if axis_name is None:
        return gan.latents(key, n)
    everyone = gan.latents(key, n * lax.axis_size(axis_name))
    return lax.dynamic_slice_in_dim(everyone, lax.axis_index(axis_name) * n, n)


def _judge(
    gan: GAN,
    params: PyTree,
    batch_stats: PyTree,
    packs: Images,
    key: PRNGKey,
    axis_name: str | None,
) -> tuple[Scores, PyTree]:
    """Runs D in training mode: scores, and moved running averages."""
    microbatch = None if gan.microbatch is None else max(1, gan.microbatch // gan.packing)
    return apply(
        gan.discriminator,
        params,
        batch_stats,
        packs,
        train=True,
        key=key,
        axis_name=axis_name,
        dtype=gan.dtype,
        microbatch=microbatch,
    )


class _Generated(NamedTuple):
    """G's pass of a step."""

    fakes: Images
    pullback: Callable[[Images], tuple[PyTree]]  # from the fakes' cotangents to those of G's params
    batch_stats: PyTree  # G's moved running averages


def _generate(
    gan: GAN, state: GANState, batch: Batch, key: PRNGKey, axis_name: str | None, latents: str
) -> _Generated:
    """Makes a fake for each example of the batch."""
    z = _draw_latents(gan, stream(key, latents), len(batch["image"]), axis_name)

    def generate(params: PyTree) -> tuple[Images, PyTree]:
        return apply(
            gan.generator,
            params,
            state.generator.batch_stats,
            z,
            train=True,
            key=stream(key, "dropout_generator"),
            axis_name=axis_name,
            dtype=gan.dtype,
            microbatch=gan.microbatch,
        )

    return _Generated(*jax.vjp(generate, state.generator.params, has_aux=True))


def _step_discriminator(
    gan: GAN,
    state: GANState,
    examples: Mapping[str, Images],
    objective: Callable[..., PerSample],
    key: PRNGKey,
    axis_name: str | None,
) -> tuple[GANState, Metrics]:
    """Steps D on examples by kind, "real" before "fake"."""
    judged = {kind: pack(images, gan.packing) for kind, images in examples.items()}

    def score(params: PyTree, batch_stats: PyTree, images: Images, use: str):
        dropout = stream(key, f"dropout_discriminator_{use}")
        return _judge(gan, params, batch_stats, images, dropout, axis_name)

    name = "loss_d" if len(judged) == 2 else f"loss_d_{next(iter(judged))}"

    def loss(params: PyTree):
        batch_stats = state.discriminator.batch_stats
        metrics: Metrics = {}
        scores: list[Scores] = []
        for kind, images in judged.items():
            found, batch_stats = score(params, batch_stats, images, kind)
            scores.append(found)
            metrics[f"score_{kind}"] = found.mean()
        value = metrics[name] = objective(*scores).mean()
        if gan.penalty is not None:

            def critic(images: Images) -> Scores:
                return score(params, state.discriminator.batch_stats, images, "penalty")[0]

            real, fake = judged.values()
            keys = per_example(stream(key, "penalty"), len(real), axis_name)
            metrics["penalty"] = gan.penalty(critic, real, fake, keys).mean()
            value += metrics["penalty"]
        return value, (metrics, batch_stats)

    gradients, (metrics, batch_stats) = jax.grad(loss, has_aux=True)(state.discriminator.params)
    moved = _descend(
        state.discriminator, gan.discriminator_optimizer, gradients, batch_stats, axis_name
    )
    return state.replace(discriminator=moved), _mean(metrics, axis_name)


def _step_generator(
    gan: GAN,
    state: GANState,
    generated: _Generated,
    batch: Batch,
    key: PRNGKey,
    axis_name: str | None,
) -> tuple[GANState, Metrics]:
    """Steps G, given its pass."""

    def score(packs: Images, kind: str) -> Scores:
        net, dropout = state.discriminator, stream(key, f"dropout_generator_{kind}")
        return _judge(gan, net.params, net.batch_stats, packs, dropout, axis_name)[0]

    def loss(fakes: Images):
        paired = gan.loss.real is None
        real = score(pack(batch["image"], gan.packing), "real") if paired else None
        return gan.loss.generator(score(pack(fakes, gan.packing), "fake"), real).mean()

    value, cotangent = jax.value_and_grad(loss)(generated.fakes)
    (gradients,) = generated.pullback(cotangent)
    net, batch_stats = state.generator, generated.batch_stats
    moved = _descend(net, gan.generator_optimizer, gradients, batch_stats, axis_name)
    return state.replace(generator=moved), {"loss_g": _mean(value, axis_name)}


def _descend(
    net: TrainState,
    optimizer: optax.GradientTransformation,
    gradients: PyTree,
    batch_stats: PyTree,
    axis_name: str | None,
) -> TrainState:
    """Steps one network down its gradients, averaged over the devices."""
    gradients = _mean(gradients, axis_name)
    changes, opt_state = optimizer.update(gradients, net.opt_state, net.params)
    return TrainState(optax.apply_updates(net.params, changes), batch_stats, opt_state)
