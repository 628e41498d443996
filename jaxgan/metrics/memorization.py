"""Memorization: are generated samples nearer to the training set than new real examples are?

- authenticity: Alaa et al., "How faithful is your synthetic data? Sample-level metrics for
  evaluating and auditing generative models" (2022), in the form of Stein et al.,
  "Exposing flaws of generative model evaluation metrics" (2023). The first authors' code takes the
  spacing of other examples than the nearest ones.
- data copying, C_T: Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying
  in generative models" (2020), with the cells and the projection of Stein et al.

All depend on the features. In pixels, a training picture that is shifted by one pixel is as far
from the training set as a new one.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

from jaxgan.metrics.inputs import Numbers, check_features, check_sets, magnitude
from jaxgan.metrics.neighbors import nearest
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError

_COMPONENTS = 64  # at most, of features whose copying is tested
_SPARE = 16  # components that are dropped, but let the others converge
_ROUNDS = 10  # of orthogonal iteration
_STEPS = 50  # of k-means
_STARTS = 10
FEWEST = 20  # a cell with as few generated samples says nothing


def authenticity(train: Numbers, generated: Numbers) -> float:
    """Computes the share of samples that are no mere variation of a training example.

    A sample is authentic if its nearest training example is nearer to another training example than
    to the sample. Of new real examples only about two thirds are (65.8% of MNIST's, in pixels).

    Args:
        train: float32 [N, D], N at least 2: all training examples.
        generated: float32 [M, D], M at least 1.

    Returns:
        The share, 0 (copies) to 1.

    Raises:
        UserError: if a shape is wrong, or a feature is not finite.
    """
    check_features(train, "training features", at_least=2)
    train, generated = check_sets({"training": train, "generated": generated}, at_least=1)
    found = nearest(generated, train)
    spacing = nearest(train[found.indices[:, 0]], train, k=2)  # the first is the example itself
    return float(np.mean(spacing.distances[:, 1] < found.distances[:, 0]))


def nearest_distance_ratio(train: Numbers, held_out: Numbers, generated: Numbers) -> float:
    """Compares the median distances of samples and of new examples to the training set.

    Args:
        train: float32 [N, D], N at least 1: all training examples.
        held_out: float32 [P, D], P at least 1: real examples that are not among them.
        generated: float32 [M, D], M at least 1.

    Returns:
        The ratio: 1 if samples are as far from the training set as new examples, 0 for copies.

    Raises:
        UserError: if a shape is wrong, a feature is not finite, or half of `held_out` or more are
            training examples.
    """
    sets = {"training": train, "held-out": held_out, "generated": generated}
    train, held_out, generated = check_sets(sets, at_least=1)
    usual, found = (np.median(nearest(x, train).distances) for x in (held_out, generated))
    if not usual:
        raise UserError("the held-out examples are training examples: hold out others")
    return float(found / usual)


def data_copying(train: Numbers, held_out: Numbers, generated: Numbers, *, cells: int = 3) -> float:
    """Computes C_T: are samples nearer to the training set than new examples are?

    The training set is divided into cells by k-means, on its first 64 principal components. In each
    cell, the distances of samples to its training examples are ranked among those of held-out
    examples: the Mann-Whitney statistic, as a standard normal score. C_T is the mean over the
    cells, weighted by their held-out examples.

    Args:
        train: float32 [N, D], N at least `cells`.
        held_out: float32 [P, D], P at least 1: of the same distribution as `train`.
        generated: float32 [M, D]; cells with 20 samples or fewer are left out.
        cells: number of cells, 1 or more.

    Returns:
        C_T: below -3 for copies, near 0 for new examples, above 3 for samples that are too far from
        the training set. It grows with the number of samples.

    Raises:
        UserError: if a shape is wrong, a feature is not finite, or all cells are left out.
    """
    if cells < 1:
        raise UserError(f"data copying needs 1 cell or more, not {cells}")
    sets = {"training": train, "held-out": held_out, "generated": generated}
    check_features(train, "training features", at_least=cells)
    train, held_out, generated = check_sets(sets, at_least=1)
    unit = magnitude(train, held_out, generated)
    center, axes = _principal_axes(train / unit)
    projected = [_project(x / unit, center, axes) for x in (train, held_out, generated)]
    centers = _k_means(projected[0], cells)
    cell_of = [np.asarray(_assign(x, centers)) for x in projected]
    scores, weights = [], []
    for cell in range(cells):
        t, p, q = (x[of == cell] for x, of in zip(projected, cell_of, strict=True))
        if len(t) and len(p) and len(q) > FEWEST:
            scores.append(_rank_score(*(nearest(x, t).distances[:, 0] for x in (p, q))))
            weights.append(len(p))
    if not scores:
        raise UserError(
            f"no cell of the training set has a held-out example and more than {FEWEST} "
            f"of {len(generated)} generated samples; draw more"
        )
    return float(np.average(scores, weights=weights))


def _rank_score(usual: Float[np.ndarray, "P"], found: Float[np.ndarray, "M"]) -> float:
    """Standardizes the Mann-Whitney statistic of `found` over `usual`, corrected for continuity."""
    usual = np.sort(usual)
    # The pairs in which `found` is larger; of equals, half.
    larger = sum(np.searchsorted(usual, found, side).sum() for side in ("left", "right")) / 2
    pairs = len(usual) * len(found)
    deviation = np.sqrt(pairs * (len(usual) + len(found) + 1) / 12)
    return float((larger - (pairs / 2 - 0.5)) / deviation)


@jax.jit
def _principal_axes(points: Array) -> tuple[Float[Array, "1 D"], Float[Array, "D C"]]:
    """Finds the mean and the axes of largest variance, by orthogonal iteration.

    The covariance of many features would not fit memory.
    """
    center = points.mean(axis=0, keepdims=True)
    size = points.shape[1]
    start = jax.random.normal(jax.random.key(0), (size, min(size, _COMPONENTS + _SPARE)))

    def spread(axes: Array) -> Array:
        return _product((points - center).T, _product(points - center, axes))

    axes = jnp.linalg.qr(start)[0]
    axes = lax.fori_loop(0, _ROUNDS, lambda _, x: jnp.linalg.qr(spread(x))[0], axes)
    _, order = jnp.linalg.eigh(_product(axes.T, spread(axes)))
    return center, _product(axes, order[:, ::-1][:, :_COMPONENTS])


@jax.jit
def _project(points: Array, center: Array, axes: Array) -> Array:
    return _product(points - center, axes)


@partial(jax.jit, static_argnames="cells")
def _k_means(points: Float[Array, "N C"], cells: int) -> Float[Array, "cells C"]:
    """Finds the centers of cells, from the best of several starts."""

    def move(_: Array, centers: Array) -> Array:
        member = jax.nn.one_hot(_assign(points, centers), cells)
        count = member.sum(axis=0)[:, None]
        return jnp.where(count > 0, _product(member.T, points) / jnp.maximum(count, 1), centers)

    def search(key: PRNGKey) -> tuple[Array, Array]:
        start = points[jax.random.choice(key, len(points), (cells,), replace=False)]
        centers = lax.fori_loop(0, _STEPS, move, start)
        return ((points - centers[_assign(points, centers)]) ** 2).sum(), centers

    loss, centers = lax.map(search, jax.random.split(jax.random.key(0), _STARTS))
    return centers[loss.argmin()]


@jax.jit
def _assign(points: Float[Array, "N C"], centers: Float[Array, "K C"]) -> Int[Array, "N"]:
    products = _product(points, centers.T)
    return jnp.argmin((centers**2).sum(axis=1)[None] - 2 * products, axis=1)


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)
