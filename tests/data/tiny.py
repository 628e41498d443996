"""What the tests of the data make their data sets with."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


def encode(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "png")
    return buffer.getvalue()


def noise(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def define(dataset: str, features: dict, examples: Any, *, registered: bool = False) -> type:
    """A TFDS builder; unless registered, TFDS does not know its code and finds its files alone.

    `examples` is an iterable, or a function that returns one when the data set is prepared.
    """

    class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=not registered):
        name = dataset
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            found: Any = examples() if callable(examples) else examples
            yield from enumerate(found)

    return Tiny


def prepare(builder: type, root: Path) -> None:
    builder(data_dir=root, file_format="array_record").download_and_prepare()


def save(path: Path, *shape: int, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = noise(1, *shape, seed=seed)[0]
    Image.fromarray(image).save(path)
    return image


class Counted:
    """A source that counts what is read of it."""

    cache = None
    classes = None

    def __init__(self, n: int = 600, labeled: bool = True):
        self.images = noise(n, 5, 4, 3)
        self.labels = np.arange(n, dtype=np.int32) if labeled else None
        self.shape: tuple[int, int, int] = (5, 4, 3)
        self.count = 0

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices):
        indices = list(indices)
        self.count += len(indices)
        return self.images[indices], None if self.labels is None else self.labels[indices]
