"""Small data sets, made on the spot."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tiny import define, encode, noise, prepare


@pytest.fixture(scope="session")
def tiny_images() -> np.ndarray:
    return noise(20, 12, 10, 3)


@pytest.fixture(scope="session")
def tiny_dir(tmp_path_factory, tiny_images) -> str:
    """A data directory with three prepared data sets whose code TFDS does not know."""
    root = tmp_path_factory.mktemp("tiny")
    fixed = {
        "image": tfds.features.Image(shape=(12, 10, 3)),
        "label": tfds.features.ClassLabel(num_classes=4),
        "text": tfds.features.Text(),
    }
    examples = [
        {"image": encode(image), "label": i % 4, "text": "unused"}
        for i, image in enumerate(tiny_images)
    ]
    prepare(define("tiny_fixed", fixed, examples), root)
    free = {"image": tfds.features.Image()}
    sizes = [(8, 16), (16, 8), (12, 12), (5, 7)]
    examples = [{"image": encode(noise(1, *size, 3)[0])} for size in sizes]
    prepare(define("tiny_free", free, examples), root)
    prepare(define("tiny_text", {"text": tfds.features.Text()}, [{"text": "a"}]), root)
    return str(root)
