"""Writes examples as a data set that others can load: a TFDS directory, class folders, or arrays.

All writers take the examples in parts, so that they need not be in memory at once, and write into
a folder that exists.
"""

import contextlib
import io
import itertools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image

from jaxgan.data.pixels import to_png
from jaxgan.data.preparing import chain_of_causes
from jaxgan.util.errors import UserError

VERSION = "1.0.0"  # of a TFDS directory
ARRAYS = "images.npz"


class Part(NamedTuple):
    """Some examples of a data set."""

    images: UInt8[np.ndarray, "N H W C"]
    labels: Int32[np.ndarray, "N"] | None  # None if the data set has none


class Outline(NamedTuple):
    """What is known of a data set before its examples are."""

    name: str  # in snake_case
    shape: tuple[int, int, int]  # of an image, (H, W, C); C is 1 or 3
    classes: int | None  # None if there are no labels
    size: int  # how many examples
    description: str
    license: str


Writer = Callable[[Path, Outline, Iterator[Part]], None]


def write_tfds(folder: Path, outline: Outline, parts: Iterator[Part]) -> None:
    """Writes a directory that `tfds.builder_from_directory` opens: ArrayRecord, split `train`.

    Its features are `image` and, if there are labels, `label`. jaxgan reads it as `prepared:PATH`.

    Args:
        folder: an empty one.
        outline: of the data set.
        parts: its examples.

    Raises:
        UserError: if a part raises one.
    """
    import tensorflow_datasets as tfds

    features: dict[str, Any] = {
        "image": tfds.features.Image(shape=outline.shape, encoding_format="png")
    }
    if outline.classes is not None:
        features["label"] = tfds.features.ClassLabel(num_classes=outline.classes)

    class Written(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """The examples that are written."""

        name = outline.name
        VERSION = tfds.core.Version(VERSION)

        def _info(self) -> tfds.core.DatasetInfo:
            return tfds.core.DatasetInfo(
                builder=self,
                description=outline.description,
                features=tfds.features.FeaturesDict(features),
                license=outline.license,
                disable_shuffling=True,  # else TFDS sorts the examples by a hash of their keys
            )

        def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
            del dl_manager  # nothing to download
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
            for index, (image, label) in enumerate(_each(parts)):
                example = {"image": to_png(_squeezed(image))}
                yield index, example if label is None else {**example, "label": label}

    tfds.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()), TemporaryDirectory() as downloads:
            builder = Written(data_dir=str(folder), file_format="array_record")
            builder.download_and_prepare(download_dir=downloads)
    except Exception as error:  # TFDS wraps those of the examples: what users can fix is told
        for cause in chain_of_causes(error):
            if isinstance(cause, UserError | OSError | MemoryError):
                raise cause from None
        raise
    finally:
        tfds.display_progress_bar(True)
    written = Path(builder.data_dir)
    for path in written.iterdir():
        path.rename(folder / path.name)
    written.rmdir()
    written.parent.rmdir()


def write_folder(folder: Path, outline: Outline, parts: Iterator[Part]) -> None:
    """Writes a PNG file for each example, in a folder for each class if there are labels.

    jaxgan reads it as `folder:PATH`.

    Args:
        folder: an empty one.
        outline: of the data set.
        parts: its examples.
    """
    digits = len(str(outline.size - 1))
    folders = [folder]
    if outline.classes is not None:
        width = len(str(outline.classes - 1))  # so that the order of names is that of classes
        folders = [folder / f"{label:0{width}d}" for label in range(outline.classes)]
        for each in folders:
            each.mkdir()
    for index, (image, label) in enumerate(_each(parts)):
        Image.fromarray(_squeezed(image)).save(folders[label or 0] / f"{index:0{digits}d}.png")


def write_arrays(folder: Path, outline: Outline, parts: Iterator[Part]) -> None:
    """Writes images.npz: `images`, uint8 `[N, H, W, C]`, and `labels`, int32 `[N]`, if any.

    Args:
        folder: an empty one.
        outline: of the data set.
        parts: its examples.
    """
    labels = []
    with zipfile.ZipFile(folder / ARRAYS, "w") as archive:
        with archive.open("images.npy", "w", force_zip64=True) as file:
            shape = (outline.size, *outline.shape)
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part.images).tobytes())
                labels += [] if part.labels is None else [part.labels]
        if labels:
            with archive.open("labels.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.concatenate(labels), allow_pickle=False)


def _each(parts: Iterator[Part]) -> Iterator[tuple[UInt8[np.ndarray, "H W C"], int | None]]:
    """Takes parts apart into examples."""
    for images, labels in parts:
        ints = itertools.repeat(None) if labels is None else labels.tolist()
        yield from zip(images, ints, strict=False)


def _squeezed(image: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H W *C"]:
    return image[..., 0] if image.shape[-1] == 1 else image
