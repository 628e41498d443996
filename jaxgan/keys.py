"""Named key streams: one key, many independent uses."""

import zlib

import jax

from jaxgan.types import PRNGKey


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
