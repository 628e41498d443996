"""How far to trust a value: deviations, and confidence intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from jaxgan.metrics.inputs import Numbers
from jaxgan.util.errors import UserError

LEVEL = 0.95  # default confidence level


class Estimate(NamedTuple):
    """The mean and the spread of several estimates of one number."""

    value: float
    deviation: float  # standard deviation, with the divisor n


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
    """A confidence interval, and how it was computed."""

    low: float
    high: float
    level: float  # confidence level, in (0, 1)
    how: str  # and what it covers, such as "t of 5 draws of samples and reference"


def t_interval(values: Sequence[float], level: float = LEVEL, of: str = "samples") -> Interval:
    """Computes Student's t interval of a metric's mean over independent draws.

    It covers what is drawn anew for each value, and nothing else: where all values are of the same
    reference examples, another choice of these may well give a mean outside the interval.

    Works for any metric. The interval of a biased metric covers its mean at this sample count.
    Assumes that the values are approximately normal.

    Args:
        values: the metric of each draw, 2 or more.
        level: confidence level, in (0, 1).
        of: what is drawn for each value, such as "samples and reference".

    Returns:
        The interval.

    Raises:
        UserError: if there are fewer values, or the level is out of range.
    """
    if not 0 < level < 1:
        raise UserError(f"the level of an interval lies between 0 and 1, not at {level}")
    n = len(values)
    if n < 2:
        raise UserError(f"an interval needs 2 draws or more, not {n}")
    exact = np.asarray(values, np.float64)
    half = float(stdtrit(n - 1, (1 + level) / 2) * exact.std(ddof=1)) / math.sqrt(n)
    mean = float(exact.mean())
    return Interval(mean - half, mean + half, level, f"t of {n} draws of {of}")
