"""Nearest neighbors, and what they tell: precision, recall, density and coverage.

The manifold of a set is the union of balls around its samples, whose radius is the distance to the
sample's k-th nearest neighbor in the set.

- precision, recall: Kynkaanniemi et al., "Improved precision and recall metric for assessing
  generative models" (2019), equations 1 and 2, with k = 3;
- density, coverage: Naeem et al., "Reliable fidelity and diversity metrics for generative models"
  (2020), equations 3 to 5, with k = 5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Float64, Int, UInt8

from jaxgan.metrics.inputs import Numbers, check_features, check_pair, check_sets, magnitude
from jaxgan.util.errors import UserError

_CHUNK = 256  # queries that are compared with all references at once: 61 MB for 60,000
_QUERIES = 64  # of which differences, not products, are in memory at once: 13 MB for 50,000
_SPARE = 8  # candidates besides the k nearest, for rounding errors in their order
_NUMBERS = 2**23  # float64, in memory at once
_EPSILON = float(jnp.finfo(jnp.float32).eps)


class Neighbors(NamedTuple):
    """The nearest references of queries, from the nearest to the k-th."""

    indices: Int[np.ndarray, "Q k"]
    distances: Float[np.ndarray, "Q k"]  # Euclidean, float64


class PRDC(NamedTuple):
    """Precision, recall and coverage, in 0..1, and density, which may exceed 1."""

    precision: float  # fraction of fakes in the reals' manifold
    recall: float  # fraction of reals in the fakes' manifold
    density: float  # mean number of the reals' balls that contain a fake, divided by k
    coverage: float  # fraction of reals with a fake in their ball


def prdc(
    real: Numbers,
    fake: Numbers,
    *,
    k_manifold: int = 3,
    k_density: int = 5,
    radii_real: Float64[np.ndarray, "N 2"] | None = None,
) -> PRDC:
    """Computes precision, recall, density and coverage.

    Memory grows with N + M. Products of matrices decide which distances are below a radius, with a
    bound of their rounding errors; where that leaves it open, the sum of squared differences in
    float64 does. So the metrics are those of exact distances, also far from the origin.

    Args:
        real: float32 [N, D], N larger than both k.
        fake: float32 [M, D], M larger than both k.
        k_manifold: the k of precision and recall, 1 or more.
        k_density: the k of density and coverage, 1 or more.
        radii_real: `radii(real, (k_manifold, k_density))`, if they are known; None to compute them.

    Returns:
        The four metrics.

    Raises:
        UserError: if a shape or a k is wrong, or a feature is not finite.
        ValueError: if the radii are not those of two k.
    """
    ks = (k_manifold, k_density)
    _check_ks(ks)
    real, fake = check_pair(real, fake, at_least=max(ks) + 1)
    if radii_real is None:
        radii_real = radii(real, ks)
    if radii_real.shape != (len(real), 2):
        raise ValueError(f"radii_real must be {(len(real), 2)}, not {radii_real.shape}")
    radii_fake = radii(fake, ks[:1])
    precise, dense, recalled, covered = _compare(real, fake, radii_real, radii_fake[:, 0])
    return PRDC(
        precision=float(precise.mean()),
        recall=float(recalled.mean()),
        density=float(dense.mean()) / k_density,
        coverage=float(covered.mean()),
    )


def radii(points: Numbers, ks: Sequence[int]) -> Float64[np.ndarray, "N K"]:
    """Computes how far the k-th nearest other points are.

    Args:
        points: float32 [N, D], N larger than each k.
        ks: numbers of neighbors, 1 or more.

    Returns:
        Squared distances.

    Raises:
        UserError: if the shape or a k is wrong, or a feature is not finite.
    """
    _check_ks(ks)
    points = check_features(points, "features", at_least=max(ks) + 1)
    # The first is the point itself.
    return _neighbors(points, points, max(ks) + 1)[1][:, list(ks)]


def nearest(queries: Numbers, references: Numbers, k: int = 1) -> Neighbors:
    """Finds the references that are nearest to each query.

    Memory grows with Q + N. Products of matrices find candidates, and sums of squared differences
    in float64 decide among them, so distances are accurate, and those of equal points 0. Where the
    rounding errors of the products may hide a nearer reference, differences find the candidates.

    Args:
        queries: float32 [Q, D], Q at least 1.
        references: float32 [N, D], N at least k.
        k: number of neighbors, 1 or more.

    Returns:
        Indices of references and distances to them. Of equally near ones, the first comes first,
        unless there are many more than k.

    Raises:
        UserError: if a shape or k is wrong, or a feature is not finite.
    """
    _check_ks((k,))
    queries, references = check_sets({"query": queries, "reference": references}, at_least=1)
    if len(references) < k:
        raise UserError(f"{len(references)} references have no {k} nearest ones")
    indices, squares = _neighbors(queries, references, k)
    return Neighbors(indices, np.sqrt(squares))


def _check_ks(ks: Sequence[int]) -> None:
    if min(ks) < 1:
        raise UserError(f"neighbors are counted from 1; there is no neighbor {min(ks)}")


class _Near(NamedTuple):
    """Points around 0, where products round least, in a unit in which squares do not overflow."""

    points: Float[Array, "N D"]
    squares: Float[Array, "N"]  # of their lengths


def _move(*sets: Array) -> tuple[list[_Near], float]:
    """Moves sets to the center of the first one, and returns the unit."""
    first = magnitude(*sets)
    center = (sets[0] / first).mean(axis=0, keepdims=True)
    moved = [x / first - center for x in sets]
    unit = magnitude(*moved)
    return [_Near(x / unit, ((x / unit) ** 2).sum(axis=1)) for x in moved], first * unit


def _neighbors(
    queries: Array, references: Array, k: int
) -> tuple[Int[np.ndarray, "Q k"], Float64[np.ndarray, "Q k"]]:
    """Finds indices and squared distances of the k nearest."""
    (near, others), unit = _move(queries, references)
    a, b = np.asarray(queries), np.asarray(references)

    def choose(rows: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of candidates, chooses the nearest."""
        candidates = np.sort(found, axis=1)
        squares = _squares(a, b, np.repeat(rows, candidates.shape[1]), candidates.ravel())
        squares = squares.reshape(candidates.shape)
        order = np.argsort(squares, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(candidates, order, 1), np.take_along_axis(squares, order, 1)

    indices, squares = [], []
    for start in range(0, len(a), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(a)))
        least = np.asarray(_bounds(_part(near, start), others))[: len(rows)]
        found = _least(least, k + _SPARE)
        own, distances = choose(rows, found)
        # What is not among the candidates is no nearer than the farthest bound of one.
        bound = np.take_along_axis(least, found, 1).max(axis=1).astype(np.float64) * unit**2
        open_ = (distances[:, -1] > bound) & (found.shape[1] < len(b))
        if open_.any():
            apart = np.asarray(_differences(_part(near, start).points, others.points))
            again = _least(apart[: len(rows)][open_], k + _SPARE)
            own[open_], distances[open_] = choose(rows[open_], again)
        indices.append(own)
        squares.append(distances)
    return np.concatenate(indices), np.concatenate(squares)


def _part(near: _Near, start: int) -> _Near:
    """Takes a chunk of points, padded, so that one program does for all."""
    missing = max(0, start + _CHUNK - len(near.points))
    points, squares = (x[start : start + _CHUNK] for x in near)
    return _Near(jnp.pad(points, ((0, missing), (0, 0))), jnp.pad(squares, (0, missing)))


def _squares(
    a: np.ndarray, b: np.ndarray, rows: Int[np.ndarray, "P"], columns: Int[np.ndarray, "P"]
) -> Float64[np.ndarray, "P"]:
    """Computes the squared distances of pairs in float64, equal for equal pairs."""
    together = max(1, _NUMBERS // a.shape[1])
    parts = [np.zeros(0)]
    for start in range(0, len(rows), together):
        own = slice(start, start + together)
        gaps = a[rows[own]].astype(np.float64) - b[columns[own]]
        parts.append((gaps * gaps).sum(axis=1))
    return np.concatenate(parts)


def _distances(queries: _Near, references: _Near) -> tuple[Array, Array]:
    """Computes squared distances by products, [Q, N], and bounds of their errors.

    A product of float32 is off by D epsilon |x| |y| at most, in whatever order it is summed, and
    the other sums and the center by a few epsilon of |x|^2 + |y|^2.
    """
    products = jnp.matmul(queries.points, references.points.T, precision=lax.Precision.HIGHEST)
    sums = queries.squares[:, None] + references.squares[None]
    return sums - 2 * products, 2 * (queries.points.shape[1] + 16) * _EPSILON * sums


def _least(values: Float[np.ndarray, "Q N"], count: int) -> Int[np.ndarray, "Q c"]:
    """Finds the places of the least values, in any order.

    By NumPy: on CPUs, XLA's `top_k` takes ten times as long.
    """
    if count >= values.shape[1]:
        return np.tile(np.arange(values.shape[1]), (len(values), 1))
    return np.argpartition(values, count - 1, axis=1)[:, :count]


@jax.jit
def _bounds(queries: _Near, references: _Near) -> Float[Array, "Q N"]:
    """Computes how near references are at least (squared)."""
    squares, errors = _distances(queries, references)
    return jnp.maximum(squares - errors, 0)


@jax.jit
def _differences(
    queries: Float[Array, "Q D"], references: Float[Array, "N D"]
) -> Float[Array, "Q N"]:
    """Computes squared distances by differences, where products round too much."""

    def compare(query: Array) -> Array:
        return ((references - query[None]) ** 2).sum(axis=1)

    return lax.map(compare, queries, batch_size=_QUERIES)


def _compare(
    real: Array,
    fake: Array,
    radii_real: Float64[np.ndarray, "N 2"],
    radii_fake: Float64[np.ndarray, "M"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Counts which points lie in which balls.

    Returns:
        Of fakes: whether they lie in a real's smaller ball, and in how many of the larger ones. Of
        reals: whether they lie in a fake's ball, and whether a fake lies in their larger ball.
    """
    (near, others), unit = _move(real, fake)
    balls = jnp.asarray(radii_real / unit**2, jnp.float32)
    a, b = np.asarray(fake), np.asarray(real)
    precise, dense = np.zeros(len(a), bool), np.zeros(len(a), int)
    recalled, covered = np.zeros(len(b), bool), np.zeros(len(b), bool)
    for start in range(0, len(a), _CHUNK):
        stop = min(start + _CHUNK, len(a))
        own = np.full(_CHUNK, -1.0, np.float32)  # no padded query has a ball
        own[: stop - start] = radii_fake[start:stop] / unit**2
        count = stop - start
        sure, unsure = _in_balls(_part(others, start), near, own, balls, count)
        found = [np.asarray(x) for x in sure]
        precise[start:stop], dense[start:stop] = (x[:count] for x in found[:2])
        recalled |= found[2]
        covered |= found[3]
        rows, columns = np.nonzero(np.asarray(unsure)[:count])
        codes = np.asarray(unsure)[rows, columns]
        rows += start
        squares = _squares(a, b, rows, columns)
        small, large, back = (
            (codes & bit > 0) & (squares <= radius)
            for bit, radius in (
                (1, radii_real[columns, 0]),
                (2, radii_real[columns, 1]),
                (4, radii_fake[rows]),
            )
        )
        precise[rows[small]] = True
        np.add.at(dense, rows[large], 1)
        covered[columns[large]] = True
        recalled[columns[back]] = True
    return precise, dense, recalled, covered


@jax.jit
def _in_balls(
    queries: _Near,
    references: _Near,
    own: Float[Array, "Q"],
    balls: Float[Array, "N 2"],
    count: int | Array,
) -> tuple[tuple[Array, Array, Array, Array], UInt8[Array, "Q N"]]:
    """Decides which of the first `count` queries lie in balls, and references in their `own` balls.

    Returns:
        What `_compare` returns, as far as it is sure; and of which pairs it is not: the sum of 1
        for the smaller ball, 2 for the larger one and 4 for the query's own.
    """
    squares, errors = _distances(queries, references)
    valid = (jnp.arange(len(queries.points)) < count)[:, None]
    near, far = squares - errors, squares + errors
    sure, unsure = [], jnp.zeros(squares.shape, jnp.uint8)
    for bit, radius in ((1, balls[None, :, 0]), (2, balls[None, :, 1]), (4, own[:, None])):
        inside = valid & (far <= radius * (1 - 4 * _EPSILON))
        may_be = valid & (near <= radius * (1 + 4 * _EPSILON)) & ~inside
        sure.append(inside)
        unsure += bit * may_be.astype(jnp.uint8)
    small, large, back = sure
    return (small.any(axis=1), large.sum(axis=1), back.any(axis=0), large.any(axis=0)), unsure
