"""Terms that either player adds to its loss, per example: `[B]`; the updates take the mean.

They are functions of what D returns and of labels or codes, for the fields `discriminator_terms`
and `generator_terms` of a GAN:

    GAN(
        ...,
        discriminator_terms=lambda play: contrastive(
            play.real_outputs["embedding"], play.real_outputs["proxies"], play.batch["label"]
        ),
        generator_terms=lambda play: contrastive(
            play.fake_outputs["embedding"], play.fake_outputs["proxies"], play.batch["label"]
        ),
    )

The heads of `jaxgan.nn` return such dictionaries. Weights are the caller's to multiply with.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from jaxgan import axes
from jaxgan.types import PerSample, PyTree, Scalar, Scores

Labels = Int[Array, "B"]
Logits = Float[Array, "B K"]
Vectors = Float[Array, "B D"]

_cross_entropy = optax.softmax_cross_entropy_with_integer_labels


class ClassTerms(NamedTuple):
    """What the two players pay for what D makes of the classes of examples.

    `discriminator(real, fake, labels)` and `generator(fake, labels)` take logits, or pairs of them,
    of both kinds, and the labels `[B]` that both kinds have.
    """

    discriminator: Callable[[PyTree, PyTree, Labels], PerSample]
    generator: Callable[[PyTree, Labels], PerSample]


#: Odena et al., "Conditional Image Synthesis with Auxiliary Classifier GANs" (2017), equation 3: D
#: learns the classes of reals and of fakes. Of logits `[B, K]`. Where D is to learn them from reals
#: alone, as in later code, its term is `optax.softmax_cross_entropy_with_integer_labels`.
auxiliary_classifier = ClassTerms(
    discriminator=lambda real, fake, labels: (
        _cross_entropy(real, labels) + _cross_entropy(fake, labels)
    ),
    generator=_cross_entropy,
)

#: Gong et al., "Twin Auxiliary Classifiers GAN" (2019): one classifier learns reals, its twin
#: learns fakes, and G keeps the twin from telling its classes. Of pairs `(logits, twin_logits)`,
#: each `[B, K]`.
twin_classifiers = ClassTerms(
    discriminator=lambda real, fake, labels: (
        _cross_entropy(real[0], labels) + _cross_entropy(fake[1], labels)
    ),
    generator=lambda fake, labels: (
        _cross_entropy(fake[0], labels) - _cross_entropy(fake[1], labels)
    ),
)

#: Hou et al., "Conditional GANs with Auxiliary Discriminative Classifier" (2022): a
#: classifier that tells the reals of each class from its fakes. Of logits `[B, 2 * K]`: of class y,
#: 2 * y for reals and 2 * y + 1 for fakes.
discriminative_classifier = ClassTerms(
    discriminator=lambda real, fake, labels: (
        _cross_entropy(real, 2 * labels) + _cross_entropy(fake, 2 * labels + 1)
    ),
    generator=lambda fake, labels: (
        _cross_entropy(fake, 2 * labels) - _cross_entropy(fake, 2 * labels + 1)
    ),
)


def contrastive(
    embeddings: Vectors, proxies: Vectors, labels: Labels, temperature: Scalar = 1.0
) -> PerSample:
    """Computes ContraGAN's conditional contrastive loss (2C), which draws classes together.

    With `s_ij` the cosine of the embeddings of examples i and j, and `s_i` that of example i and
    the proxy of its label, each divided by the temperature,

        -log((exp(s_i) + sum_j exp(s_ij)) / (exp(s_i) + sum_k exp(s_ik)))

    over the other examples j of the same label, and all other examples k. D pays it on reals, G on
    fakes.

    Source: Kang and Park, "ContraGAN: Contrastive Learning for Conditional Image Generation"
    (2020).

    Args:
        embeddings: D's, `[B, D]`, of any length.
        proxies: of each example's label, a vector that D keeps for the class, `[B, D]`, of any
            length.
        labels: `[B]`.
        temperature: t there, which divides cosines.

    Returns:
        `[B]`, at least 0.
    """
    attraction, similarities, alike, others = _compare(embeddings, proxies, labels)
    logits = jnp.concatenate([attraction[:, None], similarities], 1) / temperature
    return _log_sum(logits, others) - _log_sum(logits, others & alike)


def data_to_data(
    embeddings: Vectors,
    proxies: Vectors,
    labels: Labels,
    temperature: Scalar = 0.5,
    margin: Scalar = 0.98,
) -> PerSample:
    """Computes ReACGAN's data-to-data cross-entropy (D2D-CE), which drives classes apart.

    With `s_ij` the cosine of the embeddings of examples i and j, `s_i` that of example i and the
    proxy of its label, and m the margin,

        -log(exp(-p_i) / (exp(-p_i) + sum_j exp(q_ij)))
        p_i = max(0, m - s_i) / temperature
        q_ij = max(0, s_ij - (1 - m)) / temperature

    over the examples j of other labels. So an example that is close enough to its proxy, and far
    enough from the other classes, has no gradient. D pays it on reals, G on fakes.

    Source: Kang et al., "Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training" (2021).
    Its code also divides each example's sum over j by `exp(max_j q_ij)`, of all other examples j
    and before q is bounded by 0, which shifts the weight from negatives to the proxy.

    Args:
        embeddings: D's, `[B, D]`, of any length.
        proxies: of each example's label, a vector that D keeps for the class, `[B, D]`, of any
            length.
        labels: `[B]`.
        temperature: tau there, which divides cosines.
        margin: of proxies, m_p there; that of other classes, m_n, is `1 - margin`.

    Returns:
        `[B]`, at least 0.
    """
    attraction, similarities, alike, _ = _compare(embeddings, proxies, labels)
    near = -jax.nn.relu(margin - attraction) / temperature
    far = jax.nn.relu(similarities - (1 - margin)) / temperature
    return _log_sum(jnp.concatenate([near[:, None], far], 1), ~alike) - near


def gaussian_code(
    codes: Float[Array, "B C"], means: Float[Array, "B C"], variances: Array | float = 1.0
) -> PerSample:
    """Computes how unlikely continuous codes are under the normal distribution that D reads off.

    InfoGAN's G is given codes besides its latent, and D has a head that reads them off fakes. Both
    players pay this, and the cross-entropy of categorical codes, so both work for codes that show:
    the more so, the more information about them there is in the fakes.

        def information(play):
            _, category, codes = play.inputs
            read = play.fake_outputs
            return optax.softmax_cross_entropy_with_integer_labels(
                read["category"], category
            ) + gaussian_code(codes, read["codes"])

        GAN(..., discriminator_terms=information, generator_terms=information)

    Source: Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing
    Generative Adversarial Nets" (2016), equation 5 and section 6, without the constant entropy of
    codes; the variance is 1 in its code.

    Args:
        codes: what G was given, `[B, C]`.
        means: what D reads off the fakes, `[B, C]`.
        variances: of D's distributions, positive: one for all, or `[B, C]`.

    Returns:
        The negative log-likelihood, the sum over codes, `[B]`.
    """
    errors = (codes - means) ** 2 / variances + jnp.log(2 * jnp.pi * variances)
    return errors.sum(1) / 2


def feature_matching(real: Float[Array, "B D"], fake: Float[Array, "B D"]) -> PerSample:
    """Computes how far the mean features of fakes are from those of reals, for G to pay.

    `mean_d |E h_d(fake) - E h_d(real)|`, which is one number for the whole batch.

    Source: Salimans et al., "Improved Techniques for Training GANs" (2016), section 3.1, with
    absolute differences, as Kavalerov et al., "A Multi-Class Hinge Loss for Conditional GANs"
    (2021), have them.

    Args:
        real: features of reals that D returns, `[B, D]`.
        fake: of fakes, `[B, D]`.

    Returns:
        The same number for each example, `[B]`.
    """
    apart = axes.mean(fake.mean(0)) - axes.mean(real.mean(0))
    return jnp.broadcast_to(jnp.abs(apart).mean(), len(fake))


def misalignment(found: Float[Array, "B *T D"], wanted: Float[Array, "B *T D"]) -> PerSample:
    """Computes how far vectors point from where others do: 1 - cos, and the mean over an example.

    D pays it where its features are to resemble those of a trained network, which see more in a
    picture than whether it is real.

    Source: Yu et al., "Representation Alignment for Generation" (2025), equation 8; Hyun et al.,
    "Scalable GANs with Transformers" (2025), for D.

    Args:
        found: vectors of each example, such as projections of D's tokens, `[B, ..., D]`.
        wanted: what they should point to, `[B, ..., D]`.

    Returns:
        `[B]`, from 0 to 2.
    """
    apart = 1 - (_unit(found) * _unit(wanted)).sum(-1)
    return apart.reshape(len(apart), -1).mean(1)


def lecam(real: Scores, fake: Scores, mean_real: Scalar, mean_fake: Scalar) -> PerSample:
    """Computes LeCam regularization: how far scores are from averages of those of the other kind.

    `(D(x) - mean_fake)^2 + (D(G(z)) - mean_real)^2`, for D to pay.

    Source: Tseng et al., "Regularizing Generative Adversarial Networks under Limited Data" (2021).

    Args:
        real: scores of reals, `[B]`.
        fake: scores of fakes, `[B]`.
        mean_real: a moving average of scores of reals (see `jaxgan.regularizers.track_scores`).
        mean_fake: one of scores of fakes.

    Returns:
        `[B]`, at least 0.
    """
    return (real - mean_fake) ** 2 + (fake - mean_real) ** 2


def one_sided_lecam(real: Scores, fake: Scores, mean_real: Scalar, mean_fake: Scalar) -> PerSample:
    """Computes LeCam regularization of scores that are on the right side of the other average.

    `max(0, D(x) - mean_fake)^2 + max(0, mean_real - D(G(z)))^2`, for D to pay.

    Source: the code of Tseng et al. (2021, see `lecam`).

    Args:
        real: scores of reals, `[B]`.
        fake: scores of fakes, `[B]`.
        mean_real: a moving average of scores of reals (see `jaxgan.regularizers.track_scores`).
        mean_fake: one of scores of fakes.

    Returns:
        `[B]`, at least 0.
    """
    return jax.nn.relu(real - mean_fake) ** 2 + jax.nn.relu(mean_real - fake) ** 2


def _compare(
    embeddings: Vectors, proxies: Vectors, labels: Labels
) -> tuple[PerSample, Float[Array, "B N"], Bool[Array, "B N"], Bool[Array, "B N"]]:
    """Compares examples with their proxies and with the whole batch.

    Returns:
        Cosines with the proxies `[B]`; cosines with each example of the whole batch `[B, N]`;
        whether its label is the same; and whether it is another example.
    """
    embeddings, proxies = _unit(embeddings), _unit(proxies)
    everyone, everyones = axes.whole((embeddings, labels))
    alike = labels[:, None] == everyones[None]
    others = axes.places(len(labels))[:, None] != jnp.arange(len(everyones))[None]
    return (embeddings * proxies).sum(1), embeddings @ everyone.T, alike, others


def _log_sum(logits: Float[Array, "B M"], chosen: Bool[Array, "B N"]) -> PerSample:
    """The logarithm of the sum of exponentials of the first column and of the chosen others."""
    chosen = jnp.pad(chosen, ((0, 0), (1, 0)), constant_values=True)
    return jax.nn.logsumexp(logits, axis=1, where=chosen)


def _unit(vectors: Float[Array, "*N D"]) -> Float[Array, "*N D"]:
    """Scales vectors to length 1; the gradient at 0 is finite."""
    squares = (vectors**2).sum(-1, keepdims=True)
    return vectors * lax.rsqrt(jnp.maximum(squares, 1e-24))
