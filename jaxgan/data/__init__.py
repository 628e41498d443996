"""Training data: where examples come from, in which order, and how they reach the device.

Only this package uses TFDS and Grain. Both are imported when a data set needs them, so that
importing jaxgan stays quick.
"""

from jaxgan.data.feeds import Drawn, Feed, Resident, batches
from jaxgan.data.loading import load
from jaxgan.data.scaling import scale, unscale
from jaxgan.data.sources import name_and_split
from jaxgan.data.stacked import Stacked
from jaxgan.data.stream import Stream

__all__ = [
    "Drawn",
    "Feed",
    "Resident",
    "Stacked",
    "Stream",
    "batches",
    "load",
    "name_and_split",
    "scale",
    "unscale",
]
