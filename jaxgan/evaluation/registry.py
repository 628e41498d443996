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


HIGHER = {  # metrics for which higher is better
    *("is", "precision", "recall", "density", "coverage"),
    *("classes", "modes", "high_quality"),
}


class Samples(NamedTuple):
    """Examples, real or generated, as metrics take them."""

    examples: np.ndarray  # uint8 images [N, H, W, C], or float32 vectors [N, D]
    features: np.ndarray  # float32 [N, F]
    logits: np.ndarray | None  # float32 [N, K], of a classifier


class Metric(NamedTuple):
    """A metric, or several that are computed together."""

    measure: Callable[[Recipe, Samples, Samples, PRNGKey], Mapping[str, float]]  # of real, fake
    applies: Callable[[Recipe, Samples], bool]  # to real examples
    settings: Callable[[int, Samples], Mapping[str, int]]  # for a number of fakes, and reals


def _fid(recipe: Recipe, real: Samples, fake: Samples, key: PRNGKey) -> dict[str, float]:
    return {"fid": metrics.frechet_distance(real.features, fake.features)}


def _kid(recipe: Recipe, real: Samples, fake: Samples, key: PRNGKey) -> dict[str, float]:
    settings = _kid_settings(len(fake.features), real)
    found = metrics.kernel_distance(
        real.features,
        fake.features,
        key,
        blocks=settings["blocks"],
        block_size=settings["block"],
    )
    return {"kid": found.value}


def _kid_settings(count: int, real: Samples) -> dict[str, int]:
    """Blocks as published, or of all samples if there are too few."""
    sizes = count, len(real.features)
    block = min(KID["block"], *sizes)
    return {"block": block, "blocks": 1 if block == max(sizes) else KID["blocks"]}


def _inception_score(
    recipe: Recipe, real: Samples, fake: Samples, key: PRNGKey
) -> dict[str, float]:
    assert fake.logits is not None
    return {"is": metrics.inception_score(fake.logits, key, **SPLITS).value}


def _prdc(recipe: Recipe, real: Samples, fake: Samples, key: PRNGKey) -> dict[str, float]:
    return metrics.prdc(real.features, fake.features, **NEIGHBOURS)._asdict()


def _swd(recipe: Recipe, real: Samples, fake: Samples, key: PRNGKey) -> dict[str, float]:
    count = min(len(real.examples), len(fake.examples))
    a, b = (x.examples[:count].astype(np.float32) for x in (real, fake))
    if a.ndim == 2:
        return {"swd": metrics.sliced_wasserstein(a, b, key, **SLICES)}
    levels = metrics.pyramid_distances(a, b, key, **PATCHES, **SLICES)
    return {f"swd_{height}": distance for height, distance in levels.items()}


def _ms_ssim(recipe: Recipe, real: Samples, fake: Samples, key: PRNGKey) -> dict[str, float]:
    images = fake.examples.astype(np.float32)
    found = metrics.pair_similarities(images, key, data_range=255, **PAIRS)
    return {"ms_ssim": float(found.mean())}


def _classes(recipe: Recipe, real: Samples, fake: Samples, key: PRNGKey) -> dict[str, float]:
    labels, true = (np.argmax(x.logits, axis=1) for x in (fake, real) if x.logits is not None)
    truth = np.bincount(true, minlength=digits.CLASSES)
    found = metrics.modes.coverage_of_labels(labels, digits.CLASSES, np.maximum(truth, 1))
    return {"classes": float(found.found), "class_kl": found.reverse_kl}


def _modes(recipe: Recipe, real: Samples, fake: Samples, key: PRNGKey) -> dict[str, float]:
    found = recipe.coverage(fake.examples)
    assert found is not None
    numbers = {"modes": float(found.found), "high_quality": found.high_quality}
    return numbers | {"mode_kl": found.reverse_kl}


def _none(count: int, real: Samples) -> dict[str, int]:
    return {}


def _always(recipe: Recipe, real: Samples) -> bool:
    return True


METRICS = {
    "fid": Metric(_fid, _always, _none),
    "kid": Metric(_kid, _always, _kid_settings),
    "is": Metric(
        _inception_score, lambda _, real: real.logits is not None, lambda count, real: SPLITS
    ),
    "prdc": Metric(_prdc, _always, lambda count, real: NEIGHBOURS),
    "swd": Metric(
        _swd,
        lambda _, real: real.examples.ndim == 2 or min(real.examples.shape[1:3]) >= 7,
        lambda count, real: SLICES if real.examples.ndim == 2 else PATCHES | SLICES,
    ),
    "ms_ssim": Metric(
        _ms_ssim,
        lambda _, real: real.examples.ndim == 4 and scales(*real.examples.shape[1:3]) > 0,
        lambda count, real: PAIRS | {"scales": scales(*real.examples.shape[1:3])},
    ),
    "classes": Metric(
        _classes,
        lambda _, real: real.logits is not None and real.logits.shape[1] == digits.CLASSES,
        _none,
    ),
    "modes": Metric(
        _modes, lambda recipe, real: recipe.coverage(real.examples[:1]) is not None, _none
    ),
}
