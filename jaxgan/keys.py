"""Named key streams: one key, many independent uses."""

import zlib

import jax
from jax import Array
from jaxtyping import Key

from jaxgan import axes
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


def per_example(key: PRNGKey, n: int) -> Key[Array, "n"]:
    """Derives a key for each example of a batch, from its place in the whole batch.

    Devices with a share each draw what one device with the whole batch would draw (see
    `jaxgan.axes`).

    Args:
        key: a typed key, scalar, the same on all devices.
        n: examples in the batch, or in this device's share of it.

    Returns:
        Typed keys `[n]`.
    """
    return jax.vmap(lambda place: jax.random.fold_in(key, place))(axes.places(n))
