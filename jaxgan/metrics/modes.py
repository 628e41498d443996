"""Mode coverage: how many of a distribution's known modes a generator finds, and how evenly.

    state = modes.init(len(centers))
    for points in batches:
        state = modes.update_points(state, points, centers, deviation)
    coverage = modes.result(state)

As in Lin et al., "PacGAN" (2018), section 4, and Srivastava et al., "VEEGAN" (2017).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int32, Integer

from jaxgan.metrics.inputs import Numbers, check_features
from jaxgan.util.errors import UserError

_LARGEST = 2**31 - 1
_NEAR = 3  # standard deviations from a mode within which a point is of high quality


class Counts(NamedTuple):
    """Histograms over M modes of the samples seen so far."""

    samples: Int32[Array, "M"]
    good: Int32[Array, "M"]  # of high quality
    invalid: Int32[Array, ""]  # samples that are not finite, or labels out of range


class Coverage(NamedTuple):
    """How well a generator covers the modes."""

    found: int  # modes with at least one sample of high quality
    high_quality: float  # fraction of samples of high quality, 0 to 1
    reverse_kl: float  # KL(generated || true) of the histograms of all samples, in nats, 0 or more


def init(size: int) -> Counts:
    """Returns the counts of no samples.

    Args:
        size: number of modes.
    """
    return Counts(jnp.zeros(size, jnp.int32), jnp.zeros(size, jnp.int32), jnp.int32(0))


def update_points(
    state: Counts,
    points: Float[Array | np.ndarray, "B D"],
    centers: Float[Array | np.ndarray, "M D"],
    deviation: int | float | Array,
) -> Counts:
    """Counts a batch of points, each for its nearest mode. Can be jitted.

    Args:
        state: the counts so far.
        points: float32 [B, D].
        centers: float32 [M, D], the means of the modes.
        deviation: standard deviation of the modes, per coordinate. Points within 3 of it are of
            high quality.

    Returns:
        The counts with the batch.
    """
    points, centers = jnp.asarray(points), jnp.asarray(centers)
    squares = ((points[:, None] - centers[None]) ** 2).sum(axis=2)
    nearest = jnp.argmin(squares, axis=1)
    good = squares.min(axis=1) <= (_NEAR * deviation) ** 2
    return _count(state, nearest, good, jnp.isfinite(points).all(axis=1))


def update_labels(state: Counts, labels: Integer[Array | np.ndarray, "B"]) -> Counts:
    """Counts a batch of labels, such as a classifier's. All count as of high quality.

    Can be jitted.

    Args:
        state: the counts so far.
        labels: integers [B] in 0..M-1.

    Returns:
        The counts with the batch.
    """
    if isinstance(labels, np.ndarray):  # JAX would truncate 64-bit integers
        labels = np.clip(labels.astype(np.int64), -1, _LARGEST)
    labels = jnp.asarray(labels).astype(jnp.int32)
    known = (labels >= 0) & (labels < len(state.samples))
    return _count(state, labels, jnp.ones(len(labels), bool), known)


def merge(a: Counts, b: Counts) -> Counts:
    """Combines the counts of two parts of a stream.

    Args:
        a: counts.
        b: counts over the same modes.

    Returns:
        The counts of both parts together.
    """
    return jax.tree.map(jnp.add, a, b)


def result(state: Counts, truth: Numbers | None = None) -> Coverage:
    """Computes the coverage.

    By chance, a perfect generator's reverse KL is about `(M - 1) / (2 N)`, such as 0.019 for 26,000
    samples of 1,000 modes.

    Args:
        state: the counts of one sample or more.
        truth: the true weights of the modes, [M], larger than 0, of any sum; None if all are equal.

    Returns:
        The coverage.

    Raises:
        UserError: if there are no samples or invalid ones, or `truth` is invalid.
    """
    total, invalid = int(state.samples.sum()), int(state.invalid)
    if invalid:
        raise UserError(f"{invalid} samples are not finite, or have a label of no mode")
    if not total:
        raise UserError("mode coverage needs 1 sample or more, not 0")
    counts = np.asarray(state.samples, np.float64)
    true = np.asarray(np.ones_like(counts) if truth is None else truth, np.float64)
    if true.shape != counts.shape or not (np.isfinite(true).all() and (true > 0).all()):
        raise UserError(f"the truth must be {len(counts)} finite numbers larger than 0")
    seen = counts > 0
    share = counts[seen] / total
    divergence = (share * np.log(share / (true / true.sum())[seen])).sum()
    return Coverage(
        found=int((state.good > 0).sum()),
        high_quality=int(state.good.sum()) / total,
        reverse_kl=max(float(divergence), 0.0),
    )


def coverage_of_points(
    points: Numbers, centers: Numbers, deviation: int | float, truth: Numbers | None = None
) -> Coverage:
    """Computes the coverage of points, all at once.

    Args:
        points: float32 [N, D], N at least 1.
        centers: float32 [M, D], the means of the modes.
        deviation: standard deviation of the modes, per coordinate, larger than 0.
        truth: as in `result`.

    Returns:
        The coverage.

    Raises:
        UserError: if a shape or `deviation` is wrong, or a point is not finite.
    """
    points = check_features(points, "points", at_least=1)
    centers = check_features(centers, "modes", at_least=1)
    if points.shape[1] != centers.shape[1] or not deviation > 0:
        raise UserError(
            f"points of size {points.shape[1]} do not fit modes of size {centers.shape[1]} with "
            f"a deviation of {deviation}"
        )
    state = _update_points(init(len(centers)), points, centers, deviation)
    return result(state, truth)


def coverage_of_labels(labels: Numbers, size: int, truth: Numbers | None = None) -> Coverage:
    """Computes the coverage of labels, all at once.

    Args:
        labels: integers [N] in 0..size-1, N at least 1.
        size: number of modes.
        truth: as in `result`.

    Returns:
        The coverage; its `high_quality` is 1.

    Raises:
        UserError: if `labels` are not such integers.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"labels must be integers [N], not {array.dtype} {list(array.shape)}")
    return result(update_labels(init(size), array), truth)


_update_points = jax.jit(update_points)


def _count(state: Counts, mode: Array, good: Array, valid: Array) -> Counts:
    def add(counts: Array, which: Array) -> Array:
        # An index beyond the end is dropped.
        return counts.at[jnp.where(which, mode, len(counts))].add(1, mode="drop")

    return Counts(
        add(state.samples, valid),
        add(state.good, valid & good),
        state.invalid + (~valid).sum(dtype=jnp.int32),
    )
