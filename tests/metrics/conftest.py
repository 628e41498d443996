import gzip
from importlib.resources import files

import numpy as np
import pytest


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """MNIST's 10,000 test images, float32 [N, 28, 28, 1] in 0..1, in their order."""
    packed = (files("jaxgan.data.mnist") / "t10k-images-idx3-ubyte.gz").read_bytes()
    pixels = np.frombuffer(gzip.decompress(packed), np.uint8, offset=16)
    return (pixels.reshape(-1, 28, 28, 1) / 255).astype(np.float32)


@pytest.fixture(scope="session")
def digit_labels() -> np.ndarray:
    """Their labels, uint8 [N]."""
    packed = (files("jaxgan.data.mnist") / "t10k-labels-idx1-ubyte.gz").read_bytes()
    return np.frombuffer(gzip.decompress(packed), np.uint8, offset=8)
