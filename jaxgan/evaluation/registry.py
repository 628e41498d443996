"""The metrics of an evaluation, under one signature."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from jaxgan import metrics
from jaxgan.features import digits
from jaxgan.metrics.similarity import scales
from jaxgan.recipes import Recipe
from jaxgan.types import PRNGKey

KID = {"block": 1000, "blocks": 100}  # of the kernel distance, as published
SPLITS = {"splits": 10}  # of the Inception score
PAIRS = {"pairs": 10_000}  # of images whose similarity is measured
SLICES = {"directions": 128}  # of the sliced Wasserstein distance
PATCHES = {"patches": 4}  # of each image
NEIGHBOURS = {"k_manifold": 3, "k_density": 5}  # of precision and recall, density and coverage
CELLS = {"cells": 3}  # of the training set, in which copies are looked for


HIGHER = {  # metrics for which higher is better
    *("is", "precision", "recall", "density", "coverage"),
    *("classes", "modes", "high_quality"),
}


class Samples(NamedTuple):
    """Examples, real or generated, as metrics take them."""

    examples: np.ndarray  # uint8 images [N, H, W, C], or float32 vectors [N, D]
    features: np.ndarray  # float32 [N, F]
    logits: np.ndarray | None  # float32 [N, K], of a classifier


class Split(NamedTuple):
    """Real examples, by whether the GAN learned from them."""

    train: Samples  # all of them
    held_out: Samples


class Reals(NamedTuple):
    """What metrics compare samples with."""

    recipe: Recipe
    reference: Samples
    others: Samples  # as many that are not among the reference
    split: Split | None  # None where no examples are known to be held out


class Metric(NamedTuple):
    """A metric, or several that are computed together."""

    measure: Callable[[Reals, Samples, PRNGKey], Mapping[str, float]]  # of samples
    applies: Callable[[Reals], bool]
    settings: Callable[[int, Reals], Mapping[str, int]]  # for a number of samples
    fresh: Callable[[Reals], Samples] = lambda reals: reals.others  # whose numbers are the floor


def _fid(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    return {"fid": metrics.frechet_distance(reals.reference.features, fake.features)}


def _kid(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    settings = _kid_settings(len(fake.features), reals)
    found = metrics.kernel_distance(
        reals.reference.features,
        fake.features,
        key,
        blocks=settings["blocks"],
        block_size=settings["block"],
    )
    return {"kid": found.value}


def _kid_settings(count: int, reals: Reals) -> dict[str, int]:
    """Blocks as published, or of all samples if there are too few."""
    sizes = count, len(reals.reference.features)
    block = min(KID["block"], *sizes)
    return {"block": block, "blocks": 1 if block == max(sizes) else KID["blocks"]}


def _inception_score(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    assert fake.logits is not None
    return {"is": metrics.inception_score(fake.logits, key, **SPLITS).value}


def _prdc(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    return metrics.prdc(reals.reference.features, fake.features, **NEIGHBOURS)._asdict()


def _swd(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    real = reals.reference.examples
    count = min(len(real), len(fake.examples))
    a, b = (x[:count].astype(np.float32) for x in (real, fake.examples))
    if a.ndim == 2:
        return {"swd": metrics.sliced_wasserstein(a, b, key, **SLICES)}
    levels = metrics.pyramid_distances(a, b, key, **PATCHES, **SLICES)
    return {f"swd_{height}": distance for height, distance in levels.items()}


def _ms_ssim(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    images = fake.examples.astype(np.float32)
    found = metrics.pair_similarities(images, key, data_range=255, **PAIRS)
    return {"ms_ssim": float(found.mean())}


def _classes(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    labels, true = (
        np.argmax(x.logits, axis=1) for x in (fake, reals.reference) if x.logits is not None
    )
    truth = np.bincount(true, minlength=digits.CLASSES)
    found = metrics.modes.coverage_of_labels(labels, digits.CLASSES, np.maximum(truth, 1))
    return {"classes": float(found.found), "class_kl": found.reverse_kl}


def _modes(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    found = reals.recipe.coverage(fake.examples)
    assert found is not None
    numbers = {"modes": float(found.found), "high_quality": found.high_quality}
    return numbers | {"mode_kl": found.reverse_kl}


def _memorization(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    train, held_out = (samples.features for samples in _split(reals))
    return {
        "authenticity": metrics.authenticity(train, fake.features),
        "c_t": metrics.data_copying(train, held_out, fake.features, **CELLS),
        "distance_ratio": metrics.nearest_distance_ratio(train, held_out, fake.features),
    }


def _memorization_settings(count: int, reals: Reals) -> dict[str, int]:
    train, held_out = (len(samples.features) for samples in _split(reals))
    return {"train": train, "held_out": held_out} | CELLS


def _split(reals: Reals) -> Split:
    assert reals.split is not None
    return reals.split


def _none(count: int, reals: Reals) -> dict[str, int]:
    return {}


def _always(reals: Reals) -> bool:
    return True


def _shape(reals: Reals) -> tuple[int, ...]:
    return reals.reference.examples.shape[1:]


METRICS = {
    "fid": Metric(_fid, _always, _none),
    "kid": Metric(_kid, _always, _kid_settings),
    "is": Metric(
        _inception_score,
        lambda reals: reals.reference.logits is not None,
        lambda count, reals: SPLITS,
    ),
    "prdc": Metric(_prdc, _always, lambda count, reals: NEIGHBOURS),
    "swd": Metric(
        _swd,
        lambda reals: len(_shape(reals)) == 1 or min(_shape(reals)[:2]) >= 7,
        lambda count, reals: SLICES if len(_shape(reals)) == 1 else PATCHES | SLICES,
    ),
    "ms_ssim": Metric(
        _ms_ssim,
        lambda reals: len(_shape(reals)) == 3 and scales(*_shape(reals)[:2]) > 0,
        lambda count, reals: PAIRS | {"scales": scales(*_shape(reals)[:2])},
    ),
    "classes": Metric(
        _classes,
        lambda reals: (
            reals.reference.logits is not None and reals.reference.logits.shape[1] == digits.CLASSES
        ),
        _none,
    ),
    "modes": Metric(
        _modes,
        lambda reals: reals.recipe.coverage(reals.reference.examples[:1]) is not None,
        _none,
    ),
    "memorization": Metric(
        _memorization,
        lambda reals: reals.split is not None,
        _memorization_settings,
        lambda reals: _split(reals).held_out,
    ),
}
