"""Gradient penalties, one for each score; the updates take the mean.

All of them measure how steep the discriminator is, `|| dD(x)/dx ||` by all numbers of one example
(of one pack, where D judges packs), each at points of its own. Examples are arrays `[B, ...]` or
trees of them; slopes are by what is floating in these, not by integers such as labels. Where D
returns a tree, penalize one of its outputs:

    lambda critic, *others: r1(1.0)(lambda x: critic(x)["score"], *others)
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from jaxgan.types import PyTree, Scalar, Scores

Critic = Callable[[PyTree], Scores]
PerScore = Float[Array, "S"]  # S is B, or B / n where D judges packs of n


@runtime_checkable
class Penalty(Protocol):
    """What the discriminator pays besides its loss."""

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
        packs = len(jax.eval_shape(critic, real))
        size = len(keys) // packs
        shares = jax.vmap(jax.random.uniform)(keys[::size])  # the same within a pack

        def between(real: Array, fake: Array) -> Array:
            if not jnp.issubdtype(real.dtype, jnp.floating):
                return real
            own = jnp.repeat(shares.astype(real.dtype), size).reshape(-1, *[1] * (real.ndim - 1))
            return own * real + (1 - own) * fake

        squares = _squared_slopes(critic, jax.tree.map(between, real, fake))
        # The root has no gradient at 0, so what is flat gets 0, not NaN.
        rising = squares > 0
        norms = jnp.where(rising, jnp.sqrt(jnp.where(rising, squares, 1)), 0)
        return weight * (norms - 1) ** 2

    return penalty


def r1(gamma: Scalar) -> Penalty:
    """Makes the zero-centred penalty on reals, `gamma / 2 * || dD(x)/dx ||^2`.

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
    """Makes the zero-centred penalty on fakes, `gamma / 2 * || dD(x)/dx ||^2`.

    Source: Mescheder et al. (2018), section 4.1 (see `r1`).

    Args:
        gamma: twice the weight.

    Returns:
        The penalty.
    """
    return lambda critic, real, fake, keys: gamma / 2 * _squared_slopes(critic, fake)


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


def _squared_slopes(critic: Critic, examples: PyTree) -> PerScore:
    """Squared norms of the gradients of scores by the examples, or the packs, that they are of."""

    def total(examples: PyTree) -> tuple[Array, Scores]:
        scores = critic(examples)
        return scores.sum(), scores

    slopes, scores = jax.grad(total, has_aux=True, allow_int=True)(examples)
    floating = [x for x in jax.tree.leaves(slopes) if x.dtype != jax.dtypes.float0]
    return jnp.stack([(x**2).reshape(len(scores), -1).sum(1) for x in floating]).sum(0)
