"""MNIST as a TFDS data set, made from the files in this folder.

TFDS's own `mnist` wants the network and TensorFlow; this one wants neither.
"""

import gzip
from collections.abc import Iterator
from importlib import resources

import numpy as np
import tensorflow_datasets as tfds

from jaxgan.data.pixels import to_png

SPLITS = {"train": "train", "test": "t10k"}
CREDIT = "MNIST by Yann LeCun, Corinna Cortes and Christopher J.C. Burges. License: CC BY-SA 3.0"
IMAGES_HEADER, LABELS_HEADER = 16, 8  # bytes of an IDX file before its data


class JaxganMnist(tfds.core.GeneratorBasedBuilder):
    """The MNIST database of handwritten digits: 60,000 training and 10,000 test images.

    Features: `image` uint8 [28, 28, 1], `label` 0..9. Both splits keep the order of the original
    files, so that `train[5000:]` is the last 55,000 images.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="The MNIST database of handwritten digits, in its original order.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(28, 28, 1), encoding_format="png"),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            license=CREDIT,
            homepage="http://yann.lecun.com/exdb/mnist/",
            disable_shuffling=True,  # else TFDS sorts the examples by a hash of their keys
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager  # nothing to download
        return {name: self._generate_examples(prefix) for name, prefix in SPLITS.items()}

    def _generate_examples(self, prefix: str) -> Iterator[tuple[int, dict]]:
        images = _idx(f"{prefix}-images-idx3-ubyte.gz", IMAGES_HEADER).reshape(-1, 28, 28)
        labels = _idx(f"{prefix}-labels-idx1-ubyte.gz", LABELS_HEADER)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": to_png(image), "label": int(label)}


def _idx(name: str, header: int) -> np.ndarray:
    packed = resources.files("jaxgan.data.mnist").joinpath(name).read_bytes()
    return np.frombuffer(gzip.decompress(packed), np.uint8, offset=header)
