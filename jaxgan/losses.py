"""Adversarial losses, one for each score; the updates take the mean.

Scores are those of examples, `[B]`, or of their patches, `[B, h, w]`: the mean is over the losses
of patches, not over their scores. Scores are unbounded in all of them: logits or critic values. So
any loss fits any discriminator of `jaxgan.models`, none of which ends in a sigmoid. `from_logits`
makes a loss of logits of one that is defined on probabilities.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from jaxgan import axes
from jaxgan.types import PerSample, PyTree, Scalar

AnyScores = Float[Array, "B *P"]  # of examples, `[B]`, or of their patches, `[B, h, w]`
PerScore = Float[Array, "B *P"]  # losses


class Loss(NamedTuple):
    """What the two players minimize.

    `discriminator(real, fake)` and `generator(fake, real)` take the discriminator's outputs of both
    kinds: scores, or whatever tree a discriminator of your own returns.
    Where D's loss is a sum of one term of the reals and one of the fakes, `real` and `fake`
    are these terms and `generator` looks at `fake` alone (its second argument may be None); for a
    loss that pairs them, `real` and `fake` are None.
    """

    discriminator: Callable[[AnyScores, AnyScores], PerScore]
    generator: Callable[[AnyScores, AnyScores | None], PerScore]
    real: Callable[[AnyScores], PerScore] | None = None
    fake: Callable[[AnyScores], PerScore] | None = None


def separable(
    real: Callable[[AnyScores], PerScore],
    fake: Callable[[AnyScores], PerScore],
    generator: Callable[[AnyScores], PerScore],
) -> Loss:
    """Makes a loss whose discriminator part is `real(scores of reals) + fake(scores of fakes)`.

    Args:
        real: D's loss on the scores of real examples.
        fake: D's loss on the scores of generated examples.
        generator: G's loss on the scores of generated examples.

    Returns:
        The loss, with its halves.
    """
    return Loss(
        discriminator=lambda real_scores, fake_scores: real(real_scores) + fake(fake_scores),
        generator=lambda fake_scores, _: generator(fake_scores),
        real=real,
        fake=fake,
    )


def map_outputs(function: Callable[[PyTree], AnyScores], loss: Loss) -> Loss:
    """Makes a loss that looks at a function of D's outputs, such as one entry of a tree.

        map_outputs(lambda outputs: outputs["score"], non_saturating)

    Args:
        function: of D's outputs of one kind; the scores that `loss` takes.
        loss: the loss of these scores.

    Returns:
        The loss of D's outputs, with the parts that `loss` has.
    """

    def part(of: Callable[[AnyScores], PerScore] | None) -> Callable[[PyTree], PerScore] | None:
        return None if of is None else lambda outputs: of(function(outputs))

    def generator(fake: PyTree, real: PyTree | None) -> PerScore:
        return loss.generator(function(fake), None if real is None else function(real))

    return Loss(
        discriminator=lambda real, fake: loss.discriminator(function(real), function(fake)),
        generator=generator,
        real=part(loss.real),
        fake=part(loss.fake),
    )


def from_logits(loss: Loss) -> Loss:
    """Makes a loss of logits of a loss of probabilities.

    Args:
        loss: of scores in [0, 1].

    Returns:
        The loss of any scores, of which it takes the sigmoid.
    """
    return map_outputs(jax.nn.sigmoid, loss)


def relativistic_average(loss: Loss) -> Loss:
    """Makes a loss that judges each score against the mean score of the other kind.

    Of `non_saturating` it makes RaSGAN, of `hinge` RaHingeGAN. The source's RaLSGAN comes of least
    squares around zero:

        relativistic_average(separable(lambda r: (r - 1) ** 2, lambda f: (f + 1) ** 2, ...))

    Source: Jolicoeur-Martineau, "The relativistic discriminator" (2018), section 4 (RaGAN); the
    sum of both halves, which its code divides by 2.

    Args:
        loss: one with parts of reals and of fakes.

    Returns:
        The loss, which pairs reals with fakes.

    Raises:
        ValueError: if `loss` pairs them already.
    """
    real_part, fake_part = loss.real, loss.fake
    if real_part is None or fake_part is None:
        raise ValueError("a loss that pairs reals with fakes has no relativistic average")

    def above(scores: AnyScores, others: AnyScores) -> AnyScores:
        return scores - axes.mean(others.mean())

    return Loss(
        discriminator=lambda real, fake: (
            real_part(above(real, fake)) + fake_part(above(fake, real))
        ),
        generator=lambda fake, real: real_part(above(fake, real)) + fake_part(above(real, fake)),
    )


def top_k(k: Scalar, loss: Loss) -> Loss:
    """Makes a loss whose generator learns only from the k fakes of a batch that D scores highest.

    The mean over the batch is the mean over these: the losses of the k fakes are scaled by `B / k`,
    those of all others are 0. D's loss is left alone. The source lets k fall by a hundredth per
    epoch, down to half of the batch:

        k = optax.exponential_decay(64, steps_per_epoch, 0.99, staircase=True, end_value=32)
        scheduled(lambda step: update_both(replace(gan, loss=top_k(k(step), hinge))))

    Source: Sinha et al., "Top-k Training of GANs: Improving GAN Performance by Throwing Away Bad
    Samples" (2020).

    Args:
        k: how many of the batch on all devices together; it is rounded down, may be traced, and
            counts as 1 if it is less, and as the batch size if it is more.
        loss: of scores `[B]`.

    Returns:
        The loss, with the parts that `loss` has. It raises a ValueError when traced with scores of
        patches.
    """

    def generator(fake: AnyScores, real: AnyScores | None) -> PerScore:
        if fake.ndim > 1:
            raise ValueError(
                f"top_k ranks examples by one score each, not by scores {fake.shape} of patches"
            )
        scores = axes.whole(fake)
        count = jnp.clip(jnp.floor(k), 1, len(scores))
        ranks = axes.share(jnp.argsort(jnp.argsort(-scores)))
        return jnp.where(ranks < count, loss.generator(fake, real) * (len(scores) / count), 0)

    return loss._replace(generator=generator)


def crammer_singer(scores: Float[Array, "B K"], labels: Int[Array, "B"] | int) -> PerSample:
    """Computes the multi-class hinge loss: how far a class is from leading all others by 1.

    `max(0, 1 + max_{k != y} s_k - s_y)`.

    Source: Crammer and Singer, "On the Algorithmic Implementation of Multiclass Kernel-based Vector
    Machines" (2001).

    Args:
        scores: one for each class, `[B, K]`.
        labels: the classes y, from 0 to K - 1: `[B]`, or one for all examples.

    Returns:
        `[B]`, at least 0.
    """
    labels = jnp.broadcast_to(labels, len(scores))
    own = jax.nn.one_hot(labels, scores.shape[1], dtype=bool)
    others = jnp.where(own, -jnp.inf, scores).max(1)
    return jax.nn.relu(1 + others - jnp.where(own, scores, 0).sum(1))


def _log(probabilities: Array) -> Array:
    """The logarithm, no less than -100, with gradient 0 (not NaN) at a probability of 0."""
    positive = probabilities > 0
    logs = jnp.log(jnp.where(positive, probabilities, 1))
    return jnp.where(positive, jnp.maximum(logs, -100), -100)


#: Goodfellow et al., "Generative Adversarial Nets" (2014), equation 1 for D; G maximizes
#: log D(G(z)), as section 3 there advises. Computed from probabilities, as PyTorch's and CNTK's
#: losses after a sigmoid are. The bound of -100 on logarithms is PyTorch's; it matters only where a
#: float32 sigmoid is exactly 0 or 1.
binary_cross_entropy = from_logits(
    separable(
        real=lambda probabilities: -_log(probabilities),
        fake=lambda probabilities: -_log(1 - probabilities),
        generator=lambda probabilities: -_log(probabilities),
    )
)

#: The same objective as log D = -softplus(-score), exact at any score: the one to choose.
non_saturating = separable(
    real=lambda scores: jax.nn.softplus(-scores),
    fake=jax.nn.softplus,
    generator=lambda scores: jax.nn.softplus(-scores),
)

#: The game of equation 1 itself, in which G minimizes log(1 - D(G(z))) and learns little from fakes
#: that D knows.
minimax = separable(
    real=lambda scores: jax.nn.softplus(-scores),
    fake=jax.nn.softplus,
    generator=lambda scores: -jax.nn.softplus(scores),
)

#: Mao et al., "Least Squares Generative Adversarial Networks" (2017), equation 9 without its factor
#: 1/2: the squared error of scores against 1 for real, 0 for fake.
least_squares = separable(
    real=lambda scores: (scores - 1) ** 2,
    fake=lambda scores: scores**2,
    generator=lambda scores: (scores - 1) ** 2,
)

#: Lim and Ye, "Geometric GAN" (2017), equations 21 and 22. Scores are critic values.
hinge = separable(
    real=lambda scores: jax.nn.relu(1 - scores),
    fake=lambda scores: jax.nn.relu(1 + scores),
    generator=lambda scores: -scores,
)

#: Arjovsky et al., "Wasserstein GAN" (2017), equations 2 and 3. Scores are values of a critic that
#: something else keeps Lipschitz.
wasserstein = separable(
    real=lambda scores: -scores,
    fake=lambda scores: scores,
    generator=lambda scores: -scores,
)

#: Jolicoeur-Martineau, "The relativistic discriminator" (2018), section 4: each real is
#: paired with one fake. Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline"
#: (2024), add R1 and R2 (see `jaxgan.penalties`). Scores are logits.
relativistic = Loss(
    discriminator=lambda real, fake: jax.nn.softplus(fake - real),
    generator=lambda fake, real: jax.nn.softplus(real - fake),
)

#: Kavalerov et al., "A Multi-Class Hinge Loss for Conditional GANs" (2021).
#: D returns `(scores, labels)`: scores `[B, K + 1]` of K classes and, last, of "fake", and the
#: labels `[B]` that it was shown. G's loss has the weight 0.05 there, beside feature matching with
#: weight 1 (see `jaxgan.terms`).
multi_hinge = separable(
    real=lambda outputs: crammer_singer(*outputs),
    fake=lambda outputs: crammer_singer(outputs[0], outputs[0].shape[1] - 1),
    generator=lambda outputs: crammer_singer(*outputs),
)
