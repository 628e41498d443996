"""The Frechet distance that infinitely many samples would have: FID-infinity, if Inception's.

Chong and Forsyth, "Effectively Unbiased FID and Inception Score and Where to Find Them" (2020),
section 4: the bias of the distance of N samples is nearly proportional to 1 / N, so a line is
fitted to the distances of subsets of several sizes, as a function of 1 / N. Its value at 0 has no
bias from the number of generated samples; that from the number of reals remains.
"""

import jax
import numpy as np

from jaxgan.keys import stream
from jaxgan.metrics import moments
from jaxgan.metrics.frechet import gaussian_distance
from jaxgan.metrics.inputs import Numbers, check_pair
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError

SMALLEST = 5000  # samples in the smallest subset
POINTS = 15  # number of subsets


def frechet_infinity(
    real: Numbers, fake: Numbers, key: PRNGKey, *, smallest: int = SMALLEST, points: int = POINTS
) -> float:
    """Extrapolates the Frechet distance to infinitely many generated samples.

    Args:
        real: float32 [N, D], N at least 2.
        fake: float32 [M, D], M above `smallest`.
        key: chooses the subsets.
        smallest: samples in the smallest subset, 2 or more; those of the largest are all.
        points: number of subsets, 2 or more, whose sizes are evenly spaced.

    Returns:
        The squared distance; noise may put it below 0.

    Raises:
        UserError: if a shape is wrong, a feature is not finite, or there are too few samples or
            subsets.
    """
    if smallest < 2 or points < 2:
        raise UserError(
            f"a line needs 2 subsets or more, of 2 samples or more, not {points} of {smallest}"
        )
    real, fake = check_pair(real, fake, at_least=2)
    if len(fake) <= smallest:
        raise UserError(
            f"extrapolation needs more than the {smallest} samples of the smallest subset, "
            f"not {len(fake)}"
        )
    reference, features = moments.statistics(real), np.asarray(fake)
    sizes = np.linspace(smallest, len(features), points).astype(int)
    distances = []
    for number, size in enumerate(sizes):
        order = jax.random.permutation(stream(key, f"subset {number}"), len(features))
        subset = features[np.asarray(order[:size])]
        distances.append(gaussian_distance(reference, moments.statistics(subset)))
    return float(np.polynomial.Polynomial.fit(1 / sizes, distances, 1)(0))
