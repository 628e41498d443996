"""What a search minimizes: how far a picture is from what is known, and how unlikely it is.

All of it is a number for each example, and the terms of an objective add up.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxgan.core.gan import GAN
from jaxgan.core.state import GANState
from jaxgan.keys import stream
from jaxgan.restoration.operators import Mask
from jaxgan.types import PerSample, PyTree

WINDOW = 7  # in which a known pixel looks for missing ones


def distance(
    found: Float[Array, "N ..."],
    known: Float[Array, "N ..."],
    weights: Array | None = None,
    penalty: Callable[[Array], Array] = jnp.abs,
) -> PerSample:
    """Measures how far each picture is from what is known of it.

    Yeh et al. sum over all pixels where this takes the weighted mean: what they call lambda, the
    weight of a prior, is divided by the sum of weights.

    Args:
        found: `[N, ...]`, what the operator makes of G's pictures.
        known: `[N, ...]`, what is known.
        weights: of each number, as many axes, each of full length or 1: of a mask, what
            `hole_weights` makes of it, or the mask itself as numbers. None for equal ones.
        penalty: of a difference, elementwise: `jnp.abs` for L1, `jnp.square` for L2.

    Returns:
        `[N]`, the weighted mean of the penalties; 0 where all weights are.
    """
    penalties = penalty(found - known)
    weights = jnp.ones_like(penalties) if weights is None else weights
    weights = jnp.broadcast_to(weights, penalties.shape)
    axes = tuple(range(1, penalties.ndim))
    total = weights.sum(axes)
    return (weights * penalties).sum(axes) / jnp.where(total == 0, 1, total)


def hole_weights(mask: Mask, window: int = WINDOW) -> Float[Array, "M H W 1"]:
    """Weighs known pixels by how much is missing around them.

    Pixels without a missing one in their window count nothing. The picture is mirrored at its
    edges.

    Source: Yeh et al., "Semantic Image Inpainting with Deep Generative Models" (2017), equation 2.
    Its first code counted known neighbors instead, which its authors later put right.

    Args:
        mask: `[N, H, W, 1]`, true where a pixel is known.
        window: side of the window, odd.

    Returns:
        `[N, H, W, 1]`, 0 to 1: of known pixels, the share of missing ones in their window.

    Raises:
        ValueError: if the window is even.
    """
    if window % 2 == 0:
        raise ValueError(f"a window around a pixel has an odd side, not {window}")
    reach = window // 2
    missing = jnp.where(mask, 0.0, 1.0)
    padded = jnp.pad(missing, ((0, 0), (reach, reach), (reach, reach), (0, 0)), "symmetric")
    ones = (1, window, window, 1)
    found = lax.reduce_window(padded, 0.0, lax.add, ones, (1, 1, 1, 1), "valid")
    return jnp.where(mask, found / window**2, 0.0)


def gaussian_prior(inputs: PyTree) -> PerSample:
    """Measures how unlikely latents from N(0, 1) are.

    Args:
        inputs: what G sees, arrays `[N, ...]`. Labels, and other integers, do not count.

    Returns:
        `[N]`: the negative log-density per dimension, but for a constant; half the mean square.
    """
    leaves = [x for x in jax.tree.leaves(inputs) if jnp.issubdtype(x.dtype, jnp.floating)]
    return (jnp.concatenate([x.reshape(len(x), -1) for x in leaves], 1) ** 2).mean(1) / 2


def realism(
    gan: GAN, state: GANState, images: PyTree, conditions: Mapping[str, Any] | None = None
) -> PerSample:
    """Measures how little D takes pictures for real: the loss that G paid for them in training.

    For `losses.non_saturating` and `binary_cross_entropy`, it is the prior of Yeh et al. (2017) as
    their code has it, -log D(G(z)).

    Args:
        gan: the GAN. Its loss does not pair reals with fakes, nor rank those of a batch, and D
            judges each by itself: not in packs, nor by how those of a batch differ.
        state: its state.
        images: what G made, `[N, ...]`.
        conditions: what `gan.view` takes from a batch, such as `{"label": labels}`, arrays
            `[N, ...]`.

    Returns:
        `[N]`; of patches, the mean of a picture's losses.

    Raises:
        ValueError: if the loss pairs reals with fakes, of which none are real here, or D judges
            packs.
    """
    if gan.loss.real is None:
        raise ValueError("the loss pairs reals with fakes, so D does not judge fakes by themselves")
    key, net = jax.random.key(0), state.discriminator
    seen = gan.view(images, dict(conditions or {}), stream(key, "view"), state)
    outputs, _ = gan.discriminator.apply(net.params, net.collections, seen, key, False)
    paid, count = gan.loss.generator(outputs, None), len(jax.tree.leaves(images)[0])
    if len(paid) != count:
        raise ValueError(f"D judges packs: {count} pictures have {len(paid)} losses")
    return paid.mean(tuple(range(1, paid.ndim)))
