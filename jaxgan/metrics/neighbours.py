"""Precision, recall, density and coverage: metrics of nearest neighbours.

A set's manifold is the union of balls about its samples, each as large as the distance to the
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

from jaxgan.metrics.inputs import Numbers, check_pair, magnitude
from jaxgan.util.errors import UserError

_QUERIES = 64  # whose distances to all others are in memory at once: 13 MB for 50,000


class PerSample(NamedTuple):
    """What every sample contributes. The metrics are the means."""

    precision: Float[Array, "M"]  # 1 where a fake is in the reals' manifold, 0 elsewhere
    recall: Float[Array, "N"]  # 1 where a real is in the fakes' manifold, 0 elsewhere
    density: Float[Array, "M"]  # in how many of the reals' balls a fake is, divided by k
    coverage: Float[Array, "N"]  # 1 where there is a fake in a real's ball, 0 elsewhere


class PRDC(NamedTuple):
    """Precision, recall, coverage in 0..1, and density, which may be more than 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Numbers, fake: Numbers, *, k_manifold: int = 3, k_density: int = 5) -> PRDC:
    """Computes precision, recall, density and coverage.

    Args:
        real: float32 [N, D], N larger than both k.
        fake: float32 [M, D], M larger than both k.
        k_manifold: the neighbour that gives the balls of precision and recall their size, from 1.
        k_density: the same for density and coverage.

    Returns:
        The four metrics.

    Raises:
        UserError: if the features are not such, or a k is less than 1.
    """
    found = per_sample(real, fake, k_manifold=k_manifold, k_density=k_density)
    return PRDC(*(float(np.asarray(each, np.float64).mean()) for each in found))


def per_sample(
    real: Numbers, fake: Numbers, *, k_manifold: int = 3, k_density: int = 5
) -> PerSample:
    """Computes what each sample contributes to the four metrics, as a bootstrap needs it.

    Memory grows with N + M. Distances are sums of squared differences, not `|x|^2 + |y|^2 - 2 x y`,
    whose rounding would drown the distances of close neighbours far from the origin.

    Args:
        real: as in `prdc`.
        fake: as in `prdc`.
        k_manifold: as in `prdc`.
        k_density: as in `prdc`.

    Returns:
        The contributions.

    Raises:
        UserError: as in `prdc`.
    """
    if min(k_manifold, k_density) < 1:
        raise UserError(
            f"the first nearest neighbour is number 1; there is no {min(k_manifold, k_density)}"
        )
    real, fake = check_pair(real, fake, at_least=max(k_manifold, k_density) + 1)
    unit = magnitude(real, fake)  # lengths are compared with lengths alone
    real, fake = real / unit, fake / unit
    radii_real = _radii(real, (k_manifold, k_density))
    radii_fake = _radii(fake, (k_manifold,))
    of_fake = _look(fake, real, radii_real)
    of_real = _look(real, fake, radii_fake)
    return PerSample(
        precision=(of_fake.balls[:, 0] > 0).astype(jnp.float32),
        recall=(of_real.balls[:, 0] > 0).astype(jnp.float32),
        density=of_fake.balls[:, 1] / k_density,
        coverage=(of_real.nearest <= radii_real[:, 1]).astype(jnp.float32),
    )


class _Look(NamedTuple):
    """What queries see of references."""

    balls: Int[Array, "Q K"]  # the balls about references that a query is in, for K sizes of balls
    nearest: Float[Array, "Q"]  # squared distance to the nearest


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
def _look(queries: Array, references: Array, radii: Float[Array, "N K"]) -> _Look:
    def of(query: Array) -> _Look:
        distances = _distances(query, references)
        return _Look((distances[:, None] <= radii).sum(axis=0), distances.min())

    return lax.map(of, queries, batch_size=_QUERIES)
