"""Updates: pure functions that move a GAN's state, each with what it keeps for itself.

A training step is a chain of updates (see `jaxgan.core.combinators`):

    chain(update_discriminator(gan), update_generator(gan))
"""

import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import axes
from jaxgan.core.gan import GAN, Play, batch_size
from jaxgan.core.state import GANState, TrainState
from jaxgan.keys import per_example, stream
from jaxgan.types import Batch, Metrics, PRNGKey, PyTree

Player = Literal["generator", "discriminator"]


class Update(NamedTuple):
    """A pair of pure functions, as `optax.GradientTransformation` is.

    `init(state, batch, key) -> state` adds what the update keeps for itself to `state.extra`.
    (`jaxgan.init` calls it twice, the first time with G in the place of D, which does not exist
    yet: a `view` may need what an update keeps.)

    `apply(state, batch, key) -> state, metrics` makes the update. The key is that of the step, the
    same on all devices. State and metrics, which are scalars by name, must come out the same on all
    devices of a mapped axis; what depends on a device's share of the batch is joined by
    `jaxgan.axes`, as `minimize` does it.
    """

    init: Callable[[GANState, Batch, PRNGKey], GANState]
    apply: Callable[[GANState, Batch, PRNGKey], tuple[GANState, Metrics]]


# params, state, batch, key -> loss, (metrics, collections)
Objective = Callable[[PyTree, GANState, Batch, PRNGKey], tuple[jax.Array, tuple[Metrics, PyTree]]]


def require_update(update: Any) -> None:
    """Raises a TypeError for what is no update, such as a function that makes one."""
    if not isinstance(update, Update):
        kind = type(update).__name__
        raise TypeError(f"this is a {kind}, not an Update, such as jaxgan.update_both(gan)")


def require_player(player: str) -> None:
    """Raises a ValueError for what is no player."""
    if player not in get_args(Player):
        raise ValueError(
            f"{player!r} is no player: make a third network a part of one, or keep it in "
            "state.extra and put it in the place of one while it learns"
        )


def stateless(apply: Callable[[GANState, Batch, PRNGKey], tuple[GANState, Metrics]]) -> Update:
    """Makes an update that keeps nothing for itself.

    Args:
        apply: see `Update`.

    Returns:
        The update.
    """
    return Update(lambda state, batch, key: state, apply)


def minimize(
    player: Player, objective: Objective, optimizer: optax.GradientTransformation
) -> Update:
    """Makes the update that steps one player down an objective: what all training is made of.

    Loss, gradients, metrics and collections are averaged over the devices of a mapped axis, so an
    objective is written for one device.

    Args:
        player: whose parameters move.
        objective: `(params, state, batch, key) -> loss, (metrics, collections)`: a scalar, scalars
            by name, and the player's moved collections.
        optimizer: any of optax; it is given `value`, `grad` and `value_fn` if it takes them.

    Returns:
        The update, with the objective's metrics. It raises a ValueError when traced with an
        objective that returns collections of another form than the player's.

    Raises:
        ValueError: if there is no such player.
    """
    require_player(player)

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        def loss(params: PyTree):
            return objective(params, state, batch, key)

        params = getattr(state, player).params
        (value, (metrics, collections)), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        state = _descend(
            state, player, optimizer, value, gradients, collections, lambda x: loss(x)[0]
        )
        return state, axes.mean(metrics)

    return stateless(apply)


def _descend(
    state: GANState,
    player: Player,
    optimizer: optax.GradientTransformation,
    value: jax.Array,
    gradients: PyTree,
    collections: PyTree,
    loss: Callable[[PyTree], jax.Array],
) -> GANState:
    """Steps one player down its gradients, given its loss as a value and as a function."""
    net: TrainState = getattr(state, player)
    moved, kept = (jax.tree.map(jnp.shape, x) for x in (collections, net.collections))
    if moved != kept:
        raise ValueError(
            f"the objective gave collections of the shapes {moved}, but the {player}'s are {kept}"
        )
    value, gradients, collections = axes.mean((value, gradients, collections))
    extra = {
        "value": value,
        "grad": gradients,
        "value_fn": lambda params: axes.mean(loss(params)),
    }
    changes, opt_state = optimizer.update(
        gradients, net.opt_state, net.params, **_accepted(optimizer.update, extra)
    )
    net = TrainState(optax.apply_updates(net.params, changes), collections, opt_state)
    return state.replace(**{player: net})


def _accepted(function: Callable[..., Any], keywords: dict[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments that a function takes, out of those on offer."""
    parameters = inspect.signature(function).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return keywords
    return {name: value for name, value in keywords.items() if name in parameters}


def update_discriminator(
    gan: GAN, *, on: Literal["both", "real", "fake"] = "both", fake: PyTree | None = None
) -> Update:
    """Makes the update that steps the discriminator once, down `discriminator_objective`.

    Args:
        gan: the GAN.
        on: which examples the step learns from.
        fake: examples to learn from in place of G's.

    Returns:
        An update. Its metrics are D's mean loss `loss_d` (`loss_d_real`, `loss_d_fake` for a step
        on one kind), the mean of each of D's outputs `[B]`, or `[B, h, w]` of patches, but for
        integers, such as `score_real` and `score_fake`, and the mean `penalty` and `terms_d` where
        there are any, which `loss_d` does not contain.

    Raises:
        ValueError: as `discriminator_objective`.
    """
    objective = discriminator_objective(gan, on=on, fake=fake)
    return minimize("discriminator", objective, gan.discriminator_optimizer)


def discriminator_objective(
    gan: GAN, *, on: Literal["both", "real", "fake"] = "both", fake: PyTree | None = None
) -> Objective:
    """Makes the objective that D minimizes: its loss, with penalty and terms where there are any.

    Reals and fakes pass through D separately, reals first; D's collections follow both passes. G
    runs in training mode, but its collections move in its own update only.

    A penalty is computed with D in training mode, by passes of its own that leave D's collections
    alone and have a view and dropout masks of their own, the same in all of them. With batch norm,
    where a score depends on the other examples too, the slopes are those of the sum of all scores:
    penalties of single examples want a D without it (Gulrajani et al., 2017, section 4).

    Args:
        gan: the GAN.
        on: which examples the step learns from; "real" and "fake" need a loss with these parts, and
            neither penalty nor terms.
        fake: examples to learn from in place of G's, such as earlier ones out of a pool; G is not
            run then, and terms are given no `inputs`.

    Returns:
        An objective of D's parameters, for `minimize`, with the metrics of `update_discriminator`.

    Raises:
        ValueError: if `on` is "real" or "fake" and the loss, a penalty or terms want both, or if it
            is "real" and there is a `fake`.
    """
    if on == "real" and fake is not None:
        raise ValueError("a step on reals alone learns nothing from fakes: leave out fake")
    if on != "both" and (gan.penalty is not None or gan.discriminator_terms is not None):
        raise ValueError(f"penalties and terms need reals and fakes, not {on} examples alone")
    if {"both": gan.loss.discriminator, "real": gan.loss.real, "fake": gan.loss.fake}[on] is None:
        raise ValueError(f"a loss that pairs reals with fakes has no part on {on} examples alone")

    def objective(params: PyTree, state: GANState, batch: Batch, key: PRNGKey):
        inputs, examples = None, fake
        if on != "real" and fake is None:
            inputs = draw_inputs(gan, batch, key)
            examples, _ = make_fakes(gan, state.generator.params, state, inputs, key)
        return _discriminator_loss(gan, on, params, state, inputs, examples, batch, key)

    return objective


def update_generator(gan: GAN) -> Update:
    """Makes the update that steps the generator once, down `generator_objective`.

    Args:
        gan: the GAN.

    Returns:
        An update. Its metrics are G's mean loss, `loss_g`, and the mean of its terms, `terms_g`,
        where there are any, which `loss_g` does not contain.
    """
    return minimize("generator", generator_objective(gan), gan.generator_optimizer)


def generator_objective(gan: GAN) -> Objective:
    """Makes the objective that G minimizes, through the discriminator as it is now.

    It is G's loss, with terms where there are any. D runs in training mode, but its collections
    move in its own update only.

    Args:
        gan: the GAN.

    Returns:
        An objective of G's parameters, for `minimize`, with the metrics of `update_generator`.
    """

    def objective(params: PyTree, state: GANState, batch: Batch, key: PRNGKey):
        inputs = draw_inputs(gan, batch, key)
        fake, collections = make_fakes(gan, params, state, inputs, key)
        loss, metrics = _generator_loss(gan, params, state, inputs, fake, batch, key)
        return loss, (metrics, collections)

    return objective


def update_both(gan: GAN) -> Update:
    """Makes the update that steps D and then G on the same fakes, by one pass through G.

    Computes what `share_key(update_discriminator(gan), update_generator(gan))` does, which makes
    the same fakes twice.

    Args:
        gan: the GAN.

    Returns:
        An update with the metrics of both.
    """

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        inputs = draw_inputs(gan, batch, key)

        def fakes_of(params: PyTree) -> tuple[PyTree, PyTree]:
            return make_fakes(gan, params, state, inputs, key)

        fake, pullback, collections = jax.vjp(fakes_of, state.generator.params, has_aux=True)

        def objective(params: PyTree, state: GANState, batch: Batch, key: PRNGKey):
            return _discriminator_loss(gan, "both", params, state, inputs, fake, batch, key)

        of_d = minimize("discriminator", objective, gan.discriminator_optimizer)
        state, metrics = of_d.apply(state, batch, key)

        def loss(fake: PyTree, params: PyTree) -> tuple[jax.Array, Metrics]:
            return _generator_loss(gan, params, state, inputs, fake, batch, key)

        # Terms may call G once more, so the loss depends on its parameters also beside the fakes.
        # Fakes may hold integers, such as their labels.
        (value, more), (cotangent, direct) = jax.value_and_grad(
            loss, (0, 1), has_aux=True, allow_int=True
        )(fake, state.generator.params)
        (gradients,) = pullback(cotangent)
        if gan.generator_terms is not None:
            gradients = jax.tree.map(jnp.add, gradients, direct)
        state = _descend(
            state,
            "generator",
            gan.generator_optimizer,
            value,
            gradients,
            collections,
            lambda params: loss(fakes_of(params)[0], params)[0],
        )
        return state, metrics | axes.mean(more)

    return stateless(apply)


def minimize_penalty(gan: GAN) -> Update:
    """Makes the update that steps the discriminator down its penalty alone.

    With lazy regularization, D pays its penalty in some steps only, as many times as much:

        chain(
            update_both(gan),
            every(16, minimize_penalty(replace(gan, penalty=r1(16 * gamma)))),
        )

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), section
    3.1; see `jaxgan.regularizers.lazy_adam` for D's optimizer.

    Args:
        gan: the GAN, with a penalty.

    Returns:
        An update. Its metric is the mean `penalty`.

    Raises:
        ValueError: if there is no penalty.
    """
    if gan.penalty is None:
        raise ValueError("there is no penalty to minimize: set GAN.penalty")

    def objective(params: PyTree, state: GANState, batch: Batch, key: PRNGKey):
        inputs = draw_inputs(gan, batch, key)
        fake, _ = make_fakes(gan, state.generator.params, state, inputs, key)
        net = state.discriminator.replace(params=params)
        penalty = _mean_penalty(gan, net, gan.real(batch), fake, batch, key, state)
        return penalty, ({"penalty": penalty}, net.collections)

    return minimize("discriminator", objective, gan.discriminator_optimizer)


def draw_inputs(gan: GAN, batch: Batch, key: PRNGKey) -> PyTree:
    """Draws what G sees in a step, as all updates do.

    Args:
        gan: the GAN.
        batch: real examples `[B, ...]`, or this device's share of them.
        key: of the update.

    Returns:
        As `gan.inputs` draws them, such as latents `[B, Z]`: on each of several devices, its share
        of what one device would draw.

    Raises:
        ValueError: if they are not as many as the examples.
    """
    n = batch_size(batch) * axes.device_count()
    inputs = gan.inputs(stream(key, "latents"), n, axes.whole(batch))
    for x in jax.tree.leaves(inputs):
        if jnp.shape(x)[:1] != (n,):
            raise ValueError(f"GAN.inputs gave the shape {jnp.shape(x)} for {n} examples")
    return axes.share(inputs)


def make_fakes(
    gan: GAN, params: PyTree, state: GANState, inputs: PyTree, key: PRNGKey
) -> tuple[PyTree, PyTree]:
    """Runs G in training mode: fakes, and moved collections."""
    key = stream(key, "dropout_generator")
    return gan.generator.apply(params, state.generator.collections, inputs, key, True)


def judge(
    gan: GAN,
    net: TrainState,
    example: PyTree,
    batch: Batch,
    key: PRNGKey,
    state: GANState,
    use: str,
) -> tuple[PyTree, PyTree]:
    """Runs D in training mode on what it is shown of examples: outputs, and moved collections."""
    seen = gan.view(example, batch, stream(key, f"view_{use}"), state)
    dropout = stream(key, f"dropout_{use}")
    return gan.discriminator.apply(net.params, net.collections, seen, dropout, True)


def scores(gan: GAN, state: GANState, batch: Batch, key: PRNGKey) -> dict[str, jax.Array]:
    """Computes the scores of reals and of as many fakes that `update_discriminator` would see.

    Args:
        gan: the GAN.
        state: its state, which stays as it is.
        batch: real examples `[B, ...]`.
        key: of the latents, of views and of dropout.

    Returns:
        Scores `[B]`, or `[B, h, w]` of patches, such as "score_real" and "score_fake": what the
        metrics of that update are the means of.
    """
    inputs = draw_inputs(gan, batch, key)
    fake, _ = make_fakes(gan, state.generator.params, state, inputs, key)
    net, found = state.discriminator, {}
    for kind, example in (("real", gan.real(batch)), ("fake", fake)):
        outputs, moved = judge(gan, net, example, batch, key, state, f"discriminator_{kind}")
        net = net.replace(collections=moved)
        found |= _scores(outputs, kind)
    return found


def _discriminator_loss(
    gan: GAN,
    on: Literal["both", "real", "fake"],
    params: PyTree,
    state: GANState,
    inputs: PyTree,
    fake: PyTree,
    batch: Batch,
    key: PRNGKey,
) -> tuple[jax.Array, tuple[Metrics, PyTree]]:
    net = before = state.discriminator.replace(params=params)
    examples = {"real": gan.real(batch), "fake": fake}
    outputs: dict[str, PyTree] = {}
    metrics: Metrics = {}
    for kind in ("real", "fake") if on == "both" else (on,):
        outputs[kind], moved = judge(
            gan, net, examples[kind], batch, key, state, f"discriminator_{kind}"
        )
        net = net.replace(collections=moved)
        metrics |= {name: x.mean() for name, x in _scores(outputs[kind], kind).items()}
    if on != "both":
        part = gan.loss.real if on == "real" else gan.loss.fake
        assert part is not None
        metrics[f"loss_d_{on}"] = loss = part(outputs[on]).mean()
        return loss, (metrics, net.collections)
    real = examples["real"]
    metrics["loss_d"] = loss = gan.loss.discriminator(outputs["real"], outputs["fake"]).mean()
    if gan.penalty is not None:
        metrics["penalty"] = _mean_penalty(gan, before, real, fake, batch, key, state)
        loss += metrics["penalty"]
    if gan.discriminator_terms is not None:
        play = Play(
            *(batch, inputs, real, fake, outputs["real"], outputs["fake"], state),
            key=stream(key, "discriminator_terms"),
            generate=lambda z: make_fakes(gan, state.generator.params, state, z, key)[0],
            judge=lambda x: judge(gan, before, x, batch, key, state, "discriminator_terms")[0],
        )
        metrics["terms_d"] = _mean("discriminator_terms", gan.discriminator_terms(play))
        loss += metrics["terms_d"]
    return loss, (metrics, net.collections)


def _mean_penalty(
    gan: GAN,
    net: TrainState,
    real: PyTree,
    fake: PyTree,
    batch: Batch,
    key: PRNGKey,
    state: GANState,
) -> jax.Array:
    assert gan.penalty is not None

    def critic(example: PyTree) -> PyTree:
        return judge(gan, net, example, batch, key, state, "discriminator_penalty")[0]

    keys = per_example(stream(key, "penalty"), batch_size(batch))
    return _mean("penalty", gan.penalty(critic, real, fake, keys))


def _mean(name: str, values: Any) -> jax.Array:
    """Averages what D or G adds to its loss for each example."""
    if not isinstance(values, jax.Array | np.ndarray | np.number | float | int):
        hint = ": call it to make one" if callable(values) else ""
        raise TypeError(f"{name} gave a {type(values).__name__}, not numbers{hint}")
    if jnp.ndim(values) > 1:
        shape = jnp.shape(values)
        raise ValueError(f"{name} gave the shape {shape}, not a number for each example")
    return jnp.mean(values)


def _generator_loss(
    gan: GAN,
    params: PyTree,
    state: GANState,
    inputs: PyTree,
    fake: PyTree,
    batch: Batch,
    key: PRNGKey,
) -> tuple[jax.Array, Metrics]:
    net = state.discriminator
    fake_outputs, _ = judge(gan, net, fake, batch, key, state, "generator_fake")
    real = real_outputs = None
    if gan.loss.real is None or gan.generator_terms is not None:  # else nobody looks at reals
        real = gan.real(batch)
        real_outputs, _ = judge(gan, net, real, batch, key, state, "generator_real")
    loss = gan.loss.generator(fake_outputs, real_outputs).mean()
    metrics = {"loss_g": loss}
    if gan.generator_terms is not None:
        play = Play(
            *(batch, inputs, real, fake, real_outputs, fake_outputs, state),
            key=stream(key, "generator_terms"),
            generate=lambda z: make_fakes(gan, params, state, z, key)[0],
            judge=lambda x: judge(gan, net, x, batch, key, state, "generator_terms")[0],
        )
        metrics["terms_g"] = _mean("generator_terms", gan.generator_terms(play))
        loss += metrics["terms_g"]
    return loss, metrics


def _scores(outputs: PyTree, kind: str) -> dict[str, jax.Array]:
    """Those of D's outputs that are scores, by name; labels and vectors are not."""
    if isinstance(outputs, jax.Array) and outputs.ndim == 2 and outputs.shape[1] == 1:
        raise ValueError(f"D gives scores of the shape {outputs.shape}: let it end in `[:, 0]`")
    leaves = jax.tree.leaves_with_path(outputs)
    names = [jax.tree_util.keystr(path, simple=True, separator="_") for path, _ in leaves]
    return {
        f"{name or 'score'}_{kind}": leaf
        for name, (_, leaf) in zip(names, leaves, strict=True)
        if leaf.ndim in (1, 3) and jnp.issubdtype(leaf.dtype, jnp.floating)
    }
