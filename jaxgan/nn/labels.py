"""What conditional networks ask about labels, and make of them."""

from typing import TypeGuard

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from jaxgan import axes


def is_conditional(classes: int | None, labels: Int[Array, "B"] | None) -> TypeGuard[int]:
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
