"""What tests share that train a recipe's GAN beside a version of it in PyTorch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.state import GANState


def disturbed(state: GANState, random: np.random.Generator, deviation: float) -> GANState:
    """Moves a state to float64, and all weights from where some layers are idle."""
    state = jax.tree.map(
        lambda x: x.astype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
    )
    g, d = (
        net.replace(
            params=jax.tree.map(lambda x: x + deviation * random.normal(size=x.shape), net.params)
        )
        for net in (state.generator, state.discriminator)
    )
    return state.replace(generator=g, discriminator=d).with_extra(
        average=state.extra["average"].replace(params=g.params)
    )


def assert_same_weights(state: GANState, theirs: Any, precision: float, averaged: float) -> None:
    """Compares weights with those of PyTorch, relative to the largest number of an array.

    Args:
        state: in float64.
        theirs: has trees of tensors `d`, `g` and `average`.
        precision: of both players.
        averaged: of the average of G.
    """
    for net, wanted, close in (
        (state.discriminator, theirs.d, precision),
        (state.generator, theirs.g, precision),
        (state.extra["average"], theirs.average, averaged),
    ):
        trees = jax.tree.leaves(net.params), jax.tree.leaves(wanted)
        for found, expected in zip(*trees, strict=True):
            assert found.dtype == jnp.float64
            expected = expected.detach().numpy()
            atol = close * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
