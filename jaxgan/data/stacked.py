"""Several random pictures stacked as the channels of one."""

from copy import copy

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from jaxgan.data import order
from jaxgan.data.feeds import ALL, Resident
from jaxgan.data.scaling import scale
from jaxgan.types import Batch, PRNGKey, PyTree


class Stacked:
    """A feed of examples that have a picture of another feed, chosen at random, in each channel.

    The pictures of each channel come in an order of their own, so that all combinations occur.
    Labels count the combinations: with 10 classes and 3 channels, `100 a + 10 b + c`.

    Args:
        feed: pictures of one channel, on the device.
        channels: pictures in one example.
        classes: of the feed's labels.
    """

    def __init__(self, feed: Resident, channels: int, classes: int):
        height, width, depth = feed.shape
        self.shape = (height, width, depth * channels)
        self.size, self.batch_size, self.longest = feed.size, feed.batch_size, feed.longest
        self.arrays = feed.arrays
        self._seed, self._range = feed.seed, feed.value_range
        self.classes = classes**channels
        self._channels, self._classes = channels, classes

    def with_seed(self, seed: int) -> "Stacked":
        """Gives other combinations; see `jaxgan.data.feeds.Feed`."""
        other = copy(self)
        other._seed = seed
        return other

    def rows(self, start: int, stop: int, share: slice = ALL) -> Int32[np.ndarray, "T b K"]:
        """Names the pictures of some steps' examples; see `jaxgan.data.feeds.Feed`."""
        seeds = [self._seed * self._channels + channel for channel in range(self._channels)]
        steps = [
            [order.rows(seed, step, self.batch_size, self.size)[share] for seed in seeds]
            for step in range(start, stop)
        ]
        return np.moveaxis(np.array(steps), 1, 2)

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Gathers, stacks and scales; see `jaxgan.data.feeds.Feed`."""
        del key
        pictures = [arrays["image"][row[:, channel]] for channel in range(self._channels)]
        label = jnp.zeros(len(row), jnp.int32)
        for channel in range(self._channels):
            label = self._classes * label + arrays["label"][row[:, channel]]
        images = scale(jnp.concatenate(pictures, axis=-1), *self._range)
        return {"image": images, "label": label}
