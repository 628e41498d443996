"""Pixel-art faces as a TFDS data set, made from the file in this folder."""

from collections.abc import Iterator
from importlib import resources

import numpy as np
import tensorflow_datasets as tfds

from jaxgan.data.pixels import to_png

SPLITS = {"train": slice(900), "test": slice(900, None)}
CREDIT = "Designs: Pixel Art by DiceBear. License: CC0 1.0"


class JaxganFaces(tfds.core.GeneratorBasedBuilder):
    """Pixel-art faces without and with glasses: 900 to train on, 100 to test with.

    Features: `image` uint8 [16, 16, 3], a face without glasses, and `glasses`, the same face with
    glasses.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        face = tfds.features.Image(shape=(16, 16, 3), encoding_format="png")
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Pixel-art faces, without and with glasses. {CREDIT}.",
            features=tfds.features.FeaturesDict({"image": face, "glasses": face}),
            homepage="https://www.dicebear.com/styles/pixel-art",
            license=CREDIT,
            disable_shuffling=True,  # else TFDS sorts the examples by a hash of their keys
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager  # nothing to download
        return {name: self._generate_examples(chosen) for name, chosen in SPLITS.items()}

    def _generate_examples(self, chosen: slice) -> Iterator[tuple[int, dict]]:
        packed = resources.files("jaxgan.data.faces").joinpath("faces16.npz")
        with packed.open("rb") as file, np.load(file) as arrays:
            pairs = zip(arrays["without"][chosen], arrays["with"][chosen], strict=True)
        for key, (without, glasses) in enumerate(pairs):
            yield key, {"image": to_png(without), "glasses": to_png(glasses)}
