"""What keeps D from learning its reals by heart, applied as often as it takes.

Both updates are for data sets that are small for their D. `adapt_probability` moves a probability,
for augmentations (`jaxgan.augment`) or for `with_pseudo_reals`.
"""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan import axes
from jaxgan.core.gan import GAN, batch_size
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update, draw_inputs, judge, make_fakes
from jaxgan.keys import per_example, stream
from jaxgan.types import Batch, Metrics, PRNGKey, PyTree, Scalar, Scores


def _as_they_are(outputs: PyTree) -> Scores:
    return outputs


def _p(state: GANState) -> Array:
    return state.extra["p"]


def adapt_probability(
    gan: GAN,
    target: Scalar = 0.6,
    *,
    interval: int = 4,
    images: Scalar = 500_000,
    score: Callable[[PyTree], Scores] = _as_they_are,
) -> Update:
    """Makes the update that moves a probability to where D is as sure of reals as it should be.

    The probability is `state.extra["p"]`, 0 at first, for whatever keeps D from overfitting:

        def view(images, batch, key, state):
            return of_batch(bgc(state.extra["p"]))(images, key)

        update = chain(update_both(gan), adapt_probability(gan))

    In every `interval`-th step it rises where the mean sign of D's scores of reals, seen through
    `view`, is above the target, and falls where it is below.

    Source: Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020),
    section 3, with the heuristic r_t. The source takes the signs that came up in training since the
    last move; here D looks at the reals of the step once more. In its code, p may exceed 1, which
    only delays its return.

    Args:
        gan: the GAN.
        target: of the mean sign, in (-1, 1).
        interval: steps from one move to the next.
        images: how many reals it takes p at least to get from 0 to 1.
        score: of D's outputs, where these are not scores themselves.

    Returns:
        An update with the metric `p`.
    """

    def init(state: GANState, batch: Batch, key: PRNGKey) -> GANState:
        return state.with_extra(p=jnp.zeros(()))

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        stride = interval * batch_size(batch) * axes.device_count() / images

        def move(p: Array) -> Array:
            real = gan.real(batch)
            outputs, _ = judge(gan, state.discriminator, real, batch, key, state, "probability")
            sign = axes.mean(jnp.sign(score(outputs)).mean())
            return jnp.clip(p + jnp.sign(sign - target).astype(p.dtype) * stride, 0, 1)

        now = (state.step + 1) % interval == 0
        p = lax.cond(now, move, lambda p: p, state.extra["p"])
        return state.with_extra(p=p), {"p": p}

    return Update(init, apply)


def with_pseudo_reals(
    gan: GAN,
    make_update: Callable[[GAN], Update],
    probability: Callable[[GANState], Scalar] = _p,
) -> Update:
    """Makes an update for which some reals are fakes: APA, adaptive pseudo augmentation.

    D is told that they are real, and so cannot be too sure of reals. Their labels are those of the
    reals whose place they take. To move the probability as well:

        chain(
            with_pseudo_reals(
                gan, lambda gan: chain(update_discriminator(gan), adapt_probability(gan))
            ),
            update_generator(gan),
        )

    Source: Jiang et al., "Deceive D: Adaptive Pseudo Augmentation for GAN Training with Limited
    Data" (2021). Its code takes the fakes of G's last step; here they are new.

    Args:
        gan: the GAN.
        make_update: makes the update of a GAN whose reals are mixed. Parts of the batch have their
            parts of the mixture.
        probability: of a fake in the place of a real, from the state; by default what
            `adapt_probability` keeps.

    Returns:
        The update.
    """
    update = make_update(replace(gan, real=lambda batch: batch["mixed"]))

    def init(state: GANState, batch: Batch, key: PRNGKey) -> GANState:
        return update.init(state, {**batch, "mixed": gan.real(batch)}, key)

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        own = stream(key, "pseudo_reals")
        inputs = draw_inputs(gan, batch, own)
        fakes, _ = make_fakes(gan, state.generator.params, state, inputs, own)
        chosen = jax.vmap(lambda key: jax.random.bernoulli(key, probability(state)))(
            per_example(stream(own, "chosen"), batch_size(batch))
        )

        def mix(real: Array, fake: Array) -> Array:
            return jnp.where(chosen.reshape(-1, *[1] * (real.ndim - 1)), fake, real)

        mixed = jax.tree.map(mix, gan.real(batch), fakes)
        return update.apply(state, {**batch, "mixed": mixed}, key)

    return Update(init, apply)
