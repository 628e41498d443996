"""Distributions that latents are drawn from."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax

from jaxgan.types import Latents, PRNGKey, PyTree


@runtime_checkable
class Inputs(Protocol):
    """What a generator sees: latents, latents with labels, or pictures."""

    def __call__(self, key: PRNGKey, n: int, batch: Mapping[str, Any], /) -> PyTree:
        """Draws the inputs of a batch; pure.

        Args:
            key: a typed key, scalar.
            n: how many examples.
            batch: what the examples are conditioned on, such as "label" `[n]`: the batch of real
                examples in training, the caller's choice in sampling.

        Returns:
            Arrays `[n, ...]`, or a tuple of them for a network with several inputs.
        """
        ...


def normal(size: int) -> Callable[..., Latents]:
    """Makes a sampler of standard normal latents.

    Args:
        size: numbers in one latent.

    Returns:
        `(key, n, batch) -> [n, size]`, float32 (float64 under x64); `batch` may be left out.
    """
    return lambda key, n, batch=None: jax.random.normal(key, (n, size))


def uniform(size: int) -> Callable[..., Latents]:
    """Makes a sampler of latents from U(-1, 1).

    Args:
        size: numbers in one latent.

    Returns:
        `(key, n, batch) -> [n, size]`, float32 (float64 under x64); `batch` may be left out.
    """
    return lambda key, n, batch=None: jax.random.uniform(key, (n, size), minval=-1.0, maxval=1.0)
