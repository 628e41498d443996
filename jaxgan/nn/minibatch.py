"""What a discriminator sees of the other examples of a batch."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxgan import axes


def minibatch_deviation(inputs: Float[Array, "B H W C"], group: int) -> Float[Array, "B H W C+1"]:
    """Appends a channel that tells how much the examples of a group differ.

    The batch, on all devices of a mapped axis together (see `jaxgan.axes`), is split into n groups
    of every n-th example. A group's number is its standard deviation at each place and channel,
    averaged over them.

    Source: Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and
    Variation" (2018), section 3; the groups are those of StyleGAN2's code.

    Args:
        inputs: `[B, H, W, C]`.
        group: examples in a group; a smaller batch is one group.

    Returns:
        `[B, H, W, C + 1]`.

    Raises:
        ValueError: if groups do not divide the batch.
    """
    whole = axes.whole(inputs)
    size = min(group, len(whole))
    if len(whole) % size:
        raise ValueError(f"groups of {size} do not divide a batch of {len(whole)}")
    groups = whole.reshape(size, -1, *inputs.shape[1:])
    deviations = jnp.sqrt(groups.var(0) + 1e-8).mean((1, 2, 3))
    own = axes.share(jnp.tile(deviations, size)).reshape(-1, 1, 1, 1)
    return jnp.concatenate([inputs, jnp.broadcast_to(own, (*inputs.shape[:3], 1))], -1)
