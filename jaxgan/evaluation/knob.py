"""Measures synthetic pictures beside real ones: copied from them, as varied, as useful?

Distances are measured in pixels and in features. In pixels, a training picture that is shifted by
one pixel passes for a new one; `measure` of such pictures, a control, shows which features tell.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxgan import metrics
from jaxgan.data.writing import Part
from jaxgan.evaluation.evaluator import pixels
from jaxgan.evaluation.examples import real_batch
from jaxgan.evaluation.protocols import AS_PUBLISHED
from jaxgan.evaluation.usefulness import LEAST_SIDE, usefulness
from jaxgan.features import Extractor, extract
from jaxgan.recipes import ImageRecipe
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError

LEVELS = (1.0, 0.75, 0.5, 0.25, 0.0)  # similarities that are measured
LEAST, MOST = 100, 10_000  # pictures that are measured at each
TRAIN = 10_000  # training pictures that others are compared with, at most
HELD_OUT = 2000  # held-out pictures that say what is usual, at most
COLUMNS = 5  # training pictures that are shown beside a picture


class Reals(NamedTuple):
    """Real pictures that others are compared with."""

    train: Part  # the GAN learned from them; the sources come first
    usual: Part | None  # held out: what is usual; None if nothing is known to be held out
    test: Part | None  # held out: others, to measure as new pictures and to read
    classes: int | None  # of the labels of synthetic pictures; None if they have none
    spaces: Mapping[str, Extractor]  # "pixels" and, if there are any, "features"
    features: Mapping[str, Mapping[str, Float[np.ndarray, "N D"]]]  # of "train" and "usual"


def read_reals(
    recipe: ImageRecipe,
    classes: int | None,
    held_out: str | None,
    extractor: Extractor | None,
    seed: int,
    data_dir: str | None = None,
) -> Reals:
    """Reads real pictures, and extracts their features.

    Args:
        recipe: of the run.
        classes: of the labels of the run's pictures; None if they have none.
        held_out: a data set like that which the run learned from, of other pictures; None for none.
        extractor: of features; None to measure in pixels only.
        seed: of the choice.
        data_dir: TFDS's data directory; None for its default.

    Returns:
        The pictures.

    Raises:
        UserError: if a data set is not available, or does not suit the run.
    """

    def read(data: str, count: int) -> Part:
        batch = real_batch(recipe.one_by_one(data=data), count, seed, data_dir)
        return Part(batch["image"], batch.get("label"))

    train = read(recipe.data, TRAIN)
    if len(train.images) <= AS_PUBLISHED.k_density:
        raise UserError(f"{recipe.data} has {len(train.images)} pictures: too few to compare with")
    usual = test = None
    if held_out is not None:
        both = read(held_out, HELD_OUT + MOST)
        if both.images.shape[1:] != train.images.shape[1:]:
            raise UserError(
                f"the pictures of {held_out} are {both.images.shape[1:]}, those of {recipe.data} "
                f"{train.images.shape[1:]}: hold out pictures of one size and color"
            )
        middle = min(HELD_OUT, len(both.images) // 2)
        usual, test = part_of(both, slice(middle)), part_of(both, slice(middle, None))
        if len(usual.images) < LEAST:
            raise UserError(f"{held_out} has {len(both.images)} pictures; hold out {2 * LEAST}")
    spaces = {"pixels": pixels()} | ({} if extractor is None else {"features": extractor})
    features = {
        space: {
            name: extract(each, part.images)
            for name, part in (("train", train), ("usual", usual))
            if part is not None
        }
        for space, each in spaces.items()
    }
    return Reals(train, usual, test, classes, spaces, features)


def part_of(part: Part, chosen: slice) -> Part:
    """Takes some examples."""
    return Part(part.images[chosen], None if part.labels is None else part.labels[chosen])


def measure(
    reals: Reals,
    part: Part,
    key: PRNGKey,
    sources: UInt8[np.ndarray, "N H W C"] | None = None,
) -> dict[str, float]:
    """Measures pictures.

    Args:
        reals: what `read_reals` returned.
        part: the pictures, at least `LEAST`.
        key: of what is drawn.
        sources: the training picture that each was made near to; None if there is none.

    Returns:
        Numbers by name, of each space "SPACE " and
        - "distance": the mean distance to the source, if there is one;
        - "authenticity" (AuthPct), "C_T" and "ratio" of nearest distances, see
          `jaxgan.metrics.memorization`, the latter two if pictures are held out;
        and, in features if there are any, "coverage" of as many training pictures, and "Frechet"
        distance to all of them; and "accuracy" of a classifier that learned from them, if there
        are labels and pictures to read (see `usefulness`).
    """
    found = {}
    for space, extractor in reals.spaces.items():
        own, real = extract(extractor, part.images), reals.features[space]
        train = real["train"]
        if sources is not None:
            gaps = own - extract(extractor, sources)
            found[f"{space} distance"] = float(np.linalg.norm(gaps, axis=1).mean())
        found[f"{space} authenticity"] = metrics.authenticity(train, own)
        if "usual" in real:
            found[f"{space} C_T"] = metrics.data_copying(train, real["usual"], own)
            found[f"{space} ratio"] = metrics.nearest_distance_ratio(train, real["usual"], own)
        if space == [*reals.spaces][-1]:
            found["coverage"] = metrics.prdc(
                train[: len(own)], own, k_density=AS_PUBLISHED.k_density
            ).coverage
            found["Frechet"] = metrics.frechet_distance(train, own)
    if can_read(reals, part):
        assert reals.test is not None and reals.classes is not None
        found["accuracy"] = usefulness(part, reals.test, reals.classes, key)
    return found


def can_read(reals: Reals, part: Part) -> bool:
    """Tells whether a classifier can learn from pictures and be tested on real ones."""
    test = reals.test
    labeled = test is not None and test.labels is not None and part.labels is not None
    return labeled and reals.classes is not None and min(part.images.shape[1:3]) >= LEAST_SIDE


def shift(images: UInt8[np.ndarray, "N H W C"]) -> UInt8[np.ndarray, "N H W C"]:
    """Moves pictures by one pixel to the right; the first column stays as it is, too."""
    return np.concatenate([images[:, :, :1], images[:, :, :-1]], axis=2)


def nearest_training(
    reals: Reals, images: UInt8[np.ndarray, "N H W C"]
) -> UInt8[np.ndarray, "N K H W C"]:
    """Finds the training pictures that are nearest to others, by features if there are any."""
    space, extractor = [*reals.spaces.items()][-1]
    train = reals.features[space]["train"]
    count = min(COLUMNS, len(train))
    indices: Int[np.ndarray, "N K"] = metrics.nearest(
        extract(extractor, images), train, count
    ).indices
    return reals.train.images[indices]
