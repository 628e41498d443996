"""Folders of pictures as sources of examples, one by one or in pairs."""

import logging
import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from PIL import ExifTags, Image, ImageOps

from jaxgan.data.failures import system_failures
from jaxgan.data.pixels import is_gray, to_array
from jaxgan.util.errors import UserError
from jaxgan.util.files import expanded

logger = logging.getLogger(__name__)

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
DEEP = ("I", "F")  # modes of Pillow whose values have no range that is known
NAMED = 3  # pictures that an error message names


@dataclass(frozen=True)
class Folder:
    """A source of the pictures in a folder; see `jaxgan.data.sources.Source`."""

    paths: tuple[Path, ...]
    labels: Int32[np.ndarray, "N"] | None
    shape: tuple[int, int, int]
    classes: int | None = None  # number of subfolders, if these are the classes
    half: int | None = None  # of each picture: 0 for the left one, 1 for the right one
    cache: None = None  # the files may change from run to run

    def __len__(self) -> int:
        return len(self.paths)

    def read(
        self, indices: Iterable[int]
    ) -> tuple[UInt8[np.ndarray, "N H W C"], Int32[np.ndarray, "N"] | None]:
        """Decodes some pictures; see `jaxgan.data.sources.Source`."""
        indices = list(indices)
        images = np.stack([self._picture(self.paths[i]) for i in indices])
        return images, None if self.labels is None else self.labels[indices]

    def _picture(self, path: Path) -> np.ndarray:
        try:
            with system_failures(path), Image.open(path) as picture:
                upright = ImageOps.exif_transpose(picture)  # as viewers show it
                if self.half is not None:
                    width, height = upright.width // 2, upright.height
                    left = self.half * width
                    upright = upright.crop((left, 0, left + width, height))
                return to_array(upright, self.shape)
        except UserError:
            raise
        except Exception as error:  # Pillow's decoders raise errors of all kinds
            raise UserError(
                f"cannot read the picture {path}: {error}; repair or replace it"
            ) from error


def open_folder(path: Path, size: int) -> Folder:
    """Finds and checks the pictures in a folder and its subfolders.

    Links to folders are not followed, and names that start with a dot are ignored. If every picture
    is in a direct subfolder, the subfolders are the classes, numbered in the order of their names;
    one without pictures counts too.

    Args:
        path: the folder.
        size: side of the square that pictures are cropped and resized to.

    Returns:
        A source of pictures sorted by path: gray if all of them are, else RGB.

    Raises:
        UserError: if there is no such folder, no picture in it, or one that cannot be read.
    """
    path, pictures = _pictures(path)
    shape = _shape(_look(path, pictures), size)
    labels, classes = _classes(path, pictures)
    return Folder(tuple(pictures), labels, shape, classes)


def open_pictures(path: Path, shape: tuple[int, int, int]) -> Folder:
    """Finds and checks a picture, or those in a folder and its subfolders.

    Args:
        path: the picture or the folder.
        shape: (H, W, C) that pictures are cropped and resized to. All of them have C channels.

    Returns:
        A source of pictures sorted by path, without labels.

    Raises:
        UserError: if there is no picture, or one that cannot be read or has other channels.
    """
    path = expanded(path)
    if not path.exists():
        raise UserError(f"there is no picture and no folder {path}")
    root, pictures = _pictures(path) if path.is_dir() else (path.parent, [path])
    kinds = {True: "gray", False: "in color"}
    for picture, look in zip(pictures, _look(root, pictures), strict=True):
        if look.gray != (shape[2] == 1):
            raise UserError(
                f"{picture} is {kinds[look.gray]}, where pictures {kinds[not look.gray]} are "
                "needed: convert it first"
            )
    return Folder(tuple(pictures), None, shape)


def names_below(path: Path, folder: Folder) -> list[str]:
    """Names the pictures that `open_pictures` found at a path: below it, if it is a folder."""
    path = expanded(path)
    root = path if path.is_dir() else path.parent
    return [str(picture.relative_to(root)) for picture in folder.paths]


def open_partners(path: Path, names: tuple[str, str], size: int) -> tuple[Folder, Folder]:
    """Finds and checks the pictures in two subfolders, where partners have the same name.

    Names are compared with the folders below, without suffixes: `A/day/1.jpg` is the partner of
    `B/day/1.png`.

    Args:
        path: the folder.
        names: of the subfolders.
        size: side of the square that pictures are cropped and resized to.

    Returns:
        A source for each subfolder, in the same order, without labels.

    Raises:
        UserError: as `open_folder`; if a picture has no partner, or more than one; or if two
            partners differ in height to width, so that they would be cropped differently.
    """
    found = [_pictures(path / name) for name in names]
    first, second = (_by_name(root, pictures) for root, pictures in found)
    path = found[0][0].parent
    lonely = sorted(
        pictures[name].relative_to(path)
        for pictures, others in ((first, second), (second, first))
        for name in pictures
        if name not in others
    )
    if lonely:
        raise UserError(
            f"{len(lonely)} of the {len(first) + len(second)} pictures in {path} have no partner "
            f"of the same name: {_some(lonely)}; add what is missing, or remove them"
        )
    paths = [[pictures[name] for name in first] for pictures in (first, second)]
    looks = [_look(root, own) for (root, _), own in zip(found, paths, strict=True)]
    for *partners, one, other in zip(*paths, *looks, strict=True):
        if not _same_shape(one, other):
            told = " and ".join(
                f"{picture.relative_to(path)} ({look.width} x {look.height})"
                for picture, look in zip(partners, (one, other), strict=True)
            )
            raise UserError(f"{told} in {path} differ in shape: crop one of them")
    one, other = (
        Folder(tuple(own), None, _shape(look, size)) for own, look in zip(paths, looks, strict=True)
    )
    return one, other


def open_halves(path: Path, size: int) -> tuple[Folder, Folder]:
    """Finds and checks pictures of which each is two, side by side.

    Args:
        path: the folder.
        size: side of the square that either half is cropped and resized to.

    Returns:
        A source of the left halves and one of the right halves, in the same order, without labels.

    Raises:
        UserError: as `open_folder`, or if a picture has an odd number of columns.
    """
    path, pictures = _pictures(path)
    looks = _look(path, pictures)
    odd = [
        picture.relative_to(path)
        for picture, look in zip(pictures, looks, strict=True)
        if look.width % 2
    ]
    if odd:
        raise UserError(
            f"{len(odd)} of the {len(pictures)} pictures in {path} have an odd width, so they are "
            f"not two side by side: {_some(odd)}; crop or remove them"
        )
    left = Folder(tuple(pictures), None, _shape(looks, size), half=0)
    return left, replace(left, half=1)


class _Look(NamedTuple):
    """What can be told of a picture before it is decoded."""

    gray: bool
    width: int  # as viewers show it
    height: int


def _pictures(path: Path) -> tuple[Path, list[Path]]:
    """Returns the folder, spelled out, and the sorted paths of the pictures in it."""
    path = expanded(path)
    if not path.exists():
        here = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise UserError(f"there is no folder {path}{here}")
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; name the folder that holds the pictures")
    pictures = _find(path)
    if not pictures:
        raise UserError(f"there are no pictures ({' '.join(sorted(SUFFIXES))}) in {path}")
    return path, pictures


def open_mask(path: Path, height: int, width: int) -> Bool[np.ndarray, "1 H W 1"]:
    """Reads a mask from a picture.

    Args:
        path: the picture; what is lighter than medium gray is known.
        height: that it has.
        width: that it has.

    Returns:
        True where a pixel is known.

    Raises:
        UserError: if there is no such picture, or it cannot be read or has another size.
    """
    path = expanded(path)
    if not path.is_file():
        raise UserError(f"there is no mask {path}: name a picture, or center, left, random:0.5")
    _look(path.parent, [path])
    with system_failures(path), Image.open(path) as picture:
        if picture.size != (width, height):
            raise UserError(
                f"the mask {path} is {picture.height} x {picture.width}, and the pictures are "
                f"{height} x {width}: make it as large as they are"
            )
        return to_array(picture, (height, width, 1))[None] > 127


def _find(root: Path) -> list[Path]:
    def fail(error: OSError) -> None:
        raise error

    found, links = [], []
    with system_failures(root):
        for folder, below, names in os.walk(root, onerror=fail):
            below[:] = [name for name in below if not name.startswith(".")]
            links += [Path(folder, name) for name in below if os.path.islink(Path(folder, name))]
            paths = (Path(folder, name) for name in names if not name.startswith("."))
            found += [path for path in paths if path.suffix.lower() in SUFFIXES]
    if links:
        told = _some(sorted(link.relative_to(root) for link in links))
        logger.warning("links to folders in %s are not followed: %s", root, told)
    return sorted(found)


def _look(root: Path, paths: list[Path]) -> list[_Look]:
    """Looks at all pictures; raises UserError if some are broken."""
    with system_failures(root), warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        # A picture beyond Pillow's limit is an error here, not a warning beside the progress bar.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        looks = list(pool.map(_look_at, paths))
    broken = [
        path.relative_to(root) for path, look in zip(paths, looks, strict=True) if look is None
    ]
    if broken:
        raise UserError(
            f"{len(broken)} of the {len(paths)} pictures in {root} are broken: "
            f"{_some(broken)}; repair or replace them"
        )
    return [look for look in looks if look is not None]


def _look_at(path: Path) -> _Look | None:
    """Looks at a picture; returns None if it is broken."""
    try:
        with system_failures(path), Image.open(path) as picture:
            if picture.mode in DEEP:
                raise UserError(f"the picture {path} has 32 bits a pixel: convert it to 8 or 16")
            gray, (width, height) = is_gray(picture), picture.size
            exif = Image.Image.getexif(picture)  # of a PNG: what comes before its pixels
            if exif.get(ExifTags.Base.Orientation, 1) >= 5:  # lies on its side
                width, height = height, width
            picture.verify()
            return _Look(gray, width, height)
    except UserError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(
            f"the picture {path} has too many pixels; the limit is {Image.MAX_IMAGE_PIXELS:,}: "
            "make it smaller"
        ) from error
    except Exception:  # Pillow's decoders raise errors of all kinds
        return None


def _shape(looks: list[_Look], size: int) -> tuple[int, int, int]:
    return size, size, 1 if all(look.gray for look in looks) else 3


def _same_shape(a: _Look, b: _Look) -> bool:
    """Returns whether one is the other at another size, up to a pixel."""
    return abs(a.width * b.height - b.width * a.height) <= max(a.height, b.height)


def _by_name(root: Path, paths: list[Path]) -> dict[Path, Path]:
    """Returns pictures by their names without suffix; raises UserError if two have the same."""
    pictures: dict[Path, Path] = {}
    for path in paths:
        other = pictures.setdefault(path.relative_to(root).with_suffix(""), path)
        if other != path:
            raise UserError(
                f"{other.name} and {path.name} in {path.parent} would have the same partner: "
                "rename or remove one of them"
            )
    return pictures


def _some(paths: Sequence[Path]) -> str:
    """Names some pictures."""
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(map(str, paths[:NAMED])) + more


def _classes(root: Path, paths: list[Path]) -> tuple[np.ndarray | None, int | None]:
    """Labels pictures by the subfolder that they are in, and counts the subfolders."""
    parents = [path.relative_to(root).parent for path in paths]
    if any(len(parent.parts) != 1 for parent in parents):
        return None, None
    folders = [x.name for x in root.iterdir() if x.is_dir() and not x.is_symlink()]
    visible = sorted(name for name in folders if not name.startswith("."))
    numbers = {name: number for number, name in enumerate(visible)}
    return np.array([numbers[str(parent)] for parent in parents], np.int32), len(numbers)
