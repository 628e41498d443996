"""Penalties on how a discriminator changes, one for each score; the updates take the mean.

Gradient penalties measure how steep it is, `|| dD(x)/dx ||` by all numbers of one example (of one
pack, where D judges packs), each at points of its own. Consistency measures what an augmentation
changes. Examples are arrays `[B, ...]` or trees of them; slopes are by what is floating in these,
not by integers such as labels. Where D returns a tree, penalize one of its outputs, and where it
returns scores of patches, their mean:

    lambda critic, *others: r1(1.0)(lambda x: critic(x)["score"], *others)
    lambda critic, *others: r1(1.0)(lambda x: critic(x).mean((1, 2)), *others)
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from jaxgan import axes
from jaxgan.keys import stream
from jaxgan.types import PRNGKey, PyTree, Scalar, Scores

Critic = Callable[[PyTree], Scores]
PerScore = Float[Array, "S"]  # S is B, or B / n where D judges packs of n


@runtime_checkable
class Penalty(Protocol):
    """What the discriminator adds to its loss."""

    def __call__(
        self, critic: Critic, real: PyTree, fake: PyTree, keys: Key[Array, "B"]
    ) -> PerScore:
        """Computes the penalty of each score; differentiable by what `critic` closes over.

        Args:
            critic: the discriminator as a function of examples: scores `[B]`, or `[B / n]` of one
                that judges packs of n examples.
            real: `[B, ...]`.
            fake: `[B, ...]`, as many as `real`.
            keys: one for each example, so that what is drawn does not depend on how a batch is
                spread over devices.

        Returns:
            Penalties, one for each score.
        """
        ...


def gradient_penalty(weight: Scalar = 10.0) -> Penalty:
    """Makes the penalty of WGAN-GP: slopes other than 1 between reals and fakes.

    `weight * (|| dD(x)/dx || - 1)^2` at `x = e * real + (1 - e) * fake` with e from U(0, 1).

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs" (2017), equation 3.

    Args:
        weight: lambda there.

    Returns:
        The penalty.
    """

    def penalty(critic: Critic, real: PyTree, fake: PyTree, keys: Key[Array, "B"]) -> PerScore:
        between = _interpolate(critic, real, fake, keys)
        return weight * (_slopes(critic, between) - 1) ** 2

    return penalty


def dragan(weight: Scalar = 10.0) -> Penalty:
    """Makes the penalty of DRAGAN: slopes other than 1 around reals.

    `weight * (|| dD(x)/dx || - 1)^2` at `x = real + a / 2 * std * u` with one `a` from U(0, 1) for
    each example, or pack, numbers `u` from U(0, 1), and the standard deviation of all numbers of
    the batch.

    Source: Kodali et al., "On Convergence and Stability of GANs" (2017), equation 4, with the noise
    of its code, which is never negative.

    Args:
        weight: lambda there.

    Returns:
        The penalty.
    """

    def penalty(critic: Critic, real: PyTree, fake: PyTree, keys: Key[Array, "B"]) -> PerScore:
        shares = _shares(critic, real, keys)

        def move(x: Array, noise: Array) -> Array:
            if not _is_floating(x):
                return x
            mean = axes.mean(x.mean())
            deviation = jnp.sqrt(axes.mean(((x - mean) ** 2).mean()))
            return x + shares(x) / 2 * deviation * noise

        own = jax.vmap(partial(stream, name="noise"))(keys)
        around = jax.tree.map(
            move, real, jax.vmap(partial(_noise, draw=jax.random.uniform))(real, own)
        )
        return weight * (_slopes(critic, around) - 1) ** 2

    return penalty


def zero_centered(weight: Scalar) -> Penalty:
    """Makes the zero-centered penalty between reals and fakes, `weight * || dD(x)/dx ||^2`.

    The points are those of `gradient_penalty`.

    Source: Thanh-Tung et al., "Improving Generalization and Stability of Generative Adversarial
    Networks" (2019).

    Args:
        weight: lambda there.

    Returns:
        The penalty.
    """
    return lambda critic, real, fake, keys: (
        weight * _squared_slopes(critic, _interpolate(critic, real, fake, keys))
    )


def steepest(weight: Scalar = 10.0) -> Penalty:
    """Makes the penalty of LGAN: the largest slope between the reals and fakes of a batch.

    `weight * max || dD(x)/dx ||^2` over the points of `gradient_penalty`, the same for each score.

    Source: Zhou et al., "Lipschitz Generative Adversarial Nets" (2019), its MaxGP.

    Args:
        weight: lambda there.

    Returns:
        The penalty.
    """

    def penalty(critic: Critic, real: PyTree, fake: PyTree, keys: Key[Array, "B"]) -> PerScore:
        squares = _squared_slopes(critic, _interpolate(critic, real, fake, keys))
        return jnp.broadcast_to(weight * axes.whole(squares).max(), squares.shape)

    return penalty


def r1(gamma: Scalar) -> Penalty:
    """Makes the zero-centered penalty on reals, `gamma / 2 * || dD(x)/dx ||^2`.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?" (2018),
    section 4.1, a simplification of Roth et al., "Stabilizing Training of Generative Adversarial
    Networks through Regularization" (2017).

    Args:
        gamma: twice the weight.

    Returns:
        The penalty.
    """
    return lambda critic, real, fake, keys: gamma / 2 * _squared_slopes(critic, real)


def r2(gamma: Scalar) -> Penalty:
    """Makes the zero-centered penalty on fakes, `gamma / 2 * || dD(x)/dx ||^2`.

    Source: Mescheder et al. (2018), section 4.1 (see `r1`).

    Args:
        gamma: twice the weight.

    Returns:
        The penalty.
    """
    return on_fakes(r1(gamma))


def consistency(
    augmentation: Callable[[PyTree, PRNGKey], PyTree], weight: Scalar = 10.0
) -> Penalty:
    """Makes the penalty on what an augmentation of reals changes (CR).

    `weight * (D(T(x)) - D(x))^2`, where D sees T(x) through the GAN's `view`. Balanced consistency
    (bCR) asks the same of fakes:

        total(consistency(translation()), on_fakes(consistency(translation())))

    Sources: Zhang et al., "Consistency Regularization for Generative Adversarial Networks" (2020);
    Zhao et al., "Improved Consistency Regularization for GANs" (2021).

    Args:
        augmentation: T, of one example and a key; see `jaxgan.augment`.
        weight: lambda there.

    Returns:
        The penalty.
    """

    def penalty(critic: Critic, real: PyTree, fake: PyTree, keys: Key[Array, "B"]) -> PerScore:
        augmented = jax.vmap(augmentation)(real, keys)
        return weight * (_scores(critic, augmented) - _scores(critic, real)) ** 2

    return penalty


def approximate_r1(gamma: Scalar, deviation: Scalar = 0.01) -> Penalty:
    """Makes `r1` without second derivatives: what a little noise on reals changes.

    `gamma / 2 * ((D(x + s * e) - D(x)) / s)^2` with numbers `e` from N(0, 1), whose mean is that of
    `r1` as `s` becomes small. It costs two passes of D, and fits networks that cannot be
    differentiated twice, or not cheaply. In bfloat16, the rounding of inputs and activations counts
    as a change: with `s = 0.01`, it is several times `r1` in a small GAT's D at its start.

    Sources: Lin et al., "Diffusion Adversarial Post-Training for One-Step Video Generation" (2025);
    scaled like this, the code of Hyun et al., "Scalable GANs with Transformers" (2025).

    Args:
        gamma: twice the weight.
        deviation: s, of the noise.

    Returns:
        The penalty.
    """
    return consistency(partial(disturb, deviation=deviation), gamma / (2 * deviation**2))


def approximate_r2(gamma: Scalar, deviation: Scalar = 0.01) -> Penalty:
    """Makes `r2` without second derivatives: what a little noise on fakes changes.

    Source: as of `approximate_r1`.

    Args:
        gamma: twice the weight.
        deviation: s, of the noise.

    Returns:
        The penalty.
    """
    return on_fakes(approximate_r1(gamma, deviation))


def on_fakes(penalty: Penalty) -> Penalty:
    """Makes a penalty on reals one on fakes, as `on_fakes(r1(gamma))` is `r2(gamma)`.

    Args:
        penalty: which looks at reals alone.

    Returns:
        The penalty, with fakes in the place of reals.
    """
    return lambda critic, real, fake, keys: penalty(critic, fake, fake, keys)


def total(*penalties: Penalty) -> Penalty:
    """Makes the sum of several penalties, such as `total(r1(1.0), r2(1.0))`.

    R1 and R2 together are what Huang et al., "The GAN is dead; long live the GAN! A Modern GAN
    Baseline" (2024), add to the relativistic loss.

    Args:
        *penalties: at least one. All get the same keys.

    Returns:
        The penalty.
    """

    def penalty(critic: Critic, real: PyTree, fake: PyTree, keys: Key[Array, "B"]) -> PerScore:
        return jnp.stack([each(critic, real, fake, keys) for each in penalties]).sum(0)

    return penalty


def _scores(critic: Critic, examples: PyTree) -> Scores:
    """Calls a critic, which must give one score for each example, or pack."""
    scores = critic(examples)
    if not isinstance(scores, Array) or scores.ndim != 1:
        shapes = jax.tree.map(jnp.shape, scores)
        raise ValueError(
            f"a penalty needs one score for each example, and D returns {shapes}: penalize one of "
            "its outputs, or the mean over patches, as jaxgan.penalties shows"
        )
    return scores


def _shares(critic: Critic, real: PyTree, keys: Key[Array, "B"]) -> Callable[[Array], Array]:
    """Draws a number from U(0, 1) for each example, the same within a pack, to multiply it with."""
    size = len(keys) // len(jax.eval_shape(partial(_scores, critic), real))
    shares = jnp.repeat(jax.vmap(jax.random.uniform)(keys[::size]), size)
    return lambda x: shares.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))


def _interpolate(critic: Critic, real: PyTree, fake: PyTree, keys: Key[Array, "B"]) -> PyTree:
    """Draws a point between each real and its fake."""
    shares = _shares(critic, real, keys)

    def between(real: Array, fake: Array) -> Array:
        if not _is_floating(real):
            return real
        return shares(real) * real + (1 - shares(real)) * fake

    return jax.tree.map(between, real, fake)


def disturb(example: PyTree, key: PRNGKey, deviation: Scalar) -> PyTree:
    """Adds normal noise to all that is floating in one example.

    Args:
        example: one, without an axis of examples.
        key: a typed key.
        deviation: of the noise.

    Returns:
        The example, disturbed.
    """

    def move(x: Array, noise: Array) -> Array:
        return x + deviation * noise if _is_floating(x) else x

    return jax.tree.map(move, example, _noise(example, key, jax.random.normal))


def _noise(example: PyTree, key: PRNGKey, draw: Callable[..., Array]) -> PyTree:
    """Draws independent noise for each array of one example; 0 for what is not floating."""
    leaves, structure = jax.tree.flatten(example)
    drawn = [
        draw(jax.random.fold_in(key, index), x.shape, x.dtype) if _is_floating(x) else jnp.zeros(())
        for index, x in enumerate(leaves)
    ]
    return structure.unflatten(drawn)


def _is_floating(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _slopes(critic: Critic, examples: PyTree) -> PerScore:
    """Norms of the gradients of scores. The root has none at 0, so what is flat gets 0, not NaN."""
    squares = _squared_slopes(critic, examples)
    rising = squares > 0
    return jnp.where(rising, jnp.sqrt(jnp.where(rising, squares, 1)), 0)


def _squared_slopes(critic: Critic, examples: PyTree) -> PerScore:
    """Squared norms of the gradients of scores by the examples, or the packs, that they are of."""

    def total(examples: PyTree) -> tuple[Array, Scores]:
        scores = _scores(critic, examples)
        return scores.sum(), scores

    slopes, scores = jax.grad(total, has_aux=True, allow_int=True)(examples)
    floating = [x for x in jax.tree.leaves(slopes) if x.dtype != jax.dtypes.float0]
    return jnp.stack([(x**2).reshape(len(scores), -1).sum(1) for x in floating]).sum(0)
