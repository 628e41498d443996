"""Named key streams: one key, many independent uses."""

import zlib

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Key

from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError


def from_seed(seed: int) -> PRNGKey:
    """Makes the key that all others of a run come from.

    Args:
        seed: 0 to 2**32 - 1; of larger ones JAX would drop the upper bits.

    Returns:
        A typed key, scalar.

    Raises:
        UserError: if the seed is out of range.
    """
    if not 0 <= seed < 2**32:
        raise UserError(f"seed must be from 0 to {2**32 - 1}, not {seed}")
    return jax.random.key(seed)


def stream(key: PRNGKey, name: str) -> PRNGKey:
    """Derives the key of one named use, such as "latents" or "dropout", from a step's key.

    Unlike `jax.random.split`, adding a use never changes the numbers that another one draws.

    Args:
        key: a typed key, scalar.
        name: what the numbers are for.

    Returns:
        A typed key, scalar, that depends on `key` and `name` alone.
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def per_example(key: PRNGKey, n: int, axis_name: str | None = None) -> Key[Array, "n"]:
    """Derives a key for each example of a batch, from its place in the whole batch.

    So n devices with a share each draw what one device with all of it draws.

    Args:
        key: a typed key, scalar, the same on all devices.
        n: examples in the batch; under `axis_name`, in this device's share.
        axis_name: the mapped axis over which the batch is spread, or None.

    Returns:
        Typed keys `[n]`.
    """
    places = jnp.arange(n)
    if axis_name is not None:
        places += lax.axis_index(axis_name) * n
    return jax.vmap(lambda place: jax.random.fold_in(key, place))(places)
