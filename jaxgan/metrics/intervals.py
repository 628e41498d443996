"""How far to trust a number: deviations, and confidence intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from scipy.special import stdtrit

from jaxgan.metrics.inputs import Numbers
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError

LEVEL = 0.95  # the share of confidence intervals that hold the true value, if nothing is said


class Estimate(NamedTuple):
    """The mean of several estimates of one number, and how they spread."""

    value: float
    deviation: float  # standard deviation, divided by their count


def estimate(values: Numbers) -> Estimate:
    """Summarizes several estimates of one number, as papers print them.

    Args:
        values: [n], n at least 1.

    Returns:
        Their mean and their standard deviation.
    """
    exact = np.asarray(values, np.float64)
    return Estimate(float(exact.mean()), float(exact.std()))


@dataclass(frozen=True)
class Interval:
    """A confidence interval, and how it was found."""

    low: float
    high: float
    level: float  # the share of such intervals that hold the true value, in (0, 1)
    how: str  # "bootstrap of 10000 samples", "t of 5 draws"


def of_draws(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Finds the interval of a metric's mean from several independent draws of samples.

    For any metric, also a biased one, of which it holds the mean at this sample count. The draws'
    values are taken to be about normal.

    Args:
        values: the metric of each draw, 2 or more.
        level: the share of such intervals that hold the mean, in (0, 1).

    Returns:
        Student's t interval.

    Raises:
        UserError: for fewer values, or a level out of range.
    """
    _check_level(level)
    n = len(values)
    if n < 2:
        raise UserError(f"an interval needs 2 draws or more, not {n}")
    exact = np.asarray(values, np.float64)
    half = float(stdtrit(n - 1, (1 + level) / 2) * exact.std(ddof=1)) / math.sqrt(n)
    mean = float(exact.mean())
    return Interval(mean - half, mean + half, level, f"t of {n} draws")


def bootstrap(
    statistic: Callable[[Array], Array],
    samples: Numbers,
    key: PRNGKey,
    *,
    resamples: int = 1000,
    level: float = LEVEL,
) -> Interval:
    """Finds the interval of a statistic by resampling, with replacement: Efron's percentiles.

    Sound for means of independent contributions (precision of fakes given the reals, the share of
    high-quality samples). Not for what is biased by the sample count or sees distances between
    samples (Frechet and kernel distance, modes found): resampling repeats samples, and that looks
    like fewer of them. Use `of_draws` there.

    Args:
        statistic: a function that can be jitted, from `[N, ...]` to a scalar.
        samples: `[N, ...]`, N at least 2.
        key: chooses the resamples.
        resamples: how many.
        level: the share of such intervals that hold the true value, in (0, 1).

    Returns:
        The interval.

    Raises:
        UserError: for fewer samples, no resamples, or a level out of range.
    """
    _check_level(level)
    n = len(samples)
    if n < 2 or resamples < 1:
        raise UserError(
            f"a bootstrap needs 2 samples and 1 resample or more, not {n} and {resamples}"
        )
    keys = jax.random.split(key, resamples)
    found = np.asarray(_of_resamples(statistic, jnp.asarray(samples), keys), np.float64)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, f"bootstrap of {n} samples")


@partial(jax.jit, static_argnames="statistic")
def _of_resamples(statistic: Callable[[Array], Array], samples: Array, keys: Array) -> Array:
    n = len(samples)
    return lax.map(lambda key: statistic(samples[jax.random.randint(key, (n,), 0, n)]), keys)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(f"the level of an interval lies between 0 and 1, not at {level}")
