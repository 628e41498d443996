"""Frechet distance between normal distributions fitted to features: the FID, if Inception's.

Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium"
(2017), equation 6. The distance is biased upward, more so for fewer samples: values of different
sample counts are not comparable, and resampling, whose repetitions act like fewer samples, gives
no interval. Use `jaxgan.metrics.t_interval` over independent draws.
"""

import numpy as np

from jaxgan.metrics import moments
from jaxgan.metrics.inputs import Numbers, check_pair
from jaxgan.metrics.moments import Statistics
from jaxgan.util.errors import UserError


def frechet_distance(real: Numbers, fake: Numbers) -> float:
    """Computes the Frechet distance between the features of reals and of fakes.

    Args:
        real: float32 [N, D], N at least 2.
        fake: float32 [M, D], M at least 2.

    Returns:
        The squared distance, 0 or more.

    Raises:
        UserError: if a shape is wrong, or a feature is not finite.
    """
    real, fake = check_pair(real, fake, at_least=2)
    return gaussian_distance(moments.statistics(real), moments.statistics(fake))


def gaussian_distance(a: Statistics, b: Statistics) -> float:
    """Computes the Frechet distance from means and covariances, on the host in float64.

    `|mean_a - mean_b|^2 + tr(A) + tr(B) - 2 tr((A B)^(1/2))`. The last trace is the sum of the
    singular values of `A^(1/2) B^(1/2)`, which needs no special case for singular covariances and
    does not square small singular values away.

    Args:
        a: of one set of features.
        b: of the other, of the same size.

    Returns:
        The squared distance, 0 or more.

    Raises:
        UserError: if the sizes differ.
    """
    if a.mean.shape != b.mean.shape:
        raise UserError(
            f"features of size {len(a.mean)} and of size {len(b.mean)} have no distance; "
            "take both from the same extractor"
        )
    overlap = np.linalg.svd(_root(a.covariance).T @ _root(b.covariance), compute_uv=False).sum()
    spread = np.trace(a.covariance) + np.trace(b.covariance)
    shift = np.sum((a.mean - b.mean) ** 2)
    return max(float(shift + spread - 2 * overlap), 0.0)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Computes R [D, r] with R R' = covariance, r being its rank."""
    values, vectors = np.linalg.eigh(covariance)
    # Below this, an eigenvalue is rounding error.
    present = values > values[-1] * len(values) * np.finfo(np.float64).eps
    return vectors[:, present] * np.sqrt(values[present])
