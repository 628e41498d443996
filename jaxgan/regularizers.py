"""Regularizers that are more than a penalty of D: they act on parameters, look at G, or remember.

Transformations of optax, for a player's optimizer:

    optax.chain(optax.rmsprop(5e-5), clip_weights(0.01))
    optax.chain(add_gradient(lambda params: 1e-4 * orthogonality(params)), optax.adam(2e-4))
    freeze(optax.adam(2e-4), ["Conv_0", "Conv_1"])

Terms of a GAN:

    GAN(..., discriminator_terms=latent_consistency(), generator_terms=latent_diversity())

And updates, in a chain with the others. StyleGAN2 regularizes both players now and then:

    adam = functools.partial(lazy_adam, learning_rate=2e-3, b1=0.0, b2=0.99)
    gan = GAN(..., generator_optimizer=adam(4), discriminator_optimizer=adam(16))
    chain(
        update_generator(gan),
        every(4, on_part(path_length(gan, 4 * 2.0), 0, 2)),
        update_discriminator(gan),
        every(16, minimize_penalty(replace(gan, penalty=penalties.r1(16 * gamma)))),
    )
"""

import math
from collections.abc import Callable, Collection
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxgan import axes
from jaxgan.core.combinators import Schedule
from jaxgan.core.gan import GAN, Play, batch_size
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update, draw_inputs, minimize
from jaxgan.keys import per_example, stream
from jaxgan.penalties import disturb
from jaxgan.types import Batch, Metrics, PerSample, PRNGKey, PyTree, Scalar

Term = Callable[[Play], PerSample]
# params, collections, inputs, key -> styles, and the function that makes images of styles
Halves = Callable[[PyTree, PyTree, PyTree, PRNGKey], tuple[PyTree, Callable[[PyTree], PyTree]]]


def clip_weights(bound: Scalar) -> optax.GradientTransformation:
    """Makes the transformation that keeps parameters between two bounds; the last of a chain.

    Source: Arjovsky et al., "Wasserstein GAN" (2017), algorithm 1.

    Args:
        bound: parameters end in [-bound, bound], up to rounding; 0.01 there.

    Returns:
        A transformation of optax. First parameters may lie outside; their first step brings them
        in.
    """

    def clip(updates: PyTree, params: PyTree) -> PyTree:
        return jax.tree.map(lambda p, u: jnp.clip(p + u, -bound, bound) - p, params, updates)

    return optax.stateless(clip)


def add_gradient(function: Callable[[PyTree], Array]) -> optax.GradientTransformation:
    """Makes the transformation that adds the gradient of a function of the parameters.

    At the start of a chain, the player pays the function besides its loss, as it pays for large
    parameters with `optax.add_decayed_weights`. `optax.masked` takes a part of the parameters out.

    Args:
        function: `(params) -> scalar`, such as `orthogonality` times a weight.

    Returns:
        A transformation of optax.
    """
    return optax.stateless(
        lambda updates, params: jax.tree.map(jnp.add, updates, jax.grad(function)(params))
    )


def freeze(
    optimizer: optax.GradientTransformation, layers: Collection[str]
) -> optax.GradientTransformation:
    """Makes the optimizer that leaves some layers of a network as they are.

    With the first layers of D frozen, a trained GAN learns few new images without forgetting what
    it knows (FreezeD); `jaxgan.interop.from_arrays` gives a state the weights of a trained one.

    Source: Mo et al., "Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs" (2020).

    Args:
        optimizer: of the other layers.
        layers: names at the top of the network's parameters, with all that lies below them.

    Returns:
        An optimizer.

    Raises:
        ValueError: if `layers` is one name alone; when a state is made, if the network has no layer
            of a name.
    """
    if isinstance(layers, str):
        raise ValueError(f"layers are several names: write [{layers!r}]")

    def kinds(params: dict[str, PyTree]) -> dict[str, str]:
        if unknown := sorted(set(layers) - set(params)):
            raise ValueError(f"no layers {unknown} to freeze among {sorted(params)}")
        return {name: "frozen" if name in layers else "trained" for name in params}

    return optax.partition({"frozen": optax.set_to_zero(), "trained": optimizer}, kinds)


def orthogonality(params: PyTree) -> Array:
    """Computes how far the filters of all layers are from being orthogonal to one another.

    The sum of squares of all products of two different filters. Filters are taken along the last
    axis, as in `Dense` and `Conv`; transposed convolutions and embeddings are better masked out.
    Blocks of `nn.transformer.stack` have an axis of their own, so take them one by one:
    `jax.vmap(orthogonality)(params["blocks"]).sum()`.

    Source: Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis"
    (2019), equation 3, with the weight 1e-4. Its code adds half of the gradient.

    Args:
        params: of a network; arrays of less than two axes are left out.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: if no array has two axes.
    """
    different = [g - jnp.diag(jnp.diag(g)) for g in _products(params)]
    return jnp.stack([(g**2).sum() for g in different]).sum()


def orthonormality(params: PyTree) -> Array:
    """Computes how far the filters of all layers are from being orthogonal and of length 1.

    The sum of squares of `W^T W - I`, with filters as in `orthogonality`.

    Source: Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis"
    (2019), equation 2.

    Args:
        params: of a network; arrays of less than two axes are left out.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: if no array has two axes.
    """
    apart = [g - jnp.eye(len(g), dtype=g.dtype) for g in _products(params)]
    return jnp.stack([(g**2).sum() for g in apart]).sum()


def _products(params: PyTree) -> list[Array]:
    """Products of all pairs of filters, of each layer: `[F, F]`."""
    kernels = [x.reshape(-1, x.shape[-1]) for x in jax.tree.leaves(params) if x.ndim > 1]
    if not kernels:
        raise ValueError("there are no filters: no array of params has two axes")
    return [kernel.T @ kernel for kernel in kernels]


def lazy_adam(
    period: int, learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """Makes Adam for a player that steps once more in every `period`-th step, to be regularized.

    With `c = period / (period + 1)`, the learning rate is scaled by c and the betas become their
    c-th powers, so that `period + 1` steps go as far, and forget as much, as `period` steps did.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), appendix
    B.

    Args:
        period: steps from one step of regularization to the next.
        learning_rate: without regularization.
        b1: likewise.
        b2: likewise.
        eps: left as it is.

    Returns:
        The optimizer.
    """
    share = period / (period + 1)
    return optax.adam(learning_rate * share, b1**share, b2**share, eps)


def latent_consistency(deviation: Scalar = 0.05, weight: Scalar = 20.0) -> Term:
    """Makes D's term of zCR: what D makes of a small change of latents.

    `weight * (D(G(z)) - D(G(z + e)))^2` with e from `N(0, deviation^2)`, of a D that returns
    scores. With bCR (see `jaxgan.penalties.consistency`), this is ICR.

    Source: Zhao et al., "Improved Consistency Regularization for GANs" (2021).

    Args:
        deviation: sigma there.
        weight: lambda_dis there.

    Returns:
        `(play) -> [B]`.
    """

    def term(play: Play) -> PerSample:
        return weight * (play.judge(play.fake) - play.judge(_neighbors(play, deviation))) ** 2

    return term


def latent_diversity(deviation: Scalar = 0.05, weight: Scalar = 0.5) -> Term:
    """Makes G's term of zCR: how little G makes of a small change of latents.

    `-weight * mean((G(z) - G(z + e))^2)` over the numbers of an example.

    Source: Zhao et al., "Improved Consistency Regularization for GANs" (2021).

    Args:
        deviation: sigma there.
        weight: lambda_gen there.

    Returns:
        `(play) -> [B]`.
    """

    def term(play: Play) -> PerSample:
        moves = (play.fake - _neighbors(play, deviation)) ** 2
        return -weight * moves.reshape(len(moves), -1).mean(1)

    return term


def _neighbors(play: Play, deviation: Scalar) -> PyTree:
    """Makes fakes of inputs a little beside those of the play; labels stay as they are."""
    keys = per_example(stream(play.key, "neighbors"), batch_size(play.batch))
    return play.generate(jax.vmap(partial(disturb, deviation=deviation))(play.inputs, keys))


def track_scores(update: Update, decay: Scalar | Schedule = 0.99) -> Update:
    """Makes an update that also moves averages of D's scores, `state.extra["scores"]`.

    LeCam regularization is a term that compares scores with these:

        def term(play):
            averages = play.state.extra["scores"]
            return 0.3 * terms.lecam(play.real_outputs, play.fake_outputs, **averages)

        gan = GAN(..., discriminator_terms=term)
        update = track_scores(update_both(gan))

    so averages are those of earlier steps; the source's code takes in the present batch first.

    Source: Tseng et al., "Regularizing Generative Adversarial Networks under Limited Data" (2021).

    Args:
        update: one of D, with the metrics "score_real" and "score_fake".
        decay: in [0, 1), or a schedule of it: with 0 in the first steps, averages are those of the
            last batch, and not of the zeros that they start from.

    Returns:
        The update, which keeps "scores": the averages "mean_real" and "mean_fake". It raises a
        ValueError when traced with an update that lacks these metrics, as one of `every` does.
    """

    def init(state: GANState, batch: Batch, key: PRNGKey) -> GANState:
        zeros = {"mean_real": jnp.zeros(()), "mean_fake": jnp.zeros(())}
        return update.init(state.with_extra(scores=zeros), batch, key)

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        state, metrics = update.apply(state, batch, key)
        if missing := {"score_real", "score_fake"} - set(metrics):
            raise ValueError(f"an update without the metrics {sorted(missing)} has no such scores")
        kept = decay(state.step) if callable(decay) else decay
        now = {f"mean_{kind}": metrics[f"score_{kind}"] for kind in ("real", "fake")}
        scores = optax.incremental_update(now, state.extra["scores"], 1 - kept)
        return state.with_extra(scores=scores), metrics

    return Update(init, apply)


def path_length(
    gan: GAN, weight: Scalar = 2.0, *, halves: Halves | None = None, decay: float = 0.99
) -> Update:
    """Makes the update that steps G towards moving its images equally far wherever styles move.

    `weight * (|| J^T y || - a)^2` with the Jacobian J of images by styles, noise y, and a moving
    average a of these lengths, `state.extra["path_length"]`.

    Where G is a mapping and a synthesis, as in `jaxgan.models.stylegan2`, `halves` says so:

        def halves(params, collections, latents, key):
            variables = {"params": params, **collections}
            rngs = {"params": key}
            styles, _ = generator.apply(
                variables, latents, train=True, method="to_styles", rngs=rngs, mutable="batch_stats"
            )
            return styles, lambda styles: generator.apply(
                variables, styles, method="to_images", rngs=rngs
            )

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), equation
    4. As in its code, the average within the penalty has moved already, and its gradient counts.

    Args:
        gan: the GAN.
        weight: of the penalty.
        halves: `(params, collections, inputs, key) -> styles, to_images`, where `to_images(styles)`
            makes images `[B, ...]`; of styles `[B, L, S]`, lengths are the root mean square over
            the layers. If None, G's inputs are the styles.
        decay: of the average.

    Returns:
        An update. Its metrics are the average `path_length` and the mean `path_penalty`.
    """

    def whole(params: PyTree, collections: PyTree, inputs: PyTree, key: PRNGKey):
        return inputs, lambda inputs: gan.generator.apply(params, collections, inputs, key, True)[0]

    split = whole if halves is None else halves

    def init(state: GANState, batch: Batch, key: PRNGKey) -> GANState:
        return state.with_extra(path_length=jnp.zeros(()))

    def objective(params: PyTree, state: GANState, batch: Batch, key: PRNGKey):
        collections = state.generator.collections
        inputs = draw_inputs(gan, batch, key)
        styles, to_images = split(params, collections, inputs, stream(key, "generator"))
        lengths = _lengths(styles, to_images, stream(key, "noise"))
        before = state.extra["path_length"]
        average = decay * before + (1 - decay) * axes.mean(lengths.mean())
        penalty = weight * ((lengths - average) ** 2).mean()
        metrics = {"path_length": average.astype(before.dtype), "path_penalty": penalty}
        return penalty, (metrics, collections)

    step = minimize("generator", objective, gan.generator_optimizer)

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        state, metrics = step.apply(state, batch, key)
        return state.with_extra(path_length=metrics["path_length"]), metrics

    return Update(init, apply)


def _lengths(styles: PyTree, to_images: Callable[[PyTree], Array], key: PRNGKey) -> PerSample:
    """How far each style moves along a direction of images: `|| J^T y ||` with `y` of unit size."""
    images, pullback = jax.vjp(to_images, styles)
    noise = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:], images.dtype))(
        per_example(key, len(images))
    )
    (slopes,) = pullback(noise / math.sqrt(math.prod(images.shape[1:-1])))
    flat = [
        x.reshape(len(x), -1) / math.sqrt(math.prod(x.shape[1:-1]))  # the mean over layers
        for x in jax.tree.leaves(slopes)
        if x.dtype != jax.dtypes.float0  # of labels
    ]
    return optax.safe_norm(jnp.concatenate(flat, 1), 0.0, axis=1)
