"""A split of a prepared TFDS data set as a source of examples."""

import hashlib
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image

from jaxgan.data.failures import system_failures
from jaxgan.data.pixels import to_array
from jaxgan.data.preparing import (
    ELSEWHERE,
    Builder,
    brief,
    data_directory,
    declare,
    find,
    find_at,
    prepare,
)
from jaxgan.util.errors import UserError

CACHES = "jaxgan_cache"  # folder of decoded pictures in the data directory
# How ArrayRecord, which raises RuntimeError for everything, describes damage.
_DAMAGED_RECORDS = re.compile("Corrupted|at least 64KB|No such file or directory")


class Tfds:
    """A source of one feature's pictures of a TFDS split; see `jaxgan.data.sources.Source`."""

    def __init__(
        self, builder: Builder, split: str, picture: str, shape: tuple[int, int, int], root: Path
    ):
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.decode import DeserializeMethod

        # Other features of an example are not parsed.
        names = (picture, "label") if _has_labels(builder) else (picture,)
        self._features: Any = tfds.features.FeaturesDict(
            {n: builder.info.features[n] for n in names}
        )
        self._name = picture
        self._raw: Any = {picture: tfds.decode.SkipDecoding()}  # TFDS would need OpenCV
        self._records = builder.as_data_source(
            split,
            deserialize_method=DeserializeMethod.RAW_BYTES,
            file_format="array_record",
        )
        self._directory = Path(builder.data_dir)
        self.shape = shape
        self.classes = _classes(builder)
        self.cache = root / CACHES / _cache_name(builder, split, picture, shape)

    def __len__(self) -> int:
        return len(self._records)

    def read(
        self, indices: Iterable[int]
    ) -> tuple[UInt8[np.ndarray, "N H W C"], Int32[np.ndarray, "N"] | None]:
        """Decodes some pictures; see `jaxgan.data.sources.Source`."""
        try:
            with system_failures(self._directory):
                # One call for all of them: one by one takes five times as long.
                records = self._records.__getitems__([int(i) for i in indices])
                examples = [
                    self._features.deserialize_example_np(record, decoders=self._raw)
                    for record in records
                ]
                images = np.stack([self._picture(example[self._name]) for example in examples])
        except UserError:
            raise
        except Exception as error:  # ArrayRecord, protobuf and Pillow raise errors of all kinds
            if isinstance(error, RuntimeError) and not _DAMAGED_RECORDS.search(str(error)):
                raise UserError(
                    f"cannot read {self._directory}: {brief(error)}; fix that, then run again"
                ) from error
            raise UserError(
                f"the data in {self._directory} are damaged ({brief(error)}); "
                "remove that directory to prepare them anew"
            ) from error
        if "label" not in self._features:
            return images, None
        return images, np.array([example["label"] for example in examples], np.int32)

    def _picture(self, encoded: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(encoded)) as picture:
            return to_array(picture, self.shape)


def open_tfds(
    name: str,
    split: str,
    image_size: int | None,
    default_size: int,
    data_dir: str | None,
    picture: str = "image",
) -> Tfds:
    """Opens a split of a TFDS data set, after preparing it if necessary.

    Args:
        name: NAME[/CONFIG][:VERSION].
        split: a TFDS split, such as `train` or `train[5000:]`.
        image_size: side of the square that pictures are resized to; None keeps the size of pictures
            that all have the same.
        default_size: the side if `image_size` is None and the pictures differ in size.
        data_dir: the directory of prepared data sets; None means TFDS's default.
        picture: the feature that holds the pictures.

    Returns:
        A source of at least one example.

    Raises:
        UserError: if there is no such data set or split, or it has no pictures or is not available.
    """
    root = data_directory(data_dir)
    prepared = find(name, root)
    builder = prepared or declare(name, root)
    shape = _shape(builder, name, picture, image_size, default_size)  # checked before a download
    builder = prepared or prepare(builder, name, root)
    return _open(builder, name, split, picture, shape, root)


def open_prepared(
    path: Path,
    split: str,
    image_size: int | None,
    default_size: int,
    data_dir: str | None,
    picture: str = "image",
) -> Tfds:
    """Opens a split of a data set in a directory of its own, such as `jaxgan dataset` writes.

    Args:
        path: of the directory.
        split: as in `open_tfds`.
        image_size: as in `open_tfds`.
        default_size: as in `open_tfds`.
        data_dir: as in `open_tfds`; decoded pictures are kept there.
        picture: as in `open_tfds`.

    Returns:
        A source of at least one example.

    Raises:
        UserError: if there is no such data set or split, or it has no pictures.
    """
    name, builder = str(path), find_at(path)
    shape = _shape(builder, name, picture, image_size, default_size)
    return _open(builder, name, split, picture, shape, data_directory(data_dir))


def _open(
    builder: Builder,
    name: str,
    split: str,
    picture: str,
    shape: tuple[int, int, int],
    root: Path,
) -> Tfds:
    _check_format(builder, name)
    _check_split(builder, name, split)
    return Tfds(builder, split, picture, shape, root)


def _shape(
    builder: Builder, name: str, picture: str, image_size: int | None, default_size: int
) -> tuple[int, int, int]:
    import tensorflow_datasets as tfds

    features = builder.info.features
    names = list(features.keys()) if hasattr(features, "keys") else []
    if picture not in names:
        has = f"its features are {', '.join(names)}" if names else "it has no named features"
        raise UserError(f"{name} has no feature `{picture}` to train on; {has}")
    image = features[picture]
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        raise UserError(f"the feature `{picture}` of {name} is not a picture of 8 bits a channel")
    height, width, channels = tuple(image.get_tensor_info().shape)
    if image_size or height is None or width is None:
        height = width = image_size or default_size
    return height, width, 1 if channels in (1, 2) else 3


def _has_labels(builder: Builder) -> bool:
    """Returns whether each example has one integer as its label."""
    features = builder.info.features
    if "label" not in features:
        return False
    label = features["label"].get_tensor_info()
    return label.shape == () and np.issubdtype(label.np_dtype, np.integer)


def _classes(builder: Builder) -> int | None:
    """Returns the number of classes if labels are declared as classes."""
    import tensorflow_datasets as tfds

    label = builder.info.features["label"] if _has_labels(builder) else None
    return label.num_classes if isinstance(label, tfds.features.ClassLabel) else None


def _check_format(builder: Builder, name: str) -> None:
    import tensorflow_datasets as tfds

    formats = builder.info.available_file_formats()
    if tfds.core.FileFormat.ARRAY_RECORD not in formats:
        found = ", ".join(sorted(file_format.value for file_format in formats))
        raise UserError(
            f"{name} was prepared as {found or 'no known format'}, not array_record, in "
            f"{builder.data_dir}; {ELSEWHERE}"
        )


def _check_split(builder: Builder, name: str, split: str) -> None:
    splits = builder.info.splits
    try:
        size = splits[split].num_examples
    except Exception as error:  # ValueError, KeyError and others, depending on the mistake
        found = ", ".join(f"{key} ({splits[key].num_examples} examples)" for key in splits)
        raise UserError(
            f"{name} has no split {split!r}; it has {found}, and slices such as train[1000:]"
        ) from error
    if size <= 0:  # negative if a slice ends before it begins
        raise UserError(f"the split {split!r} of {name} is empty; choose a larger slice")


def _cache_name(builder: Builder, split: str, picture: str, shape: tuple[int, int, int]) -> str:
    """Returns the name of the file of decoded pictures, from everything that they depend on."""
    stats = [(path.name, path.stat()) for path in sorted(Path(builder.data_dir).iterdir())]
    files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    digest = hashlib.sha256(repr((split, picture, shape, files)).encode()).hexdigest()[:16]
    words = f"{builder.info.full_name}-{split}-{picture}-{'x'.join(map(str, shape))}"
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', words)[:100]}-{digest}.npz"
