"""Random pictures stacked as the channels of one."""

from copy import copy

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from jaxgan.data import order
from jaxgan.data.feeds import ALL, Resident
from jaxgan.types import Batch, PRNGKey, PyTree


class Stacked:
    """A feed whose examples have a random picture of another feed in each channel.

    Each channel has an order of its own, so that all combinations occur. Labels number the
    combinations: with 10 classes and 3 channels, `100 a + 10 b + c`.

    Args:
        feed: pictures of one channel, on the device.
        channels: pictures per example.
        classes: number of the feed's label classes.
    """

    def __init__(self, feed: Resident, channels: int, classes: int):
        height, width, depth = feed.shape
        self.shape = (height, width, depth * channels)
        self.size, self.batch_size, self.longest = feed.size, feed.batch_size, feed.longest
        self.arrays = feed.arrays
        assert feed.seed is not None  # pictures are put together at random
        self._seed, self._to_batch = feed.seed, feed.to_batch
        self.classes = classes**channels
        self._channels, self._classes = channels, classes

    def with_seed(self, seed: int) -> "Stacked":
        """Returns other combinations; see `jaxgan.data.feeds.Feed`."""
        other = copy(self)
        other._seed = seed
        return other

    def with_batch_size(self, batch_size: int) -> "Stacked":
        """Returns the same examples in other batches; see `jaxgan.data.feeds.Feed`."""
        other = copy(self)
        other.batch_size = batch_size
        return other

    def rows(self, start: int, stop: int, share: slice = ALL) -> Int32[np.ndarray, "T b K"]:
        """Returns the indices of the pictures of some steps; see `jaxgan.data.feeds.Feed`."""
        seeds = [self._seed * self._channels + channel for channel in range(self._channels)]
        steps = [
            [order.rows(seed, step, self.batch_size, self.size)[share] for seed in seeds]
            for step in range(start, stop)
        ]
        return np.moveaxis(np.array(steps), 1, 2)

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Gathers and stacks the pictures, and makes the batch; see `jaxgan.data.feeds.Feed`."""
        del key
        pictures = [arrays["image"][row[:, channel]] for channel in range(self._channels)]
        label = jnp.zeros(len(row), jnp.int32)
        for channel in range(self._channels):
            label = self._classes * label + arrays["label"][row[:, channel]]
        return self._to_batch({"image": jnp.concatenate(pictures, axis=-1), "label": label})
