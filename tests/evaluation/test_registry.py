"""Metrics that look at classes, labels and held-out examples, of pictures whose class is plain."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.evaluation import usefulness
from jaxgan.evaluation.registry import METRICS, Reals, Samples, Split, named
from jaxgan.features import Extractor
from jaxgan.recipes.mnist_mlp import MnistMlp
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
COUNT, CLASSES = 600, 3


def features(images):
    """Left and right brightness; the class is how bright the left side is."""
    return jnp.stack([images[:, :, :4].mean((1, 2, 3)), images[:, :, 4:].mean((1, 2, 3))], 1)


def logits(features):
    return -((3 * features[:, :1] - jnp.arange(CLASSES)[None] - 0.5) ** 2)


SIDES = Extractor("sides", "none", None, features, logits, short="sides")


def pictures(labels: np.ndarray, seed: int) -> Samples:
    """Noisy pictures of these classes, of which the right side says nothing."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 40, (len(labels), 8, 8, 1)).astype(float)
    left, right = random.uniform([[5], [0]], [[40], [100]], (2, len(labels)))
    images[:, :, :4] += (85 * labels + left)[:, None, None, None]
    images[:, :, 4:] += right[:, None, None, None]
    return Samples(images.clip(0, 255).astype(np.uint8), SIDES, labels.astype(np.int32))


def any_labels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, CLASSES, COUNT)


@pytest.fixture(scope="module")
def reals() -> Reals:
    reference, others, held_out = (pictures(any_labels(seed), seed) for seed in range(3))
    split = Split(reference, held_out, "others")
    return Reals(MnistMlp(), reference, others, split, CLASSES)


def measured(reals: Reals, name: str, fake: Samples) -> Mapping[str, Any]:
    assert METRICS[name].applies(reals)
    return METRICS[name].measure(reals, fake, KEY)


def test_a_class_counts_from_a_tenth_of_its_share_on(reals):
    labels = any_labels(5)
    assert measured(reals, "classes", pictures(labels, 5))["classes"] == 3
    labels[labels == 1] = 2
    labels[:10] = 1  # as a classifier that errs might read
    assert measured(reals, "classes", pictures(labels, 5))["classes"] == 2
    labels[:40] = 1
    assert measured(reals, "classes", pictures(labels, 5))["classes"] == 3


def test_a_damage_of_one_class_shows_in_its_numbers_alone(reals):
    labels = any_labels(5)
    fake = pictures(labels, 5)
    images = fake.array.copy()
    images[labels == 2, :, 4:] = 255
    found = measured(reals, "by_class", Samples(images, SIDES))
    distances, recalls = (
        [found[f"{name}_class_{label}"] for label in range(CLASSES)]
        for name in ("fd_sides", "recall")
    )
    assert distances[2] > 50 * max(distances[:2])
    assert recalls[2] < 0.3 < 0.7 < min(recalls[:2])
    assert len(found) == 2 * CLASSES
    assert METRICS["by_class"].only_asked


def test_a_class_that_is_missing_is_named(reals):
    with pytest.raises(UserError, match="^0 samples and .* read as class 1, of which 4 are needed"):
        measured(reals, "by_class", pictures(2 * (any_labels(5) // 2), 5))


def test_samples_are_as_asked_or_not(reals):
    labels = any_labels(5)
    fake = pictures(labels, 5)
    assert measured(reals, "as_asked", fake)["as_asked"] == 1
    told = np.where(np.arange(COUNT) < 150, 2 - labels, labels).astype(np.int32)
    fake = Samples(fake.examples, SIDES, told)
    expected = 1 - np.mean(labels[:150] != 1) / 4
    assert measured(reals, "as_asked", fake)["as_asked"] == pytest.approx(expected)
    assert not METRICS["as_asked"].applies(reals._replace(classes=None))
    assert not METRICS["as_asked"].applies(reals._replace(classes=7))


def test_a_classifier_learns_from_samples_and_reads_what_is_held_out(reals, monkeypatch):
    monkeypatch.setattr(usefulness, "STEPS", 60)
    monkeypatch.setattr(usefulness, "CHANNELS", (4, 8))
    fake = pictures(any_labels(5), 5)
    assert measured(reals, "cas", fake)["cas"] > 0.9
    assert fake.labels is not None
    wrong = Samples(fake.examples, SIDES, np.roll(fake.labels, 1))
    assert measured(reals, "cas", wrong)["cas"] < 0.6
    assert not METRICS["cas"].applies(reals._replace(classes=None))
    assert not METRICS["cas"].applies(reals._replace(split=None))


def test_copies_are_nearer_to_the_reference_than_to_what_is_held_out(reals):
    copies = Samples(reals.reference.examples, SIDES)
    assert measured(reals, "fd", copies)["fd_sides"] < 1e-9
    held_out = measured(reals, "fd_held_out", copies)["fd_held_out_sides"]
    assert held_out == measured(reals, "fd_held_out", reals.reference)["fd_held_out_sides"] > 1e-6
    assert named("fd_held_out", "inception") == "fid_held_out"
