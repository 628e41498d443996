"""A classifier learns from examples, and is tested on others."""

import jax
import numpy as np
import pytest

from jaxgan.data.writing import Part
from jaxgan.evaluation import usefulness as module
from jaxgan.evaluation.usefulness import usefulness
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
CLASSES = 3


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(module, "STEPS", 60)
    monkeypatch.setattr(module, "CHANNELS", (4, 8))
    monkeypatch.setattr(module, "LEAST_SIDE", 4)


def bars(count: int, seed: int) -> Part:
    """Noisy pictures with a bright column whose place is the label."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count).astype(np.int32)
    images = random.integers(0, 100, (count, 8, 8, 1))
    images[np.arange(count), :, 2 * labels] += 150
    return Part(images.astype(np.uint8), labels)


def test_what_labels_tell_is_learned():
    assert usefulness(bars(300, 0), bars(200, 1), CLASSES, KEY) > 0.95


def test_wrong_labels_teach_nothing():
    examples = bars(300, 0)
    assert examples.labels is not None
    wrong = examples._replace(labels=np.random.default_rng(2).permutation(examples.labels))
    assert usefulness(wrong, bars(200, 1), CLASSES, KEY) < 0.6


@pytest.mark.parametrize(
    ("examples", "told"),
    [
        (bars(9, 0)._replace(labels=None), "labels"),
        (Part(np.zeros((9, 3, 8, 1), np.uint8), np.zeros(9, np.int32)), "4 x 4 pixels or more"),
    ],
)
def test_what_cannot_be_learned_is_refused(examples, told):
    with pytest.raises(UserError, match=told):
        usefulness(examples, bars(9, 1), CLASSES, KEY)
