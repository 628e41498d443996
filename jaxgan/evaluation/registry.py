"""The metrics of an evaluation, under one signature."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Float64, Int, Int32

from jaxgan import metrics
from jaxgan.data.writing import Part
from jaxgan.evaluation import usefulness
from jaxgan.evaluation.caching import remembered
from jaxgan.evaluation.examples import Examples, digest_of
from jaxgan.evaluation.protocols import AS_PUBLISHED, Settings
from jaxgan.features import Extractor, extract
from jaxgan.metrics import Estimate
from jaxgan.metrics.extrapolation import POINTS, SMALLEST
from jaxgan.metrics.memorization import FEWEST
from jaxgan.metrics.similarity import scales
from jaxgan.recipes import Recipe
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError

PAIRS = {"pairs": 10_000}  # of images whose similarity is measured
SLICES = {"directions": 128}  # of the sliced Wasserstein distance
PATCHES = {"patches": 4}  # of each image
CELLS = {"cells": 3}  # of the training set, in which copies are looked for
PRESENT = {"least share": "a tenth of that of real examples"}  # of a class that counts as found
MOST_NEIGHBOURS, MOST_SPLITS = 5, 10  # of the settings of any protocol
FEW = 10  # real examples, at least, of a class that is looked for
HIGHER = {  # metrics for which higher is better
    *("is", "precision", "recall", "density", "coverage"),
    *("classes", "as_asked", "cas", "modes", "high_quality"),
}
OF_INCEPTION = {  # names if the features are
    "fd": "fid",
    "kd": "kid",
    "is": "is",
    "fd_held_out": "fid_held_out",
    "fd_infinity": "fid_infinity",
}


def named(metric: str, short: str) -> str:
    """Names a metric of features: as papers do if they are Inception's, else by their name.

    Args:
        metric: the metric, such as "fd", the Frechet distance.
        short: of the extractor, such as "digits".

    Returns:
        A name such as "fid" or "fd_digits"; other metrics have one for all features.
    """
    if metric not in OF_INCEPTION:
        return metric
    return OF_INCEPTION[metric] if short == "inception" else f"{metric}_{short}"


def renamed(name: str, short: str) -> str:
    """Finds the name that a metric has for an extractor's features.

    Args:
        name: of a metric; "fd" and "kd" are those of whatever features there are.
        short: of the extractor.

    Returns:
        Its name in tables and files.

    Raises:
        UserError: if it is the name for Inception's features, and these are others.
    """
    family = {published: metric for metric, published in OF_INCEPTION.items()}.get(name, name)
    proper = named(family, short)
    if name in OF_INCEPTION.values() and proper != name:
        raise UserError(f"{name} is of Inception's features; of these it is {proper}")
    return proper


def is_higher_better(name: str) -> bool:
    """Tells whether a higher value of a metric is a better one."""
    return name in HIGHER or name.startswith("is_")


def flattened(x: Any) -> Any:
    """Flattens all axes but the first."""
    return x.reshape(len(x), -1)


#: Of examples that are no images: their own values are their features.
OWN_VALUES = Extractor("the vectors themselves", "none", None, flattened, short="points")


@dataclass(frozen=True, eq=False)
class Samples:
    """Examples, real or generated, and what is computed of them once, when first needed."""

    examples: np.ndarray | Examples  # uint8 images [N, H, W, C], or float32 [N, ...]
    extractor: Extractor
    labels: Int32[np.ndarray, "N"] | None = None  # of the data set, or what G was asked for
    remember: bool = False  # for later evaluations; of features without weights, nothing

    @cached_property
    def key(self) -> dict[str, str] | None:
        """What tells these from other samples and features; None if they are not remembered."""
        if not self.remember or self.extractor.weights_hash is None:
            return None
        found, names = self.examples, f"{self.extractor.name}, {self.extractor.resizing}"
        return {
            "examples": found.digest if isinstance(found, Examples) else digest_of(found),
            "labels": "" if self.labels is None else digest_of(self.labels),
            "features": f"{names}, {self.extractor.weights_hash}",
        }

    @cached_property
    def features(self) -> Float32[np.ndarray, "N F"]:
        """The features; examples that are no images are their own."""
        if self.extractor is OWN_VALUES:
            return flattened(self.array)
        return self._computed("features", self._extract)

    @cached_property
    def array(self) -> np.ndarray:
        """All examples, for what needs more than their features."""
        found = self.examples
        return found.read()["image"] if isinstance(found, Examples) else found

    def first(self, count: int) -> "Samples":
        """Returns the first of these samples, or all if there are no more."""
        if count >= len(self.examples):
            return self
        labels = None if self.labels is None else self.labels[:count]
        return replace(self, examples=self.examples[:count], labels=labels)

    def radii(self, ks: Sequence[int]) -> Float64[np.ndarray, "N K"]:
        """The squared distances to some of the nearest neighbors, each counted from 1."""
        return self._computed(f"radii {[*ks]}", lambda: metrics.radii(self.features, ks))

    def _extract(self) -> np.ndarray:
        if not isinstance(self.examples, Examples):
            return extract(self.extractor, self.examples)
        parts = (part["image"] for part in self.examples.parts())
        return np.concatenate([extract(self.extractor, part) for part in parts])

    def _computed(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        if self.key is None:
            return make()
        return remembered({"what": name, **self.key}, lambda: {"array": make()})["array"]

    @cached_property
    def logits(self) -> Float32[np.ndarray, "N K"] | None:
        """Of the classifier, if the features are a classifier's."""
        logits = self.extractor.logits
        return None if logits is None else np.asarray(logits(jnp.asarray(self.features)))


class Split(NamedTuple):
    """Real examples, by whether the GAN learned from them."""

    train: Samples  # all of them
    held_out: Samples
    name: str  # of the data set that is held out


class Reals(NamedTuple):
    """What metrics compare samples with."""

    recipe: Recipe
    reference: Samples
    others: Samples  # as many that are not among the reference
    split: Split | None  # None where no examples are known to be held out
    classes: int | None = None  # that G is asked for; None if its samples have no labels
    how: Settings = AS_PUBLISHED

    def named(self, metric: str) -> str:
        """Names a metric of these features."""
        return named(metric, self.reference.extractor.short)


class Metric(NamedTuple):
    """A metric, or several that are computed together."""

    # Of samples: numbers by name. The deviation of one that is a mean of parts is told, too.
    measure: Callable[[Reals, Samples, PRNGKey], Mapping[str, float | Estimate]]
    applies: Callable[[Reals], bool]
    settings: Callable[[int, Reals], Mapping[str, int | str]]  # for a number of samples
    fresh: Callable[[Reals], Samples] = lambda reals: reals.others  # whose numbers are the floor
    least: int = 2  # samples, and reference examples
    compares: bool = True  # with the reference examples
    only_asked: bool = False  # is left out unless it is asked for by name


def _fd(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    return {reals.named("fd"): metrics.frechet_distance(reals.reference.features, fake.features)}


def _kd(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, Estimate]:
    settings = _kd_settings(len(fake.examples), reals)
    found = metrics.kernel_distance(
        reals.reference.features,
        fake.features,
        key,
        blocks=settings["blocks"],
        block_size=settings["block"],
    )
    return {reals.named("kd"): found}


def _kd_settings(count: int, reals: Reals) -> dict[str, int]:
    """Blocks as published, or of all samples if there are too few."""
    sizes = count, len(reals.reference.examples)
    block = min(reals.how.block, *sizes)
    return {"block": block, "blocks": 1 if block == max(sizes) else reals.how.blocks}


def _inception_score(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, Estimate]:
    assert fake.logits is not None
    return {reals.named("is"): metrics.inception_score(fake.logits, key, splits=reals.how.splits)}


def _prdc(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    reference, ks = reals.reference, (reals.how.k_manifold, reals.how.k_density)
    return metrics.prdc(
        reference.features,
        fake.features,
        k_manifold=ks[0],
        k_density=ks[1],
        radii_real=reference.radii(ks),
    )._asdict()


def _swd(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    count = min(len(reals.reference.examples), len(fake.examples))
    a, b = (x.first(count).array.astype(np.float32) for x in (reals.reference, fake))
    if not _are_images(reals):
        return {"swd": metrics.sliced_wasserstein(flattened(a), flattened(b), key, **SLICES)}
    levels = metrics.pyramid_distances(a, b, key, **PATCHES, **SLICES)
    return {f"swd_{height}": distance for height, distance in levels.items()}


def _ms_ssim(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    images = fake.array.astype(np.float32)
    found = metrics.pair_similarities(images, key, data_range=255, **PAIRS)
    return {"ms_ssim": float(found.mean())}


def _fd_held_out(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    held_out = _split(reals).held_out.features
    return {reals.named("fd_held_out"): metrics.frechet_distance(held_out, fake.features)}


def _fd_infinity(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    found = metrics.frechet_infinity(reals.reference.features, fake.features, key)
    return {reals.named("fd_infinity"): found}


def _cmmd(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    return {"cmmd": metrics.cmmd(reals.reference.features, fake.features)}


def _classes(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    labels, true = _read(fake), _read(reals.reference)
    size = _logits(fake).shape[1]
    counts, truth = (np.bincount(x, minlength=size) for x in (labels, true))
    # A classifier errs: some samples are read as a class that is not among them.
    enough = counts / len(labels) >= 0.1 * truth / len(true)
    found = metrics.modes.coverage_of_labels(labels, size, np.maximum(truth, 1))
    return {
        "classes": float(np.sum(enough & (truth >= FEW))),
        "class_kl": found.reverse_kl,
    }


def _by_class(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    """Compares the samples that are read as a class with the real examples that are."""
    name, k = reals.named("fd"), reals.how.k_manifold
    labels, true = _read(fake), _read(reals.reference)
    distances, recalls = {}, {}
    for label in range(_logits(fake).shape[1]):
        own, real = fake.features[labels == label], reals.reference.features[true == label]
        if min(len(own), len(real)) <= k:
            raise UserError(
                f"{len(own)} samples and {len(real)} real examples are read as class {label}, of "
                f"which {k + 1} are needed: draw more"
            )
        distances[f"{name}_class_{label}"] = metrics.frechet_distance(real, own)
        found = metrics.prdc(real, own, k_manifold=k, k_density=k)
        recalls[f"recall_class_{label}"] = found.recall
    return distances | recalls


def _as_asked(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    assert fake.labels is not None
    return {"as_asked": float(np.mean(_read(fake) == fake.labels))}


def _cas(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    assert reals.classes is not None
    held_out = _split(reals).held_out
    learned, read = (Part(x.array, x.labels) for x in (fake, held_out))
    return {"cas": usefulness.usefulness(learned, read, reals.classes, key)}


def _cas_settings(count: int, reals: Reals) -> dict[str, int | str]:
    held_out = _split(reals)
    return {
        "read": f"{len(held_out.held_out.examples)} of {held_out.name}",
        "by": f"a small classifier after {usefulness.STEPS} steps",
    }


def _can_learn(reals: Reals) -> bool:
    """Whether a classifier can learn from samples, and read what is held out."""
    if reals.classes is None or reals.split is None or not _are_images(reals):
        return False
    labeled = reals.split.held_out.labels is not None and reals.others.labels is not None
    return labeled and min(_shape(reals)[:2]) >= usefulness.LEAST_SIDE


def _reads_labels(reals: Reals) -> bool:
    """Whether the features' classifier reads the classes that G is asked for."""
    return (
        _has_logits(reals)
        and reals.classes == _logits(reals.others).shape[1]
        and reals.others.labels is not None
    )


def _has_logits(reals: Reals) -> bool:
    return reals.reference.logits is not None


def _logits(samples: Samples) -> Float32[np.ndarray, "N K"]:
    assert samples.logits is not None
    return samples.logits


def _read(samples: Samples) -> Int[np.ndarray, "N"]:
    return np.argmax(_logits(samples), axis=1)


def _modes(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    found = reals.recipe.coverage(fake.array)
    assert found is not None
    numbers = {"modes": float(found.found), "high_quality": found.high_quality}
    return numbers | {"mode_kl": found.reverse_kl}


def _memorization(reals: Reals, fake: Samples, key: PRNGKey) -> dict[str, float]:
    train, held_out = (samples.features for samples in _split(reals)[:2])
    return {
        "authenticity": metrics.authenticity(train, fake.features),
        "c_t": metrics.data_copying(train, held_out, fake.features, **CELLS),
        "distance_ratio": metrics.nearest_distance_ratio(train, held_out, fake.features),
    }


def _memorization_settings(count: int, reals: Reals) -> dict[str, int | str]:
    train, held_out, name = _split(reals)
    return {"train": len(train.examples), "held out": f"{len(held_out.examples)} of {name}"} | CELLS


def _split(reals: Reals) -> Split:
    assert reals.split is not None
    return reals.split


def _none(count: int, reals: Reals) -> dict[str, int]:
    return {}


def _always(reals: Reals) -> bool:
    return True


def _are_images(reals: Reals) -> bool:
    return reals.reference.extractor is not OWN_VALUES


def _shape(reals: Reals) -> tuple[int, ...]:
    return reals.reference.examples.shape[1:]


METRICS = {
    "fd": Metric(_fd, _always, _none),
    "fd_infinity": Metric(
        _fd_infinity,
        _always,
        lambda count, reals: {"smallest subset": SMALLEST, "subsets": POINTS},
        least=SMALLEST + 1,
        only_asked=True,
    ),
    "cmmd": Metric(_cmmd, lambda reals: reals.reference.extractor.short == "clip", _none),
    "kd": Metric(_kd, _always, _kd_settings),
    "is": Metric(
        _inception_score,
        _has_logits,
        lambda count, reals: {"splits": reals.how.splits},
        least=MOST_SPLITS,
        compares=False,
    ),
    "prdc": Metric(
        _prdc,
        _always,
        lambda count, reals: {
            "k of precision and recall": reals.how.k_manifold,
            "k of density and coverage": reals.how.k_density,
        },
        least=MOST_NEIGHBOURS + 1,
    ),
    "swd": Metric(
        _swd,
        lambda reals: not _are_images(reals) or min(_shape(reals)[:2]) >= 7,
        lambda count, reals: PATCHES | SLICES if _are_images(reals) else SLICES,
    ),
    "ms_ssim": Metric(
        _ms_ssim,
        lambda reals: _are_images(reals) and scales(*_shape(reals)[:2]) > 0,
        lambda count, reals: PAIRS | {"scales": scales(*_shape(reals)[:2])},
        compares=False,
    ),
    "classes": Metric(_classes, _has_logits, lambda count, reals: PRESENT),
    "as_asked": Metric(_as_asked, _reads_labels, _none, compares=False),
    "by_class": Metric(
        _by_class,
        _has_logits,
        lambda count, reals: {"k": reals.how.k_manifold},
        only_asked=True,
    ),
    "modes": Metric(
        _modes,
        lambda reals: reals.recipe.coverage(reals.reference.first(1).array) is not None,
        _none,
        compares=False,
    ),
    "memorization": Metric(
        _memorization,
        lambda reals: reals.split is not None,
        _memorization_settings,
        lambda reals: _split(reals).held_out,
        least=CELLS["cells"] * FEWEST + 1,  # so that one cell has enough
        compares=False,
    ),
    "fd_held_out": Metric(
        _fd_held_out,
        lambda reals: reals.split is not None,
        lambda count, reals: {"of": f"{len(_split(reals).held_out.examples)} {_split(reals).name}"},
        compares=False,
    ),
    "cas": Metric(_cas, _can_learn, _cas_settings, compares=False),
}
