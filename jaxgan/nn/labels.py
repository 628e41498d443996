"""Labels, as conditional networks take them: numbers of classes, or weights of them.

A generator that was trained with numbers makes mixtures when it is called with weights, such as
half a class and half another.
"""

from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Int

from jaxgan import axes
from jaxgan.nn.layers import Initializer

# From 0 to K - 1, or a weight for each of K classes. What only takes the labels of a conditional
# network (see `is_conditional`) does not say so in its type, which could not follow that check.
Labels = Int[Array, "B"] | Float[Array, "B K"]


class Embed(nn.Module):
    """A table of vectors, as Flax's, which also takes weights."""

    num_embeddings: int  # classes
    features: int  # numbers in a vector
    embedding_init: Initializer = nn.initializers.variance_scaling(
        1.0, "fan_in", "normal", out_axis=0
    )  # as Flax has it

    @nn.compact
    def __call__(self, labels: Any) -> Float[Array, "B D"]:
        """Looks up the vectors of labels `[B]`, or sums all vectors by weights `[B, K]`."""
        shape = (self.num_embeddings, self.features)
        table = self.param("embedding", self.embedding_init, shape, jnp.float32)
        return labels @ table if _are_weights(labels) else jnp.take(table, labels, axis=0)


def one_hot(labels: Any, classes: int, dtype: DTypeLike) -> Float[Array, "B K"]:
    """Makes weights of labels; weights stay as they are.

    Args:
        labels: `[B]`, or weights `[B, K]`.
        classes: K.
        dtype: of the weights.

    Returns:
        `[B, K]`.
    """
    if _are_weights(labels):
        return labels.astype(dtype)
    return jax.nn.one_hot(labels, classes, dtype=dtype)


def _are_weights(labels: Array) -> bool:
    if labels.ndim == 1:
        return False
    if jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"labels {list(labels.shape)} are those of packs, and this network takes one for each "
            "input: a network in `in_packs` must combine the labels of a pack itself"
        )
    return True


def is_conditional(classes: int | None, labels: Labels | None) -> TypeGuard[int]:
    """Tells whether a network is conditional, and whether its caller knows.

    Args:
        classes: of the network; None if it is unconditional.
        labels: what it is called with besides its first input.

    Returns:
        Whether there are classes, and so labels.

    Raises:
        ValueError: if there is only one of the two.
    """
    if classes is not None and labels is None:
        raise ValueError(f"a network of {classes} classes needs labels as its second input")
    if classes is None and labels is not None:
        raise ValueError("labels are for conditional networks: set classes, or leave labels out")
    return classes is not None


def class_means(
    vectors: Float[Array, "B D"], labels: Int[Array, "B"], classes: int
) -> tuple[Float[Array, "K D"], Bool[Array, "K"]]:
    """Averages the vectors of each class over a batch, however it is spread over devices.

    Args:
        vectors: `[B, D]`.
        labels: `[B]`, from 0 to K - 1.
        classes: K.

    Returns:
        Means `[K, D]`, 0 where there is nothing to average, and whether there is something, `[K]`.
    """
    own = jax.nn.one_hot(labels, classes, dtype=vectors.dtype, axis=0)
    sums, counts = axes.mean((own @ vectors, own.sum(1)))
    return sums / jnp.where(counts > 0, counts, 1)[:, None], counts > 0
