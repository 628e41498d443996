"""Laws that latents are drawn from."""

from collections.abc import Callable

import jax

from jaxgan.types import Latents, PRNGKey


def normal(size: int) -> Callable[[PRNGKey, int], Latents]:
    """Makes a sampler of standard normal latents.

    Args:
        size: numbers in one latent.

    Returns:
        `(key, n) -> [n, size]`, float32 (float64 under x64).
    """
    return lambda key, n: jax.random.normal(key, (n, size))


def uniform(size: int) -> Callable[[PRNGKey, int], Latents]:
    """Makes a sampler of latents from U(-1, 1).

    Args:
        size: numbers in one latent.

    Returns:
        `(key, n) -> [n, size]`, float32 (float64 under x64).
    """
    return lambda key, n: jax.random.uniform(key, (n, size), minval=-1.0, maxval=1.0)
