"""How examples reach the training step.

A feed has two halves. On the host, `rows` returns what some steps need: indices, or the pictures
themselves. On the device, `batch` turns a step's row into its batch, as a pure function that is
traced into the compiled step.
"""

from collections.abc import Callable, Iterator
from copy import copy
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int32, Shaped

from jaxgan.data import order
from jaxgan.keys import stream
from jaxgan.types import Batch, DataSpec, Entry, Images, PRNGKey, PyTree

ALL = slice(None)  # of a batch
USUAL = ("image", "label", "source", "latent")  # names in a batch that `DataSpec` has fields for


@runtime_checkable
class Feed(Protocol):
    """Where the training loop gets its batches from."""

    @property
    def shape(self) -> tuple[int, ...]:
        """One example: (H, W, C) of an image, (D,) of a vector."""
        ...

    @property
    def size(self) -> int | None:
        """Number of examples; None if they are drawn rather than stored."""
        ...

    @property
    def classes(self) -> int | None:
        """Number of label classes; None if examples have no class labels."""
        ...

    @property
    def batch_size(self) -> int:
        """Examples in each batch, B."""
        ...

    @property
    def arrays(self) -> PyTree:
        """The arrays on the device: an argument of the compiled step, never closed over."""
        ...

    @property
    def longest(self) -> int:
        """The largest number of steps that `rows` returns at once."""
        ...

    def with_seed(self, seed: int) -> "Feed":
        """Returns a feed of the same examples, shared, in the order of another seed."""
        ...

    def with_batch_size(self, batch_size: int) -> "Feed":
        """Returns a feed of the same examples, shared, in the same order, in other batches."""
        ...

    def rows(self, start: int, stop: int, share: slice = ALL) -> PyTree:
        """Returns what the steps start..stop-1 need; on the host.

        Args:
            start: the first step, 0 or more.
            stop: the step after the last, at most `start + longest`.
            share: which examples of each batch.

        Returns:
            One row for each step: arrays [stop - start, b, ...] for the b examples of the share, or
            [stop - start] if nothing is read.
        """
        ...

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Makes the batch of one step; pure.

        Args:
            arrays: as in `arrays`.
            row: a step's row from `rows`, without the leading axis.
            key: a key used for nothing else.

        Returns:
            "image", float32 [b, ...] in the recipe's range, or "latent", float32 [b, ...]; "label",
            int32 [b], if the data set has labels; "source", float32 [b, ...], if it says what a
            picture is to be made from; "whole" and "patches", float32 [b, ...], if D is to learn
            what another network sees; and arrays [b, ...] by any other names, for a GAN's `inputs`,
            `view` or terms.
        """
        ...


def batch_like(feed: Feed) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of a feed's batches, by name."""
    rows = feed.rows(0, 1, slice(1))  # of one example: a batch can be large, and slow to read
    row = jax.tree.map(lambda rows: rows[0], rows)
    batch = jax.eval_shape(feed.batch, feed.arrays, row, jax.random.key(0))
    return {
        name: jax.ShapeDtypeStruct((feed.batch_size, *like.shape[1:]), like.dtype)
        for name, like in batch.items()
    }


def spec_of(feed: Feed) -> DataSpec:
    """Returns what a feed's examples look like: what a recipe's networks depend on."""
    like = batch_like(feed)
    source, latent = (
        like[name].shape[1:] if name in like else None for name in ("source", "latent")
    )
    autoencoder = getattr(feed, "autoencoder", None)  # which only feeds of latents have
    others = {name: x for name, x in sorted(like.items()) if name not in USUAL}
    entries = tuple(Entry(name, x.shape[1:], x.dtype.name) for name, x in others.items())
    return DataSpec(feed.shape, feed.classes, source, latent, autoencoder, entries)


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


def first_examples(feed: Feed, count: int, key: PRNGKey) -> Batch:
    """Makes the first examples of a feed at once.

    Args:
        feed: the feed, of batches of 1.
        count: how many, 1 or more. After the last one, the first come again.
        key: the key of the whole run, as in `batches`.

    Returns:
        A batch of `count` examples.
    """

    def one(arrays: PyTree, row: PyTree, step: Array) -> Batch:
        return feed.batch(arrays, row, stream(jax.random.fold_in(key, step), "data"))

    make = jax.jit(jax.vmap(one, (None, 0, 0)))
    parts = []
    for start in range(0, count, feed.longest):
        stop = min(start + feed.longest, count)
        parts.append(make(feed.arrays, feed.rows(start, stop), jnp.arange(start, stop)))
    return jax.tree.map(lambda *x: jnp.concatenate(x).squeeze(1), *parts)


def _as_stored(batch: Batch) -> Batch:
    return batch


class Resident:
    """A feed of examples that are all on the device, as they are stored; a step gathers some.

    Args:
        examples: `[N, ...]`: images `[N, H, W, C]`, mostly uint8, or vectors `[N, D]`.
        labels: int32 `[N]`, or None.
        batch_size: B, in 1..N.
        seed: of the order, 0 or more; None for the order of the examples.
        to_batch: makes the batch of a step from its examples as they are stored, "image"
            `[B, ...]` and "label", if there are any; pure. By default they are the batch.
        classes: number of label classes; None if the labels, if any, are no classes.
    """

    longest = 1024  # rows are small: 4 bytes an example

    def __init__(
        self,
        examples: Shaped[np.ndarray | Array, "N *shape"],
        labels: Int32[np.ndarray | Array, "N"] | None = None,
        *,
        batch_size: int,
        seed: int | None,
        to_batch: Callable[[Batch], Batch] = _as_stored,
        classes: int | None = None,
    ):
        self.size, *shape = examples.shape
        self.shape = tuple(shape)
        self.batch_size = batch_size
        self.classes = classes
        self.arrays = {"image": jnp.asarray(examples)}
        if labels is not None:
            self.arrays["label"] = jnp.asarray(labels)
        self.seed = seed
        self.to_batch = to_batch

    def with_seed(self, seed: int) -> "Resident":
        """Returns the same examples in another order; see `Feed`."""
        other = copy(self)
        other.seed = seed
        return other

    def with_batch_size(self, batch_size: int) -> "Resident":
        """Returns the same examples in other batches; see `Feed`."""
        other = copy(self)
        other.batch_size = batch_size
        return other

    def rows(self, start: int, stop: int, share: slice = ALL) -> Int32[np.ndarray, "T b"]:
        """Returns the indices of some steps' examples; see `Feed`."""
        steps = range(start, stop)
        batches = [order.rows(self.seed, t, self.batch_size, self.size) for t in steps]
        return np.stack([batch[share] for batch in batches])

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Gathers the examples, and makes the batch; see `Feed`."""
        del key
        return self.to_batch({name: array[row] for name, array in arrays.items()})


class Drawn:
    """A feed without a data set: a function draws the real examples.

    Args:
        draw: `draw(key, n)` returns n examples, float `[n, *shape]`; pure.
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
        """Returns the feed itself, which draws with the keys that `batch` gets; see `Feed`."""
        del seed
        return self

    def with_batch_size(self, batch_size: int) -> "Drawn":
        """Returns a feed that draws other batches; see `Feed`."""
        return Drawn(self._draw, self.shape, batch_size)

    def rows(self, start: int, stop: int, share: slice = ALL) -> Int32[np.ndarray, "T"]:
        """Numbers the steps; see `Feed`."""
        del share
        return np.arange(start, stop, dtype=np.int32)

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Draws a batch with this very key; see `Feed`."""
        del arrays, row
        return {"image": self._draw(key, self.batch_size)}
