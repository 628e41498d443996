"""CMMD: the squared maximum mean discrepancy of CLIP's embeddings, for a Gaussian kernel.

Jayasumana et al., "Rethinking FID: Towards a Better Evaluation Metric for Image Generation" (2024):
`k(x, y) = exp(-|x - y|^2 / (2 sigma^2))` with sigma = 10, times 1,000, by the estimator that counts
each sample's similarity to itself, as in its code. It is 0 or more, and biased upward: by up to
`1000 (1 / N + 1 / M)` times one less the mean similarity of two samples.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from jaxgan.metrics.inputs import Numbers, check_pair

SIGMA = 10
_SCALE = 1000
_ROWS = 256  # samples that are compared with all others at once


def cmmd(real: Numbers, fake: Numbers, *, sigma: int | float = SIGMA) -> float:
    """Computes the discrepancy between the embeddings of reals and of fakes.

    Memory grows with N + M. Similarities are summed less 1, because those of embeddings of length 1
    are all next to it and rounding errors would exceed small discrepancies.

    Args:
        real: float32 [N, D], N at least 1; each of length 1, as `jaxgan.features.clip` makes them.
        fake: float32 [M, D], M at least 1.
        sigma: of the kernel, above 0.

    Returns:
        1,000 times the squared discrepancy, 0 or more but for rounding.

    Raises:
        UserError: if a shape is wrong, or a feature is not finite.
    """
    real, fake = check_pair(real, fake, at_least=1)
    factor = -0.5 / sigma**2
    within = _similarity(real, real, factor) + _similarity(fake, fake, factor)
    return _SCALE * (within - 2 * _similarity(real, fake, factor))


def _similarity(x: Array, y: Array, factor: float) -> float:
    """Computes the mean similarity, less 1."""
    return float(np.asarray(_row_means(x, y, factor), np.float64).mean())


@jax.jit
def _row_means(x: Array, y: Array, factor: float | Array) -> Float[Array, "N"]:
    squares = (y**2).sum(axis=1)

    def compare(row: Float[Array, "D"]) -> Array:
        products = jnp.matmul(y, row, precision=lax.Precision.HIGHEST)
        distances = jax.nn.relu((row**2).sum() + squares - 2 * products)
        return jnp.expm1(factor * distances).mean()

    return lax.map(compare, x, batch_size=_ROWS)
