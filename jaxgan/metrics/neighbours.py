"""Nearest neighbours, and what they tell: precision, recall, density and coverage.

The manifold of a set is the union of balls around its samples, whose radius is the distance to the
sample's k-th nearest neighbour in the set.

- precision, recall: Kynkaanniemi et al., "Improved precision and recall metric for assessing
  generative models" (2019), equations 1 and 2, with k = 3;
- density, coverage: Naeem et al., "Reliable fidelity and diversity metrics for generative models"
  (2020), equations 3 to 5, with k = 5.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

from jaxgan.metrics.inputs import Numbers, check_pair, check_sets, magnitude
from jaxgan.util.errors import UserError

_QUERIES = 64  # points whose distances to all others are in memory at once: 13 MB for 50,000
_CHUNK = 256  # queries that are compared with all references at once: 61 MB for 60,000
_SPARE = 8  # candidates besides the k nearest, for rounding errors in their order


class Neighbours(NamedTuple):
    """The nearest references of queries, from the nearest to the k-th."""

    indices: Int[np.ndarray, "Q k"]
    distances: Float[np.ndarray, "Q k"]  # Euclidean, float64


class PRDC(NamedTuple):
    """Precision, recall and coverage, in 0..1, and density, which may exceed 1."""

    precision: float  # fraction of fakes in the reals' manifold
    recall: float  # fraction of reals in the fakes' manifold
    density: float  # mean number of the reals' balls that contain a fake, divided by k
    coverage: float  # fraction of reals with a fake in their ball


def prdc(real: Numbers, fake: Numbers, *, k_manifold: int = 3, k_density: int = 5) -> PRDC:
    """Computes precision, recall, density and coverage.

    Memory grows with N + M. Distances are sums of squared differences, not `|x|^2 + |y|^2 - 2 x y`,
    whose rounding errors exceed the distances of close neighbours far from the origin.

    Args:
        real: float32 [N, D], N larger than both k.
        fake: float32 [M, D], M larger than both k.
        k_manifold: the k of precision and recall, 1 or more.
        k_density: the k of density and coverage, 1 or more.

    Returns:
        The four metrics.

    Raises:
        UserError: if a shape or a k is wrong, or a feature is not finite.
    """
    if min(k_manifold, k_density) < 1:
        raise UserError(
            f"neighbours are counted from 1; there is no neighbour {min(k_manifold, k_density)}"
        )
    real, fake = check_pair(real, fake, at_least=max(k_manifold, k_density) + 1)
    unit = magnitude(real, fake)  # the metrics only compare distances with distances
    real, fake = real / unit, fake / unit
    radii_real = _radii(real, (k_manifold, k_density))
    radii_fake = _radii(fake, (k_manifold,))
    fakes = _compare(fake, real, radii_real)
    reals = _compare(real, fake, radii_fake)

    def mean(per_sample: Array) -> float:
        return float(np.asarray(per_sample, np.float64).mean())

    return PRDC(
        precision=mean(fakes.balls[:, 0] > 0),
        recall=mean(reals.balls[:, 0] > 0),
        density=mean(fakes.balls[:, 1]) / k_density,
        coverage=mean(reals.nearest <= radii_real[:, 1]),
    )


def nearest(queries: Numbers, references: Numbers, k: int = 1) -> Neighbours:
    """Finds the references that are nearest to each query.

    Memory grows with Q + N. Matrix products find candidates, and sums of squared differences decide
    among them, so distances are accurate, and those of equal points 0. A neighbour may be missed
    only where many others are about as near, to within rounding errors of the largest squares.

    Args:
        queries: float32 [Q, D], Q at least 1.
        references: float32 [N, D], N at least k.
        k: number of neighbours, 1 or more.

    Returns:
        Indices of references and distances to them; of equally near ones, the first comes first.

    Raises:
        UserError: if a shape or k is wrong, or a feature is not finite.
    """
    if k < 1:
        raise UserError(f"neighbours are counted from 1; there is no neighbour {k}")
    queries, references = check_sets({"query": queries, "reference": references}, at_least=1)
    if len(references) < k:
        raise UserError(f"{len(references)} references have no {k} nearest ones")
    unit = magnitude(queries, references)
    queries, references = queries / unit, references / unit
    center = references.mean(axis=0, keepdims=True)  # far from it, products round more
    queries, references = queries - center, references - center
    chunks = []
    for start in range(0, len(queries), _CHUNK):
        chunk = queries[start : start + _CHUNK]
        padded = jnp.pad(chunk, ((0, _CHUNK - len(chunk)), (0, 0)))  # one program for all
        found = _nearest(padded, references, k)
        chunks.append([np.asarray(x)[: len(chunk)] for x in found])
    indices, squares = map(np.concatenate, zip(*chunks, strict=True))
    return Neighbours(indices, np.sqrt(squares.astype(np.float64)) * unit)


@partial(jax.jit, static_argnames="k")
def _nearest(queries: Array, references: Array, k: int) -> tuple[Int[Array, "Q k"], Array]:
    """Finds indices and squared distances."""
    products = jnp.matmul(queries, references.T, precision=lax.Precision.HIGHEST)
    nearness = 2 * products - (references**2).sum(axis=1)[None]  # |q|^2 less the squared distance
    candidates = lax.top_k(nearness, min(k + _SPARE, len(references)))[1].sort(axis=1)
    squares = ((queries[:, None] - references[candidates]) ** 2).sum(axis=2)
    negative, places = lax.top_k(-squares, k)
    return jnp.take_along_axis(candidates, places, axis=1), -negative


class _Comparison(NamedTuple):
    """Queries compared with references."""

    balls: Int[Array, "Q K"]  # number of the references' balls that hold a query, for K radii
    nearest: Float[Array, "Q"]  # squared distance to the nearest reference


def _distances(query: Float[Array, "D"], points: Float[Array, "N D"]) -> Float[Array, "N"]:
    return ((points - query[None]) ** 2).sum(axis=1)


@partial(jax.jit, static_argnames="ks")
def _radii(points: Array, ks: tuple[int, ...]) -> Float[Array, "N K"]:
    """Squared distances of each point to its k-th nearest other points."""

    def nearest(point: Array) -> Array:
        return -lax.top_k(-_distances(point, points), max(ks) + 1)[0]

    # The first is the point itself.
    return lax.map(nearest, points, batch_size=_QUERIES)[:, jnp.array(ks)]


@jax.jit
def _compare(queries: Array, references: Array, radii: Float[Array, "N K"]) -> _Comparison:
    def compare(query: Array) -> _Comparison:
        distances = _distances(query, references)
        return _Comparison((distances[:, None] <= radii).sum(axis=0), distances.min())

    return lax.map(compare, queries, batch_size=_QUERIES)
