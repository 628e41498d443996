"""Heads: from a discriminator's features to its outputs.

A head is called as `head(features, labels, wrap)`, with features `[B, C]`, labels `[B]` or None,
and what the discriminator does to its layers. Scores `[B]` alone suit every loss; of a dictionary,
`jaxgan.losses.map_outputs` takes the "score", and terms take the rest.
"""

from collections.abc import Callable

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax
from jaxtyping import Float

from jaxgan.nn.labels import Embed, Labels, is_conditional
from jaxgan.nn.layers import Initializer
from jaxgan.types import Scores

Layers = Callable[[nn.Module], nn.Module]  # a discriminator's wrap of its layers
Features = Float[Array, "B C"]

_glorot = nn.initializers.glorot_uniform()


class Score(nn.Module):
    """A linear score, for unconditional discriminators."""

    kernel_init: Initializer = _glorot

    @nn.compact
    def __call__(self, features: Features, labels: Labels | None, wrap: Layers) -> Scores:
        """Maps features to scores `[B]`.

        Raises:
            ValueError: if there are labels.
        """
        is_conditional(None, labels)
        return _score(features, wrap, self.kernel_init)


class Projection(nn.Module):
    """A linear score, plus the product of the features with the vector of their label.

    Source: Miyato and Koyama, "cGANs with Projection Discriminator" (2018), equation 3.
    """

    classes: int
    kernel_init: Initializer = _glorot

    @nn.compact
    def __call__(self, features: Features, labels: Labels | None, wrap: Layers) -> Scores:
        """Maps features and their labels to scores `[B]`.

        Raises:
            ValueError: if there are no labels.
        """
        own = _vectors(self.classes, features.shape[-1], labels, wrap, self.kernel_init)
        return _score(features, wrap, self.kernel_init) + (features * own).sum(-1)


class AuxiliaryClassifier(nn.Module):
    """A score and class logits.

    Twice as many logits as classes are those of ADC-GAN, which tells real from fake of each class.

    Sources: Odena et al., "Conditional Image Synthesis with Auxiliary Classifier GANs" (2017); Hou
    et al., "Conditional GANs with Auxiliary Discriminative Classifier" (2022).
    """

    logits: int  # how many
    kernel_init: Initializer = _glorot

    @nn.compact
    def __call__(self, features: Features, labels: Labels | None, wrap: Layers) -> dict[str, Array]:
        """Maps features to "score" `[B]` and "logits" `[B, logits]`; does not look at labels."""
        return {
            "score": _score(features, wrap, self.kernel_init),
            "logits": _logits(self.logits, features, wrap, self.kernel_init),
        }


class TwinClassifier(nn.Module):
    """A score, and class logits of two classifiers: one learns reals, the other fakes.

    Source: Gong et al., "Twin Auxiliary Classifiers GAN" (2019).
    """

    classes: int
    kernel_init: Initializer = _glorot

    @nn.compact
    def __call__(self, features: Features, labels: Labels | None, wrap: Layers) -> dict[str, Array]:
        """Maps features to "score" `[B]`, "logits" and "twin_logits" `[B, classes]`."""
        return {
            "score": _score(features, wrap, self.kernel_init),
            "logits": _logits(self.classes, features, wrap, self.kernel_init),
            "twin_logits": _logits(self.classes, features, wrap, self.kernel_init),
        }


class Contrastive(nn.Module):
    """A score, an embedding, and the proxy of the label: a vector that stands for its class.

    Sources: Kang and Park, "ContraGAN: Contrastive Learning for Conditional Image Generation"
    (2020); Kang et al., "Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training" (2021).
    """

    classes: int
    size: int = 512  # of embeddings
    kernel_init: Initializer = _glorot

    @nn.compact
    def __call__(self, features: Features, labels: Labels | None, wrap: Layers) -> dict[str, Array]:
        """Maps features and their labels to scores and to vectors of length 1.

        Returns:
            "score" `[B]`, "embedding" `[B, size]`, and the labels' "proxies" `[B, size]`.

        Raises:
            ValueError: if there are no labels.
        """
        return {
            "score": _score(features, wrap, self.kernel_init),
            "embedding": _unit(wrap(nn.Dense(self.size, kernel_init=self.kernel_init))(features)),
            "proxies": _unit(_vectors(self.classes, self.size, labels, wrap, self.kernel_init)),
        }


def _score(features: Features, wrap: Layers, init: Initializer) -> Scores:
    return wrap(nn.Dense(1, kernel_init=init))(features)[:, 0]


def _logits(count: int, features: Features, wrap: Layers, init: Initializer) -> Array:
    return wrap(nn.Dense(count, use_bias=False, kernel_init=init))(features)


def _vectors(
    classes: int, size: int, labels: Labels | None, wrap: Layers, init: Initializer
) -> Float[Array, "B D"]:
    """Looks up the vectors of labels, of which there must be some."""
    is_conditional(classes, labels)
    return wrap(Embed(classes, size, embedding_init=init))(labels)


def _unit(vectors: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """Scales vectors to length 1; the gradient at 0 is finite."""
    squares = (vectors**2).sum(-1, keepdims=True)
    return vectors * lax.rsqrt(jnp.maximum(squares, 1e-24))
