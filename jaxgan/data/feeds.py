"""How examples reach the training step.

A feed has two halves. On the host, `rows` names or reads what some steps need. On the device,
`batch` makes a step's batch of it: a pure function, traced into the compiled step.
"""

from collections.abc import Callable, Iterator
from copy import copy
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32, UInt8

from jaxgan.data import order
from jaxgan.data.scaling import scale
from jaxgan.keys import stream
from jaxgan.types import Batch, Images, PRNGKey, PyTree

ALL = slice(None)  # of a batch


@runtime_checkable
class Feed(Protocol):
    """What the training loop takes its batches from."""

    @property
    def shape(self) -> tuple[int, ...]:
        """One example: (H, W, C) of an image, (D,) of a vector."""
        ...

    @property
    def size(self) -> int | None:
        """Number of examples; None where examples are drawn, not stored."""
        ...

    @property
    def classes(self) -> int | None:
        """Number of label classes; None where examples have no such labels."""
        ...

    @property
    def batch_size(self) -> int:
        """Examples in each batch, B."""
        ...

    @property
    def arrays(self) -> PyTree:
        """What lives on the device: an argument of the compiled step, never closed over."""
        ...

    @property
    def longest(self) -> int:
        """The most steps that one call of `rows` may ask for."""
        ...

    def with_seed(self, seed: int) -> "Feed":
        """Makes a feed of the same examples, which it shares, in the order of another seed."""
        ...

    def rows(self, start: int, stop: int, share: slice = ALL) -> PyTree:
        """Reads what the steps start..stop-1 need; on the host.

        Args:
            start: the first step, 0 or more.
            stop: the step after the last, at most `start + longest`.
            share: which examples of each batch to read.

        Returns:
            One row for each step: arrays [stop - start, b, ...] for the b examples of the share, or
            [stop - start] where nothing is read.
        """
        ...

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Makes the batch of one step; pure.

        Args:
            arrays: as in `arrays`.
            row: a step's row of `rows`, without the leading axis.
            key: a key for this step and purpose alone.

        Returns:
            "image", float32 [b, ...] in the recipe's range, and "label", int32 [b], where the data
            set has labels.
        """
        ...


def batches(feed: Feed, key: PRNGKey, start: int, stop: int) -> Iterator[Batch]:
    """Yields a feed's batches one by one, for a training loop of your own.

        for batch in batches(feed, key, int(state.step), 1000):
            state, metrics = step(state, batch, key)

    They are the batches that `jaxgan train` with this key would take, so a loop that goes on from a
    saved state sees what it would have seen.

    Args:
        feed: the feed.
        key: the key of the whole run; a feed that draws its examples draws them from it.
        start: the first step, 0 or more.
        stop: the step after the last.

    Yields:
        The batch of each step.
    """
    make = jax.jit(feed.batch)
    for step in range(start, stop):
        row = jax.tree.map(lambda rows: rows[0], feed.rows(step, step + 1))
        yield make(feed.arrays, row, stream(jax.random.fold_in(key, step), "data"))


class Resident:
    """A feed of pictures that all fit on the device, as uint8; a step gathers and scales its own.

    Args:
        images: uint8 [N, H, W, C].
        labels: int32 [N], or None.
        batch_size: B, in 1..N.
        seed: of the order, 0 or more.
        low: the value of black in a batch.
        high: the value of white in a batch.
        classes: number of label classes, or None.
    """

    longest = 1024  # rows are small: 4 bytes an example

    def __init__(
        self,
        images: UInt8[np.ndarray, "N H W C"],
        labels: Int32[np.ndarray, "N"] | None,
        batch_size: int,
        seed: int,
        low: float,
        high: float,
        classes: int | None = None,
    ):
        self.size, *shape = images.shape
        self.shape = tuple(shape)
        self.batch_size = batch_size
        self.classes = classes
        self.arrays = {"image": jnp.asarray(images)}
        if labels is not None:
            self.arrays["label"] = jnp.asarray(labels)
        self.seed = seed
        self.value_range = (low, high)

    def with_seed(self, seed: int) -> "Resident":
        """Gives the pictures in another order; see `Feed`."""
        other = copy(self)
        other.seed = seed
        return other

    def rows(self, start: int, stop: int, share: slice = ALL) -> Int32[np.ndarray, "T b"]:
        """Names the examples of some steps; see `Feed`."""
        steps = range(start, stop)
        batches = [order.rows(self.seed, t, self.batch_size, self.size) for t in steps]
        return np.stack([batch[share] for batch in batches])

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Gathers and scales the named examples; see `Feed`."""
        del key
        batch = {name: array[row] for name, array in arrays.items()}
        return batch | {"image": scale(batch["image"], *self.value_range)}


class Drawn:
    """A feed without a data set: a function draws as many real examples as are wanted.

    Args:
        draw: `draw(key, n)` returns n examples, float [n, *shape]; pure.
        shape: of one example.
        batch_size: B, 1 or more.
    """

    size = None
    classes = None
    arrays = ()
    longest = 1024

    def __init__(
        self, draw: Callable[[PRNGKey, int], Images], shape: tuple[int, ...], batch_size: int
    ):
        self.shape = shape
        self.batch_size = batch_size
        self._draw = draw

    def with_seed(self, seed: int) -> "Drawn":
        """Gives itself: what is drawn depends on the keys that `batch` gets; see `Feed`."""
        del seed
        return self

    def rows(self, start: int, stop: int, share: slice = ALL) -> Int32[np.ndarray, "T"]:
        """Numbers the steps; see `Feed`."""
        del share
        return np.arange(start, stop, dtype=np.int32)

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Draws a batch with the key as it is; see `Feed`."""
        del arrays, row
        return {"image": self._draw(key, self.batch_size)}
