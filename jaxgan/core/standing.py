"""Standing statistics: those of batch norm anew, from many batches of one generator."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan import axes
from jaxgan.core.decoding import DECODER
from jaxgan.core.gan import GAN, batch_size
from jaxgan.core.state import GANState
from jaxgan.keys import stream
from jaxgan.types import Batch, PRNGKey, PyTree

STATISTICS = ("mean", "var")  # what Flax's layers call them, in Linen and in NNX
HUGE = 2.0**60  # beside which a batch's statistics are lost


def standing_statistics(
    gan: GAN, state: GANState, key: PRNGKey, passes: int, batch: Batch
) -> GANState:
    """Replaces batch norm's running averages in G by the mean over fresh batches; pure.

    Running averages lag behind parameters, and are of other parameters altogether than a moving
    average of G. Samples are sharper with the mean of means and of (biased) variances over some
    batches of the very G that makes them.

    Source: Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis"
    (2019); its code takes 16 batches.

    Args:
        gan: the GAN.
        state: its state.
        key: of the latents.
        passes: how many batches, 1 or more.
        batch: how large they are, and what they are conditioned on (see `GAN.inputs`).

    Returns:
        The state with other running averages in the G that `sample` uses: the moving average where
        an update keeps one. What else G keeps, such as spectral norm's vectors or the averages of a
        layer that does not move them, is as it was.

    Raises:
        ValueError: if there are no passes.
    """
    if operator.index(passes) < 1:
        raise ValueError(f"statistics take at least 1 pass, not {passes}")
    net = state.extra.get("average", state.generator)
    n = batch_size(batch) * axes.device_count()

    def moved(start: float, index: Array) -> PyTree:
        """Running averages after one batch, if they were `start` before it."""
        own = jax.random.fold_in(key, index)
        inputs = axes.share(gan.inputs(stream(own, "latents"), n, axes.whole(batch)))
        before = _replace(net.collections, lambda x: jnp.full_like(x, start))
        return axes.mean(
            gan.generator.apply(net.params, before, inputs, stream(own, "generator"), True)[1]
        )

    def add(total: PyTree, index: Array) -> tuple[PyTree, None]:
        return _replace(total, jnp.add, moved(0.0, index)), None

    # Averages move to `kept * average + (1 - kept) * batch`; from 0, that is the batch's share.
    zeros = _replace(net.collections, jnp.zeros_like)
    total, _ = lax.scan(add, zeros, jnp.arange(passes))
    kept = moved(HUGE, jnp.zeros((), jnp.int32))

    def settle(old: Array, total: Array, kept: Array) -> Array:
        share = 1 - kept / HUGE
        return jnp.where(share > 0, total / passes / jnp.where(share > 0, share, 1), old)

    net = net.replace(collections=_replace(net.collections, settle, total, kept))
    return (
        state.with_extra(average=net) if "average" in state.extra else state.replace(generator=net)
    )


def _replace(collections: PyTree, function: Any, *others: PyTree) -> PyTree:
    """Replaces the statistics of batch norm, except a decoder's; everything else stays."""

    def replace(path: Any, leaf: Array, *others: Array) -> Array:
        first, last = (getattr(entry, "key", None) for entry in (path[0], path[-1]))
        moves = last in STATISTICS and first != DECODER
        return function(leaf, *others) if moves else leaf

    return jax.tree_util.tree_map_with_path(replace, collections, *others)
