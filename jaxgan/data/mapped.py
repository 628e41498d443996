"""A feed whose batches a function changes on the device: jitter, degradations.

jitter = of_batch(augment.jitter())
Mapped(pairs, jointly(jitter))
Unpaired(Mapped(target, on_images(jitter)), Mapped(source, on_images(jitter)), seed)
Mapped(feed, degraded(of_batch(degradations.blur(1.5))))
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgan.data.feeds import ALL, Feed, batch_like
from jaxgan.keys import stream
from jaxgan.types import Batch, Images, PRNGKey, PyTree

# Those that draw should draw by `jaxgan.keys.per_example`, as those of `augment.of_batch` do.
Change = Callable[[Images, PRNGKey], Images]  # pure, as are changes of whole batches
BatchChange = Callable[[Batch, PRNGKey], Batch]


class Mapped:
    """A feed of what a function makes of another feed's batches.

    Args:
        feed: the other feed.
        change: the function; traced into the step, with a key for each step.
    """

    def __init__(self, feed: Feed, change: BatchChange):
        self.size, self.classes, self.arrays = feed.size, feed.classes, feed.arrays
        self.batch_size, self.longest = feed.batch_size, feed.longest
        self.autoencoder = getattr(feed, "autoencoder", None)  # which only feeds of latents have
        self._feed, self._change = feed, change
        changed = jax.eval_shape(change, batch_like(feed), jax.random.key(0))
        self.shape: tuple[int, ...] = (
            changed["image"].shape[1:] if "image" in changed else feed.shape
        )

    def with_seed(self, seed: int) -> "Mapped":
        """Returns the same of the other feed's examples in another order; see `Feed`."""
        return Mapped(self._feed.with_seed(seed), self._change)

    def with_batch_size(self, batch_size: int) -> "Mapped":
        """Returns the same in other batches; see `Feed`."""
        return Mapped(self._feed.with_batch_size(batch_size), self._change)

    def rows(self, start: int, stop: int, share: slice = ALL) -> PyTree:
        """Returns what the other feed needs for some steps; see `Feed`."""
        return self._feed.rows(start, stop, share)

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Makes the other feed's batch, and changes it; see `Feed`."""
        return self._change(self._feed.batch(arrays, row, stream(key, "feed")), key)


def on_images(change: Change) -> BatchChange:
    """Makes a change of batches of one of their images.

    Args:
        change: `(images [B, H, W, C], key) -> images`.

    Returns:
        The change of a batch's "image".
    """
    return lambda batch, key: {**batch, "image": change(batch["image"], key)}


def jointly(change: Change) -> BatchChange:
    """Makes a change of pairs, which draws the same for both pictures of a pair.

    Args:
        change: `(images [B, H, W, C], key) -> images`, for any number of channels.

    Returns:
        The change of a batch's "image" and "source", of which it sees the channels together.
    """

    def apply(batch: Batch, key: PRNGKey) -> Batch:
        channels = batch["image"].shape[-1]
        both = change(jnp.concatenate([batch["image"], batch["source"]], axis=-1), key)
        return {**batch, "image": both[..., :channels], "source": both[..., channels:]}

    return apply


def degraded(degrade: Change) -> BatchChange:
    """Makes a change of any batches to pairs: of pictures, and of what is left of them.

    Args:
        degrade: `(images [B, H, W, C], key) -> images`, such as
            `augment.of_batch(degradations.blur(1.5))`.

    Returns:
        The change that adds "source", the degraded pictures, to a batch.
    """
    return lambda batch, key: {**batch, "source": degrade(batch["image"], key)}
