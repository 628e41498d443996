"""A feed of data sets that are too large for the device: Grain reads them ahead of training."""

import math
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxgan.data import order
from jaxgan.data.failures import system_failures
from jaxgan.data.feeds import ALL
from jaxgan.data.sources import Source
from jaxgan.types import Batch, PRNGKey, PyTree

CHUNK = 16  # steps
CHUNK_BYTES = 1 << 28  # a chunk is smaller if it would have more; as much again is read ahead


class Stream:
    """A feed that reads the batches of the next steps in threads, in the order of `Resident`.

    The batch of a step depends on the seed and the step alone, so reading can start at any step.
    It is fast for consecutive steps; a jump restarts the threads.

    Args:
        source: N examples.
        batch_size: B, in 1..N.
        seed: of the order, 0 or more; None for the order of the source.
        to_batch: makes the batch of a step from its examples as they are stored, "image"
            `[B, H, W, C]` and "label", if there are any; pure.
    """

    arrays = ()

    def __init__(
        self,
        source: Source,
        batch_size: int,
        seed: int | None,
        to_batch: Callable[[Batch], Batch],
    ):
        self.shape = source.shape
        self.size = len(source)
        self.classes = source.classes
        self.batch_size = batch_size
        bytes_per_step = batch_size * math.prod(source.shape)
        self.longest = max(1, min(CHUNK, CHUNK_BYTES // bytes_per_step))
        self._source = source
        self._seed, self._to_batch = seed, to_batch
        self._next: int | None = None  # the step that the iterator returns next
        self._share = ALL  # which part of each batch it reads
        self._batches: Any = None  # a grain.DatasetIterator

    def with_seed(self, seed: int) -> "Stream":
        """Returns a feed in another order, with its own threads; see `jaxgan.data.feeds.Feed`."""
        return Stream(self._source, self.batch_size, seed, self._to_batch)

    def with_batch_size(self, batch_size: int) -> "Stream":
        """Returns a feed of other batches, with its own threads; see `jaxgan.data.feeds.Feed`."""
        return Stream(self._source, batch_size, self._seed, self._to_batch)

    def rows(self, start: int, stop: int, share: slice = ALL) -> PyTree:
        """Reads the examples, and labels, of some steps; see `jaxgan.data.feeds.Feed`.

        Raises:
            UserError: if a picture cannot be read; the message names it.
        """
        with system_failures("the data set"):
            if (start, share) != (self._next, self._share):
                if self._batches is not None:
                    self._batches.close()
                self._share = share
                self._batches = self._read_from(start)
            self._next = None  # so that a failed read restarts the threads
            steps = [next(self._batches) for _ in range(start, stop)]
        self._next = stop
        return {name: np.stack([step[name] for step in steps]) for name in steps[0]}

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Makes the batch of the examples of one step; see `jaxgan.data.feeds.Feed`."""
        del arrays, key
        return self._to_batch(row)

    def _read_from(self, step: int) -> Any:
        import grain  # takes 0.4 s, and most runs are Resident

        threads = min(os.cpu_count() or 1, self.longest)
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=self.longest)
        steps = grain.MapDataset.range(step, sys.maxsize)
        return iter(steps.map(self._read).to_iter_dataset(options))

    def _read(self, step: int) -> dict[str, np.ndarray]:
        indices = order.rows(self._seed, step, self.batch_size, self.size)[self._share]
        images, labels = self._source.read(indices.tolist())
        return {"image": images} if labels is None else {"image": images, "label": labels}
