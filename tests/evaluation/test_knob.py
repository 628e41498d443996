"""Pictures are measured beside real ones: copies, shifted copies, new ones."""

import jax
import numpy as np
import pytest

from jaxgan.data.writing import Part
from jaxgan.evaluation.evaluator import pixels
from jaxgan.evaluation.knob import Reals, can_read, measure, nearest_training, part_of, shift
from jaxgan.features import Extractor, extract

KEY = jax.random.key(0)
COUNT = 200


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (COUNT, 8, 8, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def reals() -> Reals:
    """Pictures of noise, in pixels and in row sums, which a shift to the right hardly moves."""
    rows = Extractor("row sums", "none", None, lambda images: images.sum((2, 3)))
    train, usual = Part(noise(0), None), Part(noise(1), None)
    spaces = {"pixels": pixels(), "features": rows}
    features = {
        space: {"train": extract(each, train.images), "usual": extract(each, usual.images)}
        for space, each in spaces.items()
    }
    return Reals(train, usual, None, None, spaces, features)


@pytest.mark.slow
def test_copies_are_told(reals):
    found = measure(reals, reals.train, KEY, sources=reals.train.images)
    for space in reals.spaces:
        assert found[f"{space} distance"] == found[f"{space} ratio"] == 0
        assert found[f"{space} authenticity"] == 0
        assert found[f"{space} C_T"] < -3
    assert found["coverage"] == 1 and found["Frechet"] < 1e-6
    assert "accuracy" not in found


@pytest.mark.slow
def test_new_pictures_pass(reals):
    found = measure(reals, Part(noise(2), None), KEY)
    for space in reals.spaces:
        assert found[f"{space} ratio"] == pytest.approx(1, abs=0.2)
        assert abs(found[f"{space} C_T"]) < 3
    assert not [name for name in found if name.endswith("distance")]


@pytest.mark.slow
def test_shifted_copies_pass_in_pixels_alone(reals):
    found = measure(reals, Part(shift(reals.train.images), None), KEY)
    assert found["pixels C_T"] > -3 > found["features C_T"]
    assert found["pixels ratio"] > 0.95 > 0.9 > found["features ratio"]


def test_a_shift_moves_columns_and_repeats_the_first():
    image = np.arange(4, dtype=np.uint8).reshape(1, 1, 4, 1)
    assert shift(image).ravel().tolist() == [0, 0, 1, 2]


def test_the_training_picture_nearest_to_a_copy_is_its_original(reals):
    found = nearest_training(reals, reals.train.images[3:5])
    np.testing.assert_array_equal(found[:, 0], reals.train.images[3:5])
    assert len(found[0]) == 5


def test_only_pictures_with_labels_beside_labeled_real_ones_can_be_read(reals):
    labeled = Part(noise(3), np.zeros(COUNT, np.int32))
    with_test = reals._replace(test=labeled, classes=1)
    assert can_read(with_test, labeled)
    assert not can_read(with_test, reals.train)
    assert not can_read(reals._replace(classes=1), labeled)
    assert not can_read(reals._replace(test=labeled), labeled)
    small = Part(labeled.images[:, :4], labeled.labels)
    assert not can_read(with_test, small)


def test_a_part_keeps_labels_beside_pictures():
    whole = Part(noise(0), np.arange(COUNT, dtype=np.int32))
    part = part_of(whole, slice(5, 7))
    np.testing.assert_array_equal(part.images, whole.images[5:7])
    assert part.labels is not None and part.labels.tolist() == [5, 6]
    assert part_of(whole._replace(labels=None), slice(2)).labels is None
