"""Two feeds as one, whose examples hold a picture of each: in the same order they are pairs."""

from copy import copy

from jaxgan.data import order
from jaxgan.data.feeds import ALL, Feed
from jaxgan.keys import stream
from jaxgan.types import Batch, PRNGKey, PyTree
from jaxgan.util.errors import UserError


class Pairs:
    """A feed of pairs: pictures to be made, the targets, and what each is to be made from.

    A batch has the targets as "image", the sources as "source", and the labels of the targets.

    Args:
        target: the pictures to be made.
        source: as many pictures, as high and as wide, in the same order, of the same seed.

    Raises:
        UserError: if they differ in number or size.
    """

    def __init__(self, target: Feed, source: Feed):
        _check_sizes(target, source)
        if target.size != source.size:
            raise UserError(
                f"{target.size} pictures cannot be made from {source.size}: a pair needs both"
            )
        self.size = target.size
        self._join(target, source)

    def _join(self, target: Feed, source: Feed) -> None:
        self.shape, self.classes = target.shape, target.classes
        self.batch_size = target.batch_size
        self.arrays = target.arrays, source.arrays
        self.longest = min(target.longest, source.longest)
        self._target, self._source = target, source

    def with_seed(self, seed: int) -> "Pairs":
        """Returns the same pairs in another order; see `jaxgan.data.feeds.Feed`."""
        other = copy(self)
        other._join(self._target.with_seed(seed), self._source.with_seed(seed))
        return other

    def with_batch_size(self, batch_size: int) -> "Pairs":
        """Returns the same examples in other batches; see `jaxgan.data.feeds.Feed`."""
        other = copy(self)
        target, source = (feed.with_batch_size(batch_size) for feed in (self._target, self._source))
        other._join(target, source)
        return other

    def rows(self, start: int, stop: int, share: slice = ALL) -> tuple[PyTree, PyTree]:
        """Returns what both need for some steps; see `jaxgan.data.feeds.Feed`."""
        return self._target.rows(start, stop, share), self._source.rows(start, stop, share)

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Makes a batch of each, and puts them together; see `jaxgan.data.feeds.Feed`."""
        target = self._target.batch(arrays[0], row[0], key)
        source = self._source.batch(arrays[1], row[1], stream(key, "source"))
        return {**target, "source": source["image"]}


class Unpaired(Pairs):
    """A feed of two sets of pictures, each in an order of its own; otherwise as `Pairs`.

    An epoch is one of the larger set. Meanwhile the smaller one begins anew.

    Args:
        target: the pictures whose like is to be made.
        source: other pictures, as high and as wide, that they are to be made from.
        seed: of both orders, 0 or more.

    Raises:
        UserError: if they differ in size.
    """

    def __init__(self, target: Feed, source: Feed, seed: int):
        _check_sizes(target, source)
        self._join(target.with_seed(seed), source.with_seed(order.named(seed, "source")))
        sizes = [feed.size for feed in (target, source) if feed.size is not None]
        self.size = max(sizes, default=None)

    def with_seed(self, seed: int) -> "Unpaired":
        """Returns the same pictures in two other orders; see `jaxgan.data.feeds.Feed`."""
        return Unpaired(self._target, self._source, seed)


def _check_sizes(target: Feed, source: Feed) -> None:
    one, other = (" x ".join(map(str, feed.shape[:2])) for feed in (source, target))
    if one != other:
        raise UserError(
            f"pictures of {other} cannot be made from pictures of {one}: choose one size for both "
            "with image_size"
        )
