"""Real examples of a recipe, made part by part, so that none needs to be kept."""

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Int32

from jaxgan.data import order, unscale
from jaxgan.data.feeds import Feed
from jaxgan.keys import from_seed, stream
from jaxgan.recipes import ImageRecipe, Recipe
from jaxgan.types import PRNGKey, PyTree

TOGETHER = 256  # made at once
PART = 1024  # read at once: a multiple of the images whose features are computed at once

Read = dict[str, np.ndarray]  # "image": uint8 [N, H, W, C] or float32 [N, D]; "label": int32 [N]


class _Seen(NamedTuple):
    """What is kept of examples that were read once."""

    digest: str
    labels: Int32[np.ndarray, "N"] | None


class Examples:
    """Real examples, which are made anew whenever they are read.

    Args:
        make: yields the examples from one place to before another, in order, some at a time.
        shape: of one example.
        start: the first place.
        stop: the place after the last.
    """

    def __init__(
        self,
        make: Callable[[int, int], Iterator[Read]],
        shape: tuple[int, ...],
        start: int,
        stop: int,
    ):
        self._make, self._start, self._stop = make, start, stop
        self.shape = (stop - start, *shape)

    def __len__(self) -> int:
        """Returns how many they are."""
        return self.shape[0]

    def __getitem__(self, part: slice) -> "Examples":
        """Returns some that follow each other, unread."""
        start, stop, _ = part.indices(len(self))
        start, stop = self._start + start, self._start + max(start, stop)
        return Examples(self._make, self.shape[1:], start, stop)

    def parts(self) -> Iterator[Read]:
        """Reads them in parts of `PART`, of which the last may be smaller."""
        held: Read = {}
        for made in self._make(self._start, self._stop):
            held = {
                name: np.concatenate([held[name], x]) if held else x for name, x in made.items()
            }
            while len(held["image"]) >= PART:
                yield {name: x[:PART] for name, x in held.items()}
                held = {name: x[PART:] for name, x in held.items()}
        if held and len(held["image"]):
            yield held

    def read(self) -> Read:
        """Reads all of them."""
        parts = list(self.parts())
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @property
    def digest(self) -> str:
        """What tells their values from others, as `digest_of` an array of them."""
        return self._seen.digest

    @property
    def labels(self) -> Int32[np.ndarray, "N"] | None:
        """Their labels, if the data set has any."""
        return self._seen.labels

    @cached_property
    def _seen(self) -> _Seen:
        sha, dtype, labels = hashlib.sha256(), None, []
        for part in self.parts():
            sha.update(np.ascontiguousarray(part["image"]).data)
            dtype = part["image"].dtype
            labels += [part["label"]] if "label" in part else []
        digest = f"{dtype} {self.shape} {sha.hexdigest()}"
        return _Seen(digest, np.concatenate(labels) if labels else None)


def digest_of(array: np.ndarray) -> str:
    """Tells an array from others."""
    digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    return f"{array.dtype} {array.shape} {digest}"


def real_examples(
    recipe: Recipe, count: int, seed: int = 0, data_dir: str | None = None
) -> np.ndarray:
    """Draws real examples of a recipe, all different, in a random order.

    Args:
        recipe: the recipe.
        count: number of examples; all of them if there are fewer.
        seed: of the choice.
        data_dir: TFDS's data directory; None for its default.

    Returns:
        uint8 images [N, H, W, C], or float32 [N, ...].

    Raises:
        UserError: if the data set is not available.
    """
    return real_batch(recipe, count, seed, data_dir)["image"]


def real_batch(recipe: Recipe, count: int, seed: int = 0, data_dir: str | None = None) -> Read:
    """Draws real examples as `real_examples` does, with their labels.

    Args:
        recipe: the recipe.
        count: number of examples; all of them if there are fewer.
        seed: of the choice.
        data_dir: TFDS's data directory; None for its default.

    Returns:
        "image": uint8 [N, H, W, C], or float32 [N, D]; and "label": int32 [N], if there are any.

    Raises:
        UserError: if the data set is not available.
    """
    return chooser(recipe, seed, data_dir)(count, 0).read()


def _in_whole_batches(feed: Feed) -> Feed:
    """Returns a feed whose epochs leave out no example: of batches that divide the data set."""
    if feed.size is None:
        return feed
    sizes = range(feed.batch_size, 0, -1)
    return feed.with_batch_size(next(size for size in sizes if feed.size % size == 0))


def chooser(
    recipe: Recipe, seed: int = 0, data_dir: str | None = None
) -> Callable[[int, int], Examples]:
    """Opens the real examples of a recipe, to choose from them several times.

    Args:
        recipe: the recipe.
        seed: of the choices.
        data_dir: TFDS's data directory; None for its default.

    Returns:
        A function of the number of examples and of the choice, from 0, that returns as many, or, if
        there are fewer, all of them. Choices are independent of each other; the first is that of
        `real_batch`.

    Raises:
        UserError: if the data set is not available.
    """
    opened = _in_whole_batches(recipe.examples(seed, data_dir))

    @jax.jit
    def make(arrays: PyTree, rows: PyTree, first: Array, key: PRNGKey) -> dict[str, Array]:
        def make_one(step_and_row: tuple[Array, PyTree]) -> dict[str, Array]:
            step, row = step_and_row
            own = stream(jax.random.fold_in(key, step), "evaluation")
            batch = opened.batch(arrays, row, own)
            return {name: batch[name] for name in ("image", "label") if name in batch}

        numbers = first + jnp.arange(len(jax.tree.leaves(rows)[0]))
        made = lax.map(make_one, (numbers, rows))
        return {name: x.reshape(-1, *x.shape[2:]) for name, x in made.items()}

    def make_from(feed: Feed, key: PRNGKey, start: int, stop: int) -> Iterator[Read]:
        size = feed.batch_size
        together = min(feed.longest, max(1, TOGETHER // size))
        end = math.ceil(stop / size)
        for step in range(start // size, end, together):
            rows = feed.rows(step, min(step + together, end))
            batch = make(feed.arrays, rows, step, key)
            if isinstance(recipe, ImageRecipe):
                batch["image"] = unscale(batch["image"], *recipe.value_range)
            wanted = slice(max(start - step * size, 0), stop - step * size)
            yield {name: x[wanted] for name, x in jax.device_get(batch).items()}

    def choose(count: int, choice: int) -> Examples:
        feed, key = opened, from_seed(seed)
        if choice:
            name = f"choice_{choice}"
            feed, key = opened.with_seed(order.named(seed, name)), stream(key, name)
        if feed.size is not None:
            count = min(count, feed.size)
        return Examples(partial(make_from, feed, key), feed.shape, 0, count)

    return choose
