"""The order of the examples, a pure function of (seed, step).

So there is nothing to save: a resumed run, or any of several processes, asks for its step.
"""

import zlib
from functools import lru_cache

import numpy as np
from jaxtyping import Int32


def rows(seed: int | None, step: int, batch_size: int, size: int) -> Int32[np.ndarray, "B"]:
    """Returns the examples of one training step.

    Each epoch visits each example at most once, in a new order, and drops the remainder after the
    last full batch.

    Args:
        seed: of the order, 0 or more; None for the order of the data set.
        step: of the training, 0 or more.
        batch_size: B, at least 1 and at most `size`.
        size: number of examples.

    Returns:
        int32 [B], indices in 0..size-1, all different.
    """
    epoch, batch = divmod(step, size // batch_size)
    return _permutation(seed, epoch, size)[batch * batch_size : (batch + 1) * batch_size]


def named(seed: int, name: str) -> int:
    """Derives the seed of another order, independent of the one of the seed itself.

    Args:
        seed: of an order, 0 or more.
        name: what the other order is of.

    Returns:
        A seed, at least 2**32: none that a run can be given.
    """
    return seed + (zlib.crc32(name.encode()) << 32)


@lru_cache(maxsize=4)  # used by every step of an epoch, and by steps read ahead
def _permutation(seed: int | None, epoch: int, size: int) -> np.ndarray:
    order = np.arange(size, dtype=np.int32)
    if seed is not None:
        order = np.random.default_rng([seed, epoch]).permutation(size).astype(np.int32)
    order.setflags(write=False)  # shared by all callers
    return order
