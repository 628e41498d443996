"""Sources of examples, and the specs by which users name them."""

import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32, UInt8

from jaxgan.data.folder import open_folder, open_halves, open_partners
from jaxgan.data.preparing import BUILDERS, data_directory, declare, find, find_at
from jaxgan.data.tfds import open_prepared, open_tfds
from jaxgan.util.errors import UserError

PAIRS = {"faces-pairs": "faces#glasses,image", "openmoji-pairs": "openmoji#drawing,image"}

_OF_TRAINING = re.compile(r"train(\[[^\]]*\])?")  # splits
_REST = r"(@(?P<split>[^#]+))?(#(?P<picture>\w+))?"
UNKNOWN = "unknown: ask the owner of the data"  # a license
DATA = "data:"  # begins the name of a data set where a path may stand
OURS = re.compile(rf"(?P<name>{'|'.join(BUILDERS)}){_REST}")
TFDS = re.compile(rf"tfds:(?P<name>\w+(/[\w+.-]+)?(:[\d*]+(\.[\d*]+){{2}})?){_REST}")
PREPARED = re.compile(rf"prepared:(?P<path>[^@#]+){_REST}")
FOLDER = re.compile(r"folder:(?P<path>.+)")
HALVES = re.compile(r"halves:(?P<path>.+?)(#(?P<order>left,right|right,left))?")
PAIR = re.compile(r"(?P<data>.+)#(?P<source>[^#,/]+),(?P<target>[^#,/]+)")
OUR_PAIR = re.compile(rf"(?P<name>{'|'.join(PAIRS)})(@(?P<split>[^#]+))?")
GRAMMAR = (
    "mnist, openmoji, faces or tfds:NAME[/CONFIG][:VERSION], each with [@SPLIT][#FEATURE]; "
    "prepared:PATH[@SPLIT][#FEATURE]; folder:PATH; or pairs: openmoji-pairs[@SPLIT], "
    "faces-pairs[@SPLIT], tfds:NAME[@SPLIT]#SOURCE,TARGET, folder:PATH#SOURCE,TARGET or "
    "halves:PATH"
)


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
    """Splits a spec of `open_sources` into the data set's name and the split.

    Args:
        spec: the spec.

    Returns:
        Name, with features that the spec names, and split; the split of a folder is "all".
    """
    if FOLDER.fullmatch(spec) or HALVES.fullmatch(spec):
        return spec, "all"
    name, _, pictures = spec.partition("#")
    name, _, split = name.partition("@")
    return f"{name}#{pictures}" if pictures else name, split or "train"


def held_out(spec: str) -> str:
    """Names pictures like those of a spec that training on these does not see.

    Args:
        spec: of `open_sources`.

    Returns:
        The spec with the split `test`, where the data set comes with the package and the spec is of
        its training split, or a slice of it; else the spec as it is, as nothing is known of others.
    """
    name, _, pictures = spec.partition("#")
    name, _, split = name.partition("@")
    if name not in (*BUILDERS, *PAIRS) or not _OF_TRAINING.fullmatch(split or "train"):
        return spec
    return f"{name}@test#{pictures}" if pictures else f"{name}@test"


def public_name(spec: str) -> str | None:
    """Names a data set as others know it, without its version, split and features.

    Args:
        spec: of `open_sources`.

    Returns:
        Such as "mnist" or "cifar10"; None for files of the user's.
    """
    name = _whole(spec)
    if name in BUILDERS:
        return name
    match = TFDS.fullmatch(name)
    return None if match is None else re.split("[/:]", match["name"])[0]


def _whole(spec: str) -> str:
    """Takes the split and the features off a spec."""
    name, _ = name_and_split(spec)
    return PAIRS.get(name, name).partition("#")[0]


def license_of(spec: str, data_dir: str | None = None) -> str:
    """Looks up the license of a data set.

    Args:
        spec: of `open_sources`.
        data_dir: TFDS's data directory; None for its default.

    Returns:
        What the data set says of its license and of whom to credit, or whom to ask.

    Raises:
        UserError: if the data set does not exist.
    """
    name = _whole(spec)
    if name in BUILDERS:
        return import_module(f"jaxgan.data.{name}.builder").CREDIT
    if match := PREPARED.fullmatch(name):
        builder = find_at(Path(match["path"]))
    elif match := TFDS.fullmatch(name):
        root = data_directory(data_dir)
        builder = find(match["name"], root) or declare(match["name"], root)
    else:
        return UNKNOWN
    return builder.info.redistribution_info.license or UNKNOWN


def open_sources(
    spec: str, *, image_size: int | None, default_size: int, data_dir: str | None
) -> tuple[Source, ...]:
    """Opens what a spec names: a data set, or pairs.

    Args:
        spec: as `open_source` takes it; or for pairs
            - `NAME#SOURCE,TARGET`, where NAME is anything that `open_source` takes but a folder:
              two features that hold pictures, such as `openmoji@test#drawing,image`;
            - `openmoji-pairs` (from drawings to colored pictures) or `faces-pairs` (from faces
              with glasses to the same without), both with an optional `@SPLIT`;
            - `folder:PATH#SOURCE,TARGET`: two subfolders, in which partners have the same name;
            - `halves:PATH`: pictures that are two side by side, the source on the left, or on the
              right of `halves:PATH#right,left`.
        image_size: as in `open_source`.
        default_size: as in `open_source`.
        data_dir: as in `open_source`.

    Returns:
        One source; or of pairs two, of as many pictures in the same order: what is to be made, the
        target, and what it is made from, the source.

    Raises:
        UserError: as `open_source`, or if a picture has no partner.
    """

    def open_one(spec: str) -> Source:
        return open_source(
            spec, image_size=image_size, default_size=default_size, data_dir=data_dir
        )

    side = image_size or default_size
    if match := OUR_PAIR.fullmatch(spec):
        name, _, names = PAIRS[match["name"]].partition("#")
        spec = f"{name}@{match['split'] or 'train'}#{names}"
    if match := HALVES.fullmatch(spec):
        left, right = open_halves(Path(match["path"]), side)
        return (left, right) if match["order"] == "right,left" else (right, left)
    if match := PAIR.fullmatch(spec):
        data, source, target = match.groups()
        if folder := FOLDER.fullmatch(data):
            return open_partners(Path(folder["path"]), (target, source), side)
        return open_one(f"{data}#{target}"), open_one(f"{data}#{source}")
    return (open_one(spec),)


def is_spec(text: str) -> bool:
    """Tells whether a text has the form of a spec of `open_source`."""
    return any(form.fullmatch(text) for form in (OURS, TFDS, PREPARED, FOLDER))


def open_source(
    spec: str, *, image_size: int | None, default_size: int, data_dir: str | None
) -> Source:
    """Opens the data set that a spec names, after preparing it on the disk if necessary.

    Args:
        spec: `mnist`, `openmoji`, `faces` or `tfds:NAME[/CONFIG][:VERSION]`, all with an optional
            `@SPLIT` (a TFDS split such as `test` or `train[5000:]`; `train` by default) and, after
            it, an optional `#FEATURE` that holds the pictures (`image` by default);
            `prepared:PATH`, the directory of a prepared TFDS data set, with the same options; or
            `folder:PATH`.
        image_size: side of the square that pictures are resized to; None keeps the size of pictures
            that all have the same.
        default_size: the side if `image_size` is None and the pictures differ in size.
        data_dir: TFDS's data directory; None means $TFDS_DATA_DIR or ~/tensorflow_datasets.

    Returns:
        A source of at least one example.

    Raises:
        UserError: if the spec is malformed, or the data set does not exist or is not available.
    """
    ours = OURS.fullmatch(spec)
    if match := ours or TFDS.fullmatch(spec):
        name = BUILDERS[match["name"]] if ours else match["name"]
        split, picture = match["split"] or "train", match["picture"] or "image"
        return open_tfds(name, split, image_size, default_size, data_dir, picture)
    if match := PREPARED.fullmatch(spec):
        split, picture = match["split"] or "train", match["picture"] or "image"
        path = Path(match["path"])
        return open_prepared(path, split, image_size, default_size, data_dir, picture)
    if match := FOLDER.fullmatch(spec):
        return open_folder(Path(match["path"]), image_size or default_size)
    raise UserError(f"{spec!r} is not a data set; write {GRAMMAR}")
