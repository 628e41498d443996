"""Training data: where examples come from, in which order, and how they reach the device.

Only this package uses TFDS and Grain. Both are imported when a data set needs them, so that
importing jaxgan stays quick.
"""

from jaxgan.data.feeds import (
    Drawn,
    Feed,
    Resident,
    batch_like,
    batches,
    first_examples,
    spec_of,
)
from jaxgan.data.joined import Pairs, Unpaired
from jaxgan.data.loading import load
from jaxgan.data.mapped import Mapped, degraded, jointly, on_images
from jaxgan.data.scaling import scale, scaled, unscale
from jaxgan.data.sources import held_out, name_and_split
from jaxgan.data.stacked import Stacked
from jaxgan.data.stream import Stream

__all__ = [
    "Drawn",
    "Feed",
    "Mapped",
    "Pairs",
    "Resident",
    "Stacked",
    "Stream",
    "Unpaired",
    "batch_like",
    "batches",
    "degraded",
    "first_examples",
    "held_out",
    "jointly",
    "load",
    "name_and_split",
    "on_images",
    "scale",
    "scaled",
    "spec_of",
    "unscale",
]
