"""Kernel distance: KID, with Inception's features.

Binkowski et al., "Demystifying MMD GANs" (2018), section 4: the squared maximum mean discrepancy
for the kernel `k(x, y) = (x . y / D + 1)^3`, by its unbiased estimator, which may be below 0.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from jaxgan.keys import stream
from jaxgan.metrics.inputs import Numbers, check_pair, magnitude
from jaxgan.metrics.intervals import Estimate, estimate
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError


def kernel_distance(
    real: Numbers, fake: Numbers, key: PRNGKey, *, blocks: int = 100, block_size: int = 1000
) -> Estimate:
    """Computes the kernel distance over random blocks, as is published.

    Args:
        real: float32 [N, D], N at least `block_size`.
        fake: float32 [M, D], M at least `block_size`.
        key: chooses the blocks.
        blocks: how many.
        block_size: samples of each kind in a block, all different.

    Returns:
        Mean and standard deviation of the blocks' estimates. Blocks share samples: the deviation is
        what papers print, and no interval comes of it.

    Raises:
        UserError: if the features are not such, or the blocks are none or too small.
    """
    if blocks < 1 or block_size < 2:
        raise UserError(
            f"the kernel distance needs 1 block or more of 2 samples or more, not {blocks} "
            f"of {block_size}"
        )
    real, fake = check_pair(real, fake, at_least=block_size)
    unit = max(1.0, magnitude(real, fake))
    keys = jax.random.split(key, blocks)
    found = _of_blocks(real / unit, fake / unit, unit**-2, keys, block_size)
    return estimate(np.asarray(found, np.float64) * unit**6)


def squared_mmd(real: Numbers, fake: Numbers) -> float:
    """Computes the unbiased estimate of the squared discrepancy of all samples at once.

    Args:
        real: float32 [N, D], N at least 2. Memory grows with N^2.
        fake: float32 [M, D], M at least 2.

    Returns:
        The estimate: Gretton et al., "A kernel two-sample test" (2012), equation 3.

    Raises:
        UserError: if the features are not such.
    """
    real, fake = check_pair(real, fake, at_least=2)
    unit = max(1.0, magnitude(real, fake))
    return float(_squared_mmd(real / unit, fake / unit, unit**-2)) * unit**6


@partial(jax.jit, static_argnames="size")
def _of_blocks(
    real: Array, fake: Array, one: float | Array, keys: Array, size: int
) -> Float[Array, "blocks"]:
    def of_block(key: PRNGKey) -> Array:
        def choose(features: Array, name: str) -> Array:
            order = jax.random.permutation(stream(key, name), len(features))
            return features[order[:size]]

        return _squared_mmd(choose(real, "real"), choose(fake, "fake"), one)

    return lax.map(of_block, keys)


@jax.jit
def _squared_mmd(
    x: Float[Array, "N D"], y: Float[Array, "M D"], one: float | Array
) -> Float[Array, ""]:
    """The estimate in a unit of length such that no cube is too large.

    `one` is the kernel's 1 in that unit.
    """

    def kernel(a: Array, b: Array) -> Array:
        return (jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST) / a.shape[1] + one) ** 3

    across = kernel(x, y)
    # The kernel's mean cancels in the result. Without it the sums are small, and so is rounding.
    offset = across[0].mean()

    def within(a: Array) -> Array:
        n = len(a)
        others = jnp.where(jnp.eye(n, dtype=bool), 0, kernel(a, a) - offset)
        return _sum(others) / n / (n - 1)

    return within(x) + within(y) - 2 * (_sum(across - offset) / len(x) / len(y))


def _sum(matrix: Array) -> Array:
    """Adds up row by row, for rounding grows with the length of a sum."""
    return matrix.sum(axis=1).sum()
