import gzip
import hashlib
import sys
from importlib import resources

import numpy as np
import pytest

from jaxgan.data.sources import open_source

DIGESTS = {  # of the unpacked files, as published
    "train": "6bbc9ace898e44ae57da46a324031adb",
    "test": "2646ac647ad5339dbf082846283269ea",
}
LABEL_DIGESTS = {
    "train": "a25bea736e30d166cdddb491f175f624",
    "test": "27ae3e4e09519cfbb04c329615203637",
}


def mnist(spec: str, data_dir: str, image_size: int | None = None):
    return open_source(spec, image_size=image_size, default_size=64, data_dir=data_dir)


@pytest.mark.slow
@pytest.mark.parametrize(("split", "size"), [("train", 60_000), ("test", 10_000)])
def test_decoded_bytes_are_the_published_ones(whole_mnist_dir, split, size):
    images, labels = mnist(f"mnist@{split}", whole_mnist_dir).read(range(size))
    assert images.shape == (size, 28, 28, 1)
    header = np.array([0x803, size, 28, 28], ">i4").tobytes()
    assert hashlib.md5(header + images.tobytes()).hexdigest() == DIGESTS[split]
    assert labels is not None
    header = np.array([0x801, size], ">i4").tobytes()
    digest = hashlib.md5(header + labels.astype(np.uint8).tobytes()).hexdigest()
    assert digest == LABEL_DIGESTS[split]


def packaged(name: str) -> bytes:
    packed = resources.files("jaxgan.data.mnist").joinpath(f"{name}-ubyte.gz")
    return gzip.decompress(packed.read_bytes())


def test_packaged_files_are_the_published_ones_and_are_decoded_as_they_are(mnist_dir):
    for split, prefix in (("train", "train"), ("test", "t10k")):
        pictures, digits = packaged(f"{prefix}-images-idx3"), packaged(f"{prefix}-labels-idx1")
        assert hashlib.md5(pictures).hexdigest() == DIGESTS[split]
        assert hashlib.md5(digits).hexdigest() == LABEL_DIGESTS[split]
        images, labels = mnist(f"mnist@{split}", mnist_dir).read(range(500))
        assert images.tobytes() == pictures[16:][: 500 * 28 * 28] and labels is not None
        assert labels.astype(np.uint8).tobytes() == digits[8:][:500]


def test_a_slice_begins_where_it_says(mnist_dir):
    whole, part = mnist("mnist", mnist_dir), mnist("mnist@train[5000:]", mnist_dir)
    assert len(part) == len(whole) - 5000
    for i in (0, 1, len(part) - 1):
        np.testing.assert_array_equal(part.read([i])[0], whole.read([5000 + i])[0])


def test_image_size_resizes(mnist_dir):
    source = mnist("mnist@test", mnist_dir, image_size=32)
    assert source.shape == source.read([0])[0].shape[1:] == (32, 32, 1)


def test_preparing_says_one_line_and_imports_no_tensorflow(mnist_dir, tmp_path, capfd):
    from jaxgan.data import preparing
    from jaxgan.data.preparing import BUILDERS

    builder = preparing.declare(BUILDERS["mnist"], tmp_path)
    builder._generate_examples = lambda prefix: iter([(0, _first())])  # one is enough here
    preparing.prepare(builder, BUILDERS["mnist"], tmp_path)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == f"Preparing jaxgan_mnist/1.0.0 (once, into {tmp_path})...\n"
    assert "tensorflow" not in sys.modules


def _first() -> dict:
    from jaxgan.data.pixels import to_png

    return {"image": to_png(np.zeros((28, 28), np.uint8)), "label": 0}
