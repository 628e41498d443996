"""The order of the examples, a pure function of (seed, step).

Nothing of it needs saving: a resumed run, or any process of many, asks for the step it is at.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Int32


def rows(seed: int, step: int, batch_size: int, size: int) -> Int32[np.ndarray, "B"]:
    """Chooses the examples of one training step.

    Each epoch visits the examples in a fresh order and each of them at most once: what is left
    after the last full batch is dropped.

    Args:
        seed: of the order, 0 or more.
        step: of the training, 0 or more; epochs follow each other without end.
        batch_size: B, at least 1 and at most `size`.
        size: number of examples.

    Returns:
        int32 [B], indices in 0..size-1, all different.
    """
    epoch, batch = divmod(step, size // batch_size)
    return _permutation(seed, epoch, size)[batch * batch_size : (batch + 1) * batch_size]


@lru_cache(maxsize=4)  # an epoch asks many times, and readers ahead of it ask for the next one
def _permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    order = np.random.default_rng([seed, epoch]).permutation(size).astype(np.int32)
    order.setflags(write=False)  # it is shared by all who ask
    return order
