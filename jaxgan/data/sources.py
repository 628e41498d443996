"""Sources of examples, and the specs by which users name them."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32, UInt8

from jaxgan.data.folder import open_folder
from jaxgan.data.tfds import open_tfds
from jaxgan.util.errors import UserError

OURS = re.compile(r"(?P<name>mnist|openmoji)(@(?P<split>.+))?")
TFDS = re.compile(r"tfds:(?P<name>\w+(/[\w+.-]+)?(:[\d*]+(\.[\d*]+){2})?)(@(?P<split>.+))?")
FOLDER = re.compile(r"folder:(?P<path>.+)")
# What prepares the data sets that come with the package: this version of jaxgan.data.NAME.builder.
BUILDERS = {"mnist": "jaxgan_mnist:1.0.0", "openmoji": "jaxgan_openmoji:1.0.0"}
GRAMMAR = "mnist[@SPLIT], openmoji[@SPLIT], tfds:NAME[/CONFIG][:VERSION][@SPLIT] or folder:PATH"


@runtime_checkable
class Source(Protocol):
    """A fixed number of pictures of one shape, in a fixed order, decoded on reading."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every picture; C is 1 or 3."""
        ...

    @property
    def classes(self) -> int | None:
        """Number of label classes; None if there are no class labels."""
        ...

    @property
    def cache(self) -> Path | None:
        """The file for the decoded pictures; None if they may change from run to run."""
        ...

    def __len__(self) -> int: ...

    def read(
        self, indices: Iterable[int]
    ) -> tuple[UInt8[np.ndarray, "N H W C"], Int32[np.ndarray, "N"] | None]:
        """Decodes some pictures. Safe to call from several threads.

        Args:
            indices: N integers in 0..len-1, at least one.

        Returns:
            The pictures, uint8 [N, H, W, C], and their labels, int32 [N], or None if the data set
            has none.

        Raises:
            UserError: if a picture cannot be read; the message names it.
        """
        ...


def name_and_split(spec: str) -> tuple[str, str]:
    """Splits a spec of `open_source` into the data set's name and the split.

    Args:
        spec: the spec.

    Returns:
        Name and split; the split of a folder is "all".
    """
    for form in (OURS, TFDS):
        if match := form.fullmatch(spec):
            return spec.partition("@")[0], match["split"] or "train"
    return spec, "all"


def is_spec(text: str) -> bool:
    """Tells whether a text has the form of a spec of `open_source`."""
    return any(form.fullmatch(text) for form in (OURS, TFDS, FOLDER))


def open_source(
    spec: str, *, image_size: int | None, default_size: int, data_dir: str | None
) -> Source:
    """Opens the data set that a spec names, after preparing it on the disk if necessary.

    Args:
        spec: `mnist`, `openmoji`, `tfds:NAME[/CONFIG][:VERSION]`, all with an optional `@SPLIT` (a
            TFDS split such as `test` or `train[5000:]`; `train` by default), or `folder:PATH`.
        image_size: side of the square that pictures are resized to; None keeps the size of pictures
            that all have the same.
        default_size: the side if `image_size` is None and the pictures differ in size.
        data_dir: TFDS's data directory; None means $TFDS_DATA_DIR or ~/tensorflow_datasets.

    Returns:
        A source of at least one example.

    Raises:
        UserError: if the spec is malformed, or the data set does not exist or is not available.
    """
    if match := OURS.fullmatch(spec):
        builder, split = BUILDERS[match["name"]], match["split"] or "train"
        return open_tfds(builder, split, image_size, default_size, data_dir)
    if match := TFDS.fullmatch(spec):
        name, split = match["name"], match["split"] or "train"
        return open_tfds(name, split, image_size, default_size, data_dir)
    if match := FOLDER.fullmatch(spec):
        return open_folder(Path(match["path"]), image_size or default_size)
    raise UserError(f"{spec!r} is no data set; write {GRAMMAR}")
