"""Mode coverage: which of the known modes of a distribution a generator finds, and how evenly.

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
_NEAR = 3  # deviations from its mode within which a point is of high quality


class Counts(NamedTuple):
    """Histograms over M modes of the samples seen so far."""

    samples: Int32[Array, "M"]
    good: Int32[Array, "M"]  # of high quality
    strange: Int32[Array, ""]  # samples that are not numbers, or labels of no mode


class Coverage(NamedTuple):
    """How well a generator covers the modes."""

    found: int  # modes with at least one sample of high quality
    high_quality: float  # the share of the samples that are, 0 to 1
    reverse_kl: float  # KL(generated || true) of the histograms of all samples, in nats, 0 or more


def init(size: int) -> Counts:
    """Makes the state that has seen nothing.

    Args:
        size: modes.

    Returns:
        A state.
    """
    return Counts(jnp.zeros(size, jnp.int32), jnp.zeros(size, jnp.int32), jnp.int32(0))


def update_points(
    state: Counts,
    points: Float[Array | np.ndarray, "B D"],
    centers: Float[Array | np.ndarray, "M D"],
    deviation: int | float | Array,
) -> Counts:
    """Takes in a batch of points, each of the mode it is nearest to. Can be jitted.

    Args:
        state: the state so far.
        points: float32 [B, D].
        centers: float32 [M, D], the means of the modes.
        deviation: of the modes, per coordinate. Points within 3 of it are of high quality.

    Returns:
        The state that has seen them too.
    """
    points, centers = jnp.asarray(points), jnp.asarray(centers)
    squares = ((points[:, None] - centers[None]) ** 2).sum(axis=2)
    nearest = jnp.argmin(squares, axis=1)
    good = squares.min(axis=1) <= (_NEAR * deviation) ** 2
    return _count(state, nearest, good, jnp.isfinite(points).all(axis=1))


def update_labels(state: Counts, labels: Integer[Array | np.ndarray, "B"]) -> Counts:
    """Takes in a batch of labels, as a classifier gives them. All count as of high quality.

    Can be jitted.

    Args:
        state: the state so far.
        labels: whole numbers [B] in 0..M-1.

    Returns:
        The state that has seen them too.
    """
    if isinstance(labels, np.ndarray):  # of 64 bits, maybe, which JAX cuts
        labels = np.clip(labels.astype(np.int64), -1, _LARGEST)
    labels = jnp.asarray(labels).astype(jnp.int32)
    known = (labels >= 0) & (labels < len(state.samples))
    return _count(state, labels, jnp.ones(len(labels), bool), known)


def merge(a: Counts, b: Counts) -> Counts:
    """Combines the states of two parts of a stream.

    Args:
        a: a state.
        b: a state of the same modes.

    Returns:
        The state that has seen what both have.
    """
    return jax.tree.map(jnp.add, a, b)


def result(state: Counts, truth: Numbers | None = None) -> Coverage:
    """Computes the coverage.

    The histogram of a perfect generator differs from the truth by chance: its reverse KL is about
    `(M - 1) / (2 N)`, as in 0.019 for 26,000 samples of 1,000 modes.

    Args:
        state: that has seen one sample or more.
        truth: how often each mode is true, [M] larger than 0 in any unit; None for equally often.

    Returns:
        The coverage.

    Raises:
        UserError: if it has seen no samples or strange ones, or the truth is not such.
    """
    total, strange = int(state.samples.sum()), int(state.strange)
    if strange:
        raise UserError(f"{strange} samples are not finite, or labels of no mode")
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


def of_points(
    points: Numbers, centers: Numbers, deviation: int | float, truth: Numbers | None = None
) -> Coverage:
    """Computes the coverage of points that are all at hand.

    Args:
        points: float32 [N, D], N at least 1.
        centers: float32 [M, D], the means of the modes.
        deviation: of the modes, per coordinate, larger than 0.
        truth: as in `result`.

    Returns:
        The coverage.

    Raises:
        UserError: if the arrays are not such.
    """
    points = check_features(points, "points", at_least=1)
    centers = check_features(centers, "modes", at_least=1)
    if points.shape[1] != centers.shape[1] or not deviation > 0:
        raise UserError(
            f"points of size {points.shape[1]} do not suit modes of size {centers.shape[1]} with "
            f"a deviation of {deviation}"
        )
    state = _update_points(init(len(centers)), points, centers, deviation)
    return result(state, truth)


def of_labels(labels: Numbers, size: int, truth: Numbers | None = None) -> Coverage:
    """Computes the coverage of labels that are all at hand.

    Args:
        labels: whole numbers [N] in 0..size-1, N at least 1.
        size: modes.
        truth: as in `result`.

    Returns:
        The coverage, whose share of high quality is 1.

    Raises:
        UserError: if the arrays are not such.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"labels must be whole numbers [N], not {array.dtype} {list(array.shape)}")
    return result(update_labels(init(size), array), truth)


_update_points = jax.jit(update_points)


def _count(state: Counts, mode: Array, good: Array, sound: Array) -> Counts:
    def add(counts: Array, which: Array) -> Array:
        # What is not counted is sent beyond the end, and dropped there.
        return counts.at[jnp.where(which, mode, len(counts))].add(1, mode="drop")

    return Counts(
        add(state.samples, sound),
        add(state.good, sound & good),
        state.strange + (~sound).sum(dtype=jnp.int32),
    )
