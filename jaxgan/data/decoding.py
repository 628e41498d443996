"""Decodes all pictures of a source at once, and caches the result where the source allows it."""

import contextlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8
from tqdm import tqdm

from jaxgan.data.sources import Source
from jaxgan.util.files import open_regular

CHUNK = 256  # pictures that a thread reads at a time
NO_LABELS = np.empty(0, np.int32)  # in a cache

Decoded = tuple[UInt8[np.ndarray, "N H W C"], Int32[np.ndarray, "N"] | None]


def decode(source: Source, cache: Path | None) -> Decoded:
    """Decodes every picture of a source, or loads them from the cache.

    Args:
        source: N pictures of shape (H, W, C).
        cache: an .npz file of the pictures, which is written if it is missing or cannot be read;
            None for no cache.

    Returns:
        The pictures, uint8 [N, H, W, C], and their labels, int32 [N], or None if there are none.

    Raises:
        UserError: if a picture cannot be read; the message names it.
    """
    cached = _load(cache, (len(source), *source.shape)) if cache else None
    if cached is not None:
        return cached
    decoded = _decode(source)
    if cache:
        _save(cache, decoded)
    return decoded


def _decode(source: Source) -> Decoded:
    images = np.empty((len(source), *source.shape), np.uint8)
    labels = np.empty(len(source), np.int32)

    def fill(start: int) -> bool:
        chunk = slice(start, min(start + CHUNK, len(source)))
        images[chunk], found = source.read(range(chunk.start, chunk.stop))
        if found is not None:
            labels[chunk] = found
        return found is not None

    starts = range(0, len(source), CHUNK)
    # A progress bar on a terminal, for what takes more than two seconds.
    bar = {"desc": "Decoding", "leave": False, "delay": 2, "disable": None}
    with ThreadPoolExecutor() as pool:
        labeled = list(tqdm(pool.map(fill, starts), total=len(starts), **bar))
    return images, labels if all(labeled) else None


def _load(cache: Path, shape: tuple[int, ...]) -> Decoded | None:
    try:
        with open_regular(cache) as file, np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]  # verifies checksums
    except Exception:  # whatever it is: the pictures can be decoded again
        return None
    if images.shape != shape or images.dtype != np.uint8 or labels.dtype != np.int32:
        return None
    if labels.shape not in (shape[:1], NO_LABELS.shape):
        return None
    return images, labels if labels.size else None


def _save(cache: Path, decoded: Decoded) -> None:
    images, labels = decoded
    labels = NO_LABELS if labels is None else labels
    unfinished = cache.with_name(f"{cache.name}.{os.getpid()}")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, "wb") as file:
            np.savez(file, images=images, labels=labels)
        os.replace(unfinished, cache)
    except OSError as error:  # such as a full disk or a read-only data directory
        logging.getLogger(__name__).warning("the decoded pictures are not cached: %s", error)
        with contextlib.suppress(OSError):
            unfinished.unlink()
