"""Noise that does not depend on how a batch is spread over devices."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxgan.keys import per_example
from jaxgan.types import PRNGKey


def normal_per_example(
    key: PRNGKey, n: int, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "n ..."]:
    """Draws standard normal numbers for each example, by its place in the whole batch.

    Args:
        key: a typed key, scalar, the same on all devices.
        n: examples in the batch, or in this device's share of it.
        shape: of the numbers of one example.
        dtype: of the numbers.

    Returns:
        `[n, *shape]`.
    """
    return jax.vmap(lambda key: jax.random.normal(key, shape, dtype))(per_example(key, n))
