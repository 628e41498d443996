"""Where examples come from: the words a user names a data set with, and what a data set offers."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32, UInt8

from jaxgan.data.folder import open_folder
from jaxgan.data.tfds import open_tfds
from jaxgan.util.errors import UserError

MNIST = re.compile(r"mnist(@(?P<split>.+))?")
TFDS = re.compile(r"tfds:(?P<name>\w+(/[\w+.-]+)?(:[\d*]+(\.[\d*]+){2})?)(@(?P<split>.+))?")
FOLDER = re.compile(r"folder:(?P<path>.+)")
OUR_MNIST = "jaxgan_mnist:1.0.0"  # jaxgan.data.mnist.builder, prepared by this version of it
GRAMMAR = "mnist[@SPLIT], tfds:NAME[/CONFIG][:VERSION][@SPLIT] or folder:PATH"


@runtime_checkable
class Source(Protocol):
    """A fixed number of pictures of one shape, in a fixed order, decoded when they are read."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every picture; C is 1 or 3."""
        ...

    @property
    def classes(self) -> int | None:
        """Number of classes that labels count; None where there are no such labels."""
        ...

    @property
    def cache(self) -> Path | None:
        """The file that may keep the decoded pictures; None where they can change at any time."""
        ...

    def __len__(self) -> int: ...

    def read(
        self, indices: Iterable[int]
    ) -> tuple[UInt8[np.ndarray, "N H W C"], Int32[np.ndarray, "N"] | None]:
        """Decodes some pictures. Safe to call from several threads.

        Args:
            indices: N integers in 0..len-1, at least one.

        Returns:
            The pictures, uint8 [N, H, W, C], and their labels, int32 [N], or None where the data
            set has none.

        Raises:
            UserError: a picture cannot be read; the message names it.
        """
        ...


def name_and_split(spec: str) -> tuple[str, str]:
    """Takes a spec of `open_source` apart.

    Args:
        spec: the spec.

    Returns:
        What it calls the data set, and the split, which is "all" of a folder.
    """
    for form in (MNIST, TFDS):
        if match := form.fullmatch(spec):
            return spec.partition("@")[0], match["split"] or "train"
    return spec, "all"


def open_source(
    spec: str, *, image_size: int | None, default_size: int, data_dir: str | None
) -> Source:
    """Opens the data set that a spec names, and prepares it on the disk if that is still to do.

    Args:
        spec: `mnist`, `tfds:NAME[/CONFIG][:VERSION]`, both with an optional `@SPLIT` (a TFDS split
            such as `test` or `train[5000:]`; `train` if left out), or `folder:PATH`.
        image_size: side of the square that pictures are resized to; None leaves pictures that all
            have one size as they are.
        default_size: this side where `image_size` is None and the pictures differ in size.
        data_dir: TFDS's data directory; None means $TFDS_DATA_DIR or ~/tensorflow_datasets.

    Returns:
        A source of at least one example.

    Raises:
        UserError: the spec is malformed, or there is no such data set, or it cannot be had.
    """
    if match := MNIST.fullmatch(spec):
        split = match["split"] or "train"
        return open_tfds(OUR_MNIST, split, image_size, default_size, data_dir)
    if match := TFDS.fullmatch(spec):
        name, split = match["name"], match["split"] or "train"
        return open_tfds(name, split, image_size, default_size, data_dir)
    if match := FOLDER.fullmatch(spec):
        return open_folder(Path(match["path"]), image_size or default_size)
    raise UserError(f"cannot tell what data {spec!r} is; write {GRAMMAR}")
