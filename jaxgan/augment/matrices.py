"""Matrices that are drawn for an image: by chance, and several of them as one."""

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxgan.augment.composition import Image
from jaxgan.keys import stream
from jaxgan.types import PRNGKey, Scalar

Draw = Callable[[Image, PRNGKey], Float[Array, "N N"]]  # of the image, only shape and type matter


def by_chance(draw: Draw, probability: Scalar) -> Draw:
    """Makes the draw that is taken with a probability, and is else the identity.

    Args:
        draw: the draw.
        probability: in [0, 1]; it may be traced.

    Returns:
        The draw.
    """

    def apply(image: Image, key: PRNGKey) -> Array:
        matrix = draw(image, key)
        chosen = jax.random.bernoulli(stream(key, "chosen"), probability)
        return jnp.where(chosen, matrix, jnp.eye(len(matrix), dtype=matrix.dtype))

    return apply


def product(*draws: Draw) -> Draw:
    """Makes the draw of a product of matrices, each with a key of its own.

    Args:
        *draws: from the first transformation of an image to its last, at least one.

    Returns:
        The draw. Both `affine` and `colors` are written such that the first factor acts first.
    """

    def apply(image: Image, key: PRNGKey) -> Array:
        matrices = [
            draw(image, jax.random.fold_in(key, number)) for number, draw in enumerate(draws)
        ]
        return reduce(partial(jnp.matmul, precision=lax.Precision.HIGHEST), matrices)

    return apply
