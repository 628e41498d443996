"""A folder of pictures as a source of examples."""

import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from PIL import Image, ImageOps

from jaxgan.data.failures import system_failures
from jaxgan.data.pixels import is_gray, to_array
from jaxgan.util.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
NAMED = 3  # broken pictures that an error message names


@dataclass(frozen=True)
class Folder:
    """A source of the pictures in a folder; see `jaxgan.data.sources.Source`."""

    paths: tuple[Path, ...]
    labels: Int32[np.ndarray, "N"] | None
    shape: tuple[int, int, int]
    cache: None = None  # the files may change from run to run

    @property
    def classes(self) -> int | None:
        """Number of subfolders; see `jaxgan.data.sources.Source`."""
        return None if self.labels is None else int(self.labels.max()) + 1

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
    is in a direct subfolder, the subfolders are the classes, numbered in the order of their names.

    Args:
        path: the folder.
        size: side of the square that pictures are cropped and resized to.

    Returns:
        A source of pictures sorted by path: gray if all of them are, else RGB.

    Raises:
        UserError: if there is no such folder, no picture in it, or one that cannot be read.
    """
    path = path.expanduser()
    if not path.exists():
        raise UserError(f"there is no folder {path}")
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; name the folder that holds the pictures")
    pictures = _find(path)
    if not pictures:
        raise UserError(f"there are no pictures ({' '.join(sorted(SUFFIXES))}) in {path}")
    channels = 1 if all(_check(path, pictures)) else 3
    return Folder(tuple(pictures), _labels(path, pictures), (size, size, channels))


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
    path = path.expanduser()
    if not path.exists():
        raise UserError(f"there is no picture and no folder {path}")
    root, pictures = (path, _find(path)) if path.is_dir() else (path.parent, [path])
    if not pictures:
        raise UserError(f"there are no pictures ({' '.join(sorted(SUFFIXES))}) in {path}")
    kinds = {True: "gray", False: "in color"}
    for picture, gray in zip(pictures, _check(root, pictures), strict=True):
        if gray != (shape[2] == 1):
            raise UserError(
                f"{picture} is {kinds[gray]}, where pictures {kinds[not gray]} are needed: "
                "convert it first"
            )
    return Folder(tuple(pictures), None, shape)


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
    path = path.expanduser()
    if not path.is_file():
        raise UserError(f"there is no mask {path}: name a picture, or center, left, random:0.5")
    _check(path.parent, [path])
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

    found = []
    with system_failures(root):
        for folder, below, names in os.walk(root, onerror=fail):
            below[:] = [name for name in below if not name.startswith(".")]
            paths = (Path(folder, name) for name in names if not name.startswith("."))
            found += [path for path in paths if path.suffix.lower() in SUFFIXES]
    return sorted(found)


def _check(root: Path, paths: list[Path]) -> list[bool]:
    """Returns of each picture whether it is gray; raises UserError if some are broken."""
    with system_failures(root), warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        # A picture beyond Pillow's limit is an error here, not a warning beside the progress bar.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        grays = list(pool.map(_is_gray, paths))
    broken = [
        str(path.relative_to(root)) for path, gray in zip(paths, grays, strict=True) if gray is None
    ]
    if broken:
        more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        raise UserError(
            f"{len(broken)} of the {len(paths)} pictures in {root} are broken: "
            f"{', '.join(broken[:NAMED])}{more}; repair or replace them"
        )
    return [bool(gray) for gray in grays]


def _is_gray(path: Path) -> bool | None:
    """Returns whether a picture is gray; None if it is broken."""
    try:
        with system_failures(path), Image.open(path) as picture:
            gray = is_gray(picture)
            picture.verify()
            return gray
    except UserError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(
            f"the picture {path} has too many pixels; the limit is {Image.MAX_IMAGE_PIXELS:,}: "
            "make it smaller"
        ) from error
    except Exception:  # Pillow's decoders raise errors of all kinds
        return None


def _labels(root: Path, paths: list[Path]) -> np.ndarray | None:
    parents = [path.relative_to(root).parent for path in paths]
    if any(len(parent.parts) != 1 for parent in parents):
        return None
    classes = sorted(set(parents))
    return np.array([classes.index(parent) for parent in parents], np.int32)
