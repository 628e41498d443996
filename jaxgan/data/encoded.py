"""Data sets of latents: what an autoencoder made of pictures, once, for GANs to learn from.

A folder holds

latents.npy          float16 [N, h, w, C], in the order of the pictures
labels.npy           int32 [N], if the pictures have labels
latents.json         which pictures these are, and what encoded them
decoder.safetensors  the weights that make pictures of them (see `jaxgan.interop.load_variables`)

`jaxgan encode` makes one. Nothing in it is executed when it is read.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Float16, Int32

from jaxgan.data.failures import system_failures
from jaxgan.data.feeds import ALL, Feed, Resident
from jaxgan.data.stream import Stream
from jaxgan.types import Batch, PRNGKey, PyTree
from jaxgan.util.errors import UserError
from jaxgan.util.files import read_bytes, write_atomically
from jaxgan.util.parsing import decode

LATENTS, LABELS, ORIGIN = "latents.npy", "labels.npy", "latents.json"
DECODER = "decoder.safetensors"


class Part(NamedTuple):
    """Some examples."""

    latents: Float16[np.ndarray, "N h w C"]
    labels: Int32[np.ndarray, "N"] | None  # None if there are none


@dataclass(frozen=True)
class Origin:
    """What a data set of latents was made of."""

    data: str  # the name of the data set of pictures (see `jaxgan.data.load`)
    image_size: int | None  # that pictures were resized to
    shape: tuple[int, int, int]  # of a picture, (H, W, C)
    classes: int | None  # of the labels
    autoencoder: str  # what encoded the pictures


def write_latents(
    folder: Path,
    origin: Origin,
    size: int,
    parts: Iterator[Part],
) -> None:
    """Writes latents, labels, and where they come from.

    Args:
        folder: an empty one.
        origin: of the latents.
        size: how many.
        parts: latents and labels, at least one part.

    Raises:
        OSError: if that fails, for example since the disk is full.
    """
    labels: list[np.ndarray] = []
    with open(folder / LATENTS, "wb") as file:
        for latents, own in parts:
            if not file.tell():
                shape = (size, *latents.shape[1:])
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(latents, "<f2").tobytes())
            labels += [] if own is None else [own]
    if labels:
        np.save(folder / LABELS, np.concatenate(labels), allow_pickle=False)
    write_atomically(folder / ORIGIN, json.dumps(asdict(origin), indent=2).encode())


@dataclass(frozen=True)
class _Latents:
    """A folder of latents as a source, which reads them from the disk; see `Source`."""

    latents: Float16[np.ndarray, "N h w C"]
    labels: Int32[np.ndarray, "N"] | None
    classes: int | None
    cache: None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, C) of the latents of one picture."""
        _, *shape = self.latents.shape
        height, width, channels = shape
        return height, width, channels

    def __len__(self) -> int:
        return len(self.latents)

    def read(self, indices: Iterable[int]) -> Part:
        """Reads some of them; see `Source`."""
        rows = np.fromiter(indices, np.int64)
        return Part(self.latents[rows], None if self.labels is None else self.labels[rows])


class Encoded:
    """A feed of latents whose shape is that of the pictures that they were made of.

    Args:
        feed: of the latents.
        origin: of the latents.
    """

    def __init__(self, feed: Resident | Stream, origin: Origin):
        self.shape: tuple[int, ...] = origin.shape
        self.autoencoder = origin.autoencoder
        self.size, self.classes, self.arrays = feed.size, feed.classes, feed.arrays
        self.batch_size, self.longest = feed.batch_size, feed.longest
        self._feed, self._origin = feed, origin

    def with_seed(self, seed: int) -> "Encoded":
        """Returns the same latents in another order; see `jaxgan.data.feeds.Feed`."""
        return Encoded(self._feed.with_seed(seed), self._origin)

    def with_batch_size(self, batch_size: int) -> "Encoded":
        """Returns the same latents in other batches; see `jaxgan.data.feeds.Feed`."""
        return Encoded(self._feed.with_batch_size(batch_size), self._origin)

    def rows(self, start: int, stop: int, share: slice = ALL) -> PyTree:
        """Returns what some steps need; see `jaxgan.data.feeds.Feed`."""
        return self._feed.rows(start, stop, share)

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Makes the batch of one step; see `jaxgan.data.feeds.Feed`."""
        return self._feed.batch(arrays, row, key)


class Taught:
    """A feed of latents, with what another network sees in their pictures.

    Batches have, besides what those of the latents have, what `look` returns: "whole" `[B, F]` and
    "patches" `[B, h, w, F]`, for a discriminator to learn (see `jaxgan.models.gat`).

    Args:
        latents: of the pictures.
        pictures: in [-1, 1], of the same number, batch size and seed.
        look: maps images `[B, H, W, C]` in [0, 1] to arrays by name; a `jax.tree_util.Partial`,
            whose arrays are arguments of the compiled step as those of the feeds are.

    Raises:
        UserError: if there are more or fewer pictures than latents.
    """

    def __init__(self, latents: Encoded, pictures: Feed, look: Partial):
        if latents.size != pictures.size:
            raise UserError(
                f"there are latents of {latents.size} pictures, but now the data set has "
                f"{pictures.size}: encode it again by `jaxgan encode`"
            )
        self.shape, self.size, self.classes = latents.shape, latents.size, latents.classes
        self.autoencoder, self.batch_size = latents.autoencoder, latents.batch_size
        self.longest = min(latents.longest, pictures.longest)
        self.arrays = latents.arrays, pictures.arrays, look
        self._latents, self._pictures, self._look = latents, pictures, look

    def with_seed(self, seed: int) -> "Taught":
        """Returns the same in another order; see `jaxgan.data.feeds.Feed`."""
        return Taught(self._latents.with_seed(seed), self._pictures.with_seed(seed), self._look)

    def with_batch_size(self, batch_size: int) -> "Taught":
        """Returns the same in other batches; see `jaxgan.data.feeds.Feed`."""
        pictures = self._pictures.with_batch_size(batch_size)
        return Taught(self._latents.with_batch_size(batch_size), pictures, self._look)

    def rows(self, start: int, stop: int, share: slice = ALL) -> PyTree:
        """Returns what some steps need; see `jaxgan.data.feeds.Feed`."""
        return tuple(feed.rows(start, stop, share) for feed in (self._latents, self._pictures))

    def batch(self, arrays: PyTree, row: PyTree, key: PRNGKey) -> Batch:
        """Makes the batch of one step; see `jaxgan.data.feeds.Feed`."""
        latents, pictures, look = arrays
        seen = self._pictures.batch(pictures, row[1], key)["image"]
        return {**self._latents.batch(latents, row[0], key), **look((seen + 1) / 2)}


def read_origin(folder: Path) -> Origin:
    """Reads where latents come from.

    Args:
        folder: of the latents.

    Returns:
        What `write_latents` wrote.

    Raises:
        UserError: if this is no folder of latents, or its description is damaged.
    """
    try:
        return decode(read_bytes(folder / ORIGIN), Origin)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder} holds no latents, as it has no {ORIGIN}: make some by `jaxgan encode`"
        ) from None
    except UserError as error:
        raise UserError(f"{folder / ORIGIN} is damaged: {error}") from None


def load_latents(
    folder: Path, *, batch_size: int, seed: int | None = 0, resident_bytes: int = 2 << 30
) -> Encoded:
    """Opens latents for training.

    Args:
        folder: of the latents.
        batch_size: examples per step, at most as many as there are.
        seed: of the order, 0 or more; None for that of the pictures.
        resident_bytes: at most this many bytes are kept on the device; more are streamed.

    Returns:
        A feed of "latent", float32 `[B, h, w, C]`, and "label", if there are labels. Its `shape` is
        that of the pictures. The order is that of a feed of the pictures with the same seed.

    Raises:
        UserError: if this is no folder of latents, or it is damaged.
    """
    origin = read_origin(folder)
    with system_failures(folder):
        latents = _array(folder / LATENTS)
        labels = None if origin.classes is None else np.asarray(_array(folder / LABELS))
    if latents.dtype != np.float16 or latents.ndim != 4 or not latents.size:
        raise _damaged(folder / LATENTS, f"it holds {latents.dtype} {list(latents.shape)}")
    if labels is not None:
        right = labels.dtype == np.int32 and labels.shape == latents.shape[:1]
        if not right or not ((labels >= 0) & (labels < (origin.classes or 0))).all():
            raise _damaged(folder / LABELS, "it holds no class of each picture")
    if batch_size > len(latents):
        raise UserError(
            f"the batch size {batch_size} is larger than the {len(latents)} examples of {folder}; "
            "choose a smaller --batch-size or more data"
        )
    source = _Latents(latents, labels, origin.classes)
    if math.prod(latents.shape) * latents.itemsize <= resident_bytes:
        feed = Resident(
            np.asarray(latents),
            labels,
            batch_size=batch_size,
            seed=seed,
            to_batch=_as_latents,
            classes=origin.classes,
        )
    else:
        feed = Stream(source, batch_size, seed, _as_latents)
    return Encoded(feed, origin)


def _as_latents(stored: Batch) -> Batch:
    """Makes a batch of latents, which it holds as "latent" in the place of "image"."""
    batch = dict(stored)
    return {"latent": batch.pop("image").astype(jnp.float32), **batch}


def _array(path: Path) -> np.ndarray:
    try:
        return np.lib.format.open_memmap(path, "r")
    except FileNotFoundError as error:
        raise _damaged(path, "there is no such file") from error
    except (ValueError, EOFError) as error:  # of another format, pickled, or cut off
        raise _damaged(path, str(error).partition("\n")[0]) from None


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is damaged ({why}): make the latents again by `jaxgan encode`")
