"""Mean and covariance of features, all at once or batch by batch, in float64 on the host.

    state = moments.init(size)
    for images in batches:
        state = moments.update(state, extract(images))
    statistics = moments.result(state)

float32 would not do: the square root in the Frechet distance turns an error of 1e-7 in an
eigenvalue near 0 into 3e-4, a thousand times over. Accelerators have no fast float64, so the sums
are NumPy's.
"""

import math
from functools import reduce
from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Float, Float64

from jaxgan.metrics.inputs import Numbers, check_features
from jaxgan.util.errors import UserError

_ROWS = 4096  # converted to float64 at a time


class Moments(NamedTuple):
    """What is kept of the features seen so far."""

    count: int
    mean: Float64[np.ndarray, "D"]
    scatter: Float64[np.ndarray, "D D"]  # sum of the outer products of deviations from the mean


class Statistics(NamedTuple):
    """Mean and covariance of features."""

    count: int
    mean: Float64[np.ndarray, "D"]
    covariance: Float64[np.ndarray, "D D"]  # divided by count - 1


def init(size: int) -> Moments:
    """Returns the moments of no features.

    Args:
        size: features of one sample, D.
    """
    return Moments(0, np.zeros(size), np.zeros((size, size)))


def update(state: Moments, features: Float[Array | np.ndarray, "B D"]) -> Moments:
    """Adds a batch of features.

    Args:
        state: the moments so far.
        features: [B, D], B at least 1. Values that are not finite show in `result`.

    Returns:
        The moments with the batch.
    """
    rows = np.asarray(features, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # `result` reports what is not finite
        mean = rows.mean(axis=0)
        deviations = rows - mean
        return merge(state, Moments(len(rows), mean, deviations.T @ deviations))


def merge(a: Moments, b: Moments) -> Moments:
    """Combines the moments of two parts of a stream.

    Chan et al., "Updating formulae and a pairwise algorithm for computing sample variances"
    (1979), which loses no precision where the mean is far from 0.

    Args:
        a: moments.
        b: moments of features of the same size.

    Returns:
        The moments of both parts together.
    """
    count = a.count + b.count
    weight = b.count / max(count, 1)
    shift = b.mean - a.mean
    return Moments(
        count,
        a.mean + weight * shift,
        a.scatter + b.scatter + a.count * weight * np.outer(shift, shift),
    )


def result(state: Moments) -> Statistics:
    """Computes mean and covariance.

    Args:
        state: the moments of two samples or more.

    Returns:
        The statistics.

    Raises:
        UserError: if there are fewer samples, or features that are not finite.
    """
    if state.count < 2:
        raise UserError(f"a covariance needs 2 samples or more, not {state.count}")
    covariance = state.scatter / (state.count - 1)
    if not (np.isfinite(state.mean).all() and np.isfinite(covariance).all()):
        raise UserError(f"some of the {state.count} samples' features are NaN or infinite")
    return Statistics(state.count, state.mean, (covariance + covariance.T) / 2)


def statistics(features: Numbers, name: str = "features") -> Statistics:
    """Computes mean and covariance of all features at once.

    Args:
        features: float32 [N, D], N at least 2.
        name: what an error message calls them.

    Returns:
        The statistics.

    Raises:
        UserError: if the shape is wrong, or a feature is not finite.
    """
    checked = np.asarray(check_features(features, name, at_least=2))
    chunks = np.array_split(checked, math.ceil(len(checked) / _ROWS))
    return result(reduce(update, chunks, init(checked.shape[1])))
