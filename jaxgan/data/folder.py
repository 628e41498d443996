"""A folder of pictures as a source of examples."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image, ImageOps

from jaxgan.data.pixels import is_gray, to_array
from jaxgan.util.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
NAMED = 3  # how many broken pictures an error message names


@dataclass(frozen=True)
class Folder:
    """A source of the pictures in a folder; see `jaxgan.data.sources.Source`."""

    paths: tuple[Path, ...]
    labels: Int32[np.ndarray, "N"] | None
    shape: tuple[int, int, int]
    cache: None = None  # the files may change between two runs

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
            with Image.open(path) as picture:
                upright = ImageOps.exif_transpose(picture)  # as every viewer shows it
                return to_array(upright, self.shape)
        except Exception as error:  # Pillow's decoders raise whatever they stumble over
            raise UserError(
                f"cannot read the picture {path}: {error}; repair or remove it"
            ) from error


def open_folder(path: Path, size: int) -> Folder:
    """Finds and checks the pictures in a folder and below it.

    Links to other folders are not followed; names that start with a dot are passed over. Where
    every picture lies in a direct subfolder, the subfolders are the classes, numbered by name.

    Args:
        path: the folder.
        size: side of the square that pictures are cropped and resized to.

    Returns:
        A source of gray pictures if all are gray, else of RGB pictures, sorted by path.

    Raises:
        UserError: there is no such folder, no picture in it, or one that cannot be read.
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


def _find(root: Path) -> list[Path]:
    def fail(error: OSError) -> None:
        raise UserError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    found = []
    for folder, below, names in os.walk(root, onerror=fail):
        below[:] = [name for name in below if not name.startswith(".")]
        paths = (Path(folder, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in SUFFIXES]
    return sorted(found)


def _check(root: Path, paths: list[Path]) -> list[bool]:
    """Tells of each picture whether it is gray; raises UserError if some are broken."""
    with ThreadPoolExecutor() as pool:
        grays = list(pool.map(_gray, paths))
    broken = [
        str(path.relative_to(root)) for path, gray in zip(paths, grays, strict=True) if gray is None
    ]
    if broken:
        more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        raise UserError(
            f"{len(broken)} of the {len(paths)} pictures in {root} cannot be read: "
            f"{', '.join(broken[:NAMED])}{more}; repair or remove them"
        )
    return [bool(gray) for gray in grays]


def _gray(path: Path) -> bool | None:
    """Tells whether a picture is gray; None if it is broken."""
    try:
        with Image.open(path) as picture:
            gray = is_gray(picture)
            picture.verify()
            return gray
    except Exception:  # Pillow's decoders raise whatever they stumble over
        return None


def _labels(root: Path, paths: list[Path]) -> np.ndarray | None:
    parents = [path.relative_to(root).parent for path in paths]
    if any(len(parent.parts) != 1 for parent in parents):
        return None
    classes = sorted(set(parents))
    return np.array([classes.index(parent) for parent in parents], np.int32)
