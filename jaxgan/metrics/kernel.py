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
    """Computes the kernel distance over random blocks, as papers report it.

    Args:
        real: float32 [N, D], N at least `block_size`.
        fake: float32 [M, D], M at least `block_size`.
        key: chooses the blocks.
        blocks: number of blocks.
        block_size: samples of each kind in a block, drawn without replacement.

    Returns:
        Mean and standard deviation of the blocks' estimates. Papers print the deviation, but blocks
        share samples, so it gives no confidence interval.

    Raises:
        UserError: if a shape is wrong, a feature is not finite, or there are too few blocks or
            samples in a block.
    """
    if blocks < 1 or block_size < 2:
        raise UserError(
            f"the kernel distance needs 1 block or more of 2 samples or more, not {blocks} "
            f"of {block_size}"
        )
    real, fake = check_pair(real, fake, at_least=block_size)
    unit = max(1.0, magnitude(real, fake))
    keys = jax.random.split(key, blocks)
    found = _estimate_blocks(real / unit, fake / unit, unit**-2, keys, block_size)
    return estimate(np.asarray(found, np.float64) * unit**6)


def squared_mmd(real: Numbers, fake: Numbers) -> float:
    """Computes the unbiased estimate of the squared discrepancy from all samples at once.

    Args:
        real: float32 [N, D], N at least 2. Memory grows with N^2.
        fake: float32 [M, D], M at least 2.

    Returns:
        The estimate: Gretton et al., "A kernel two-sample test" (2012), equation 3.

    Raises:
        UserError: if a shape is wrong, or a feature is not finite.
    """
    real, fake = check_pair(real, fake, at_least=2)
    unit = max(1.0, magnitude(real, fake))
    return float(_squared_mmd(real / unit, fake / unit, unit**-2)) * unit**6


@partial(jax.jit, static_argnames="size")
def _estimate_blocks(
    real: Array, fake: Array, one: float | Array, keys: Array, size: int
) -> Float[Array, "blocks"]:
    def estimate_block(key: PRNGKey) -> Array:
        def choose(features: Array, name: str) -> Array:
            order = jax.random.permutation(stream(key, name), len(features))
            return features[order[:size]]

        return _squared_mmd(choose(real, "real"), choose(fake, "fake"), one)

    return lax.map(estimate_block, keys)


@jax.jit
def _squared_mmd(
    x: Float[Array, "N D"], y: Float[Array, "M D"], one: float | Array
) -> Float[Array, ""]:
    """Computes the estimate in a unit of length in which no cube overflows.

    `one` is the kernel's 1 in that unit. With x = c + u and y = c + v for a center c,

        x . y / D + 1 = a + s(u) + s(v) + g,  a = c . c / D + 1,  s(u) = c . u / D,  g = u . v / D.

    In its cube, terms of u alone, of v alone and of neither cancel in the estimate, whatever c is.
    They are left out: far from the origin they are so large that the rest is lost in their rounding
    errors. The rest is `3 s t (a + w) + g (3 w (w + g) + g^2)`, with t = s(v) and w = a + s + t.
    """
    size = x.shape[1]
    first = x[:1]  # so that the center of equal features is that feature
    shift = (jnp.sum(x - first, axis=0) + jnp.sum(y - first, axis=0)) / (len(x) + len(y))
    center = first + shift[None]
    a = (center**2).sum() / size + one

    def kernel(u: Array, v: Array) -> Array:
        s, t = _product(u, center), _product(center, v)
        g, whole = _product(u, v), a + s + t
        return 3 * s * t * (a + whole) + g * (3 * whole * (whole + g) + g**2)

    def within(u: Array) -> Array:
        n = len(u)
        others = jnp.where(jnp.eye(n, dtype=bool), 0, kernel(u, u))
        return _sum(others) / n / (n - 1)

    u, v = x - center, y - center
    return within(u) + within(v) - 2 * (_sum(kernel(u, v)) / len(x) / len(y))


def _product(a: Float[Array, "N D"], b: Float[Array, "M D"]) -> Float[Array, "N M"]:
    return jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST) / a.shape[1]


def _sum(matrix: Array) -> Array:
    """Sums row by row, because rounding error grows with the length of a sum."""
    return matrix.sum(axis=1).sum()
