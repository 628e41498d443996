"""Evaluates samples of a GAN: metrics against real examples, each with a floor.

The floor of a metric is its value for other real examples, as many as there are reference examples.
No generator can be expected to do better. The floor of memorization is that of held-out examples.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxgan import metrics
from jaxgan.data import name_and_split, unscale
from jaxgan.evaluation.registry import METRICS, Reals, Samples, Split
from jaxgan.features import Extractor, digits, extract, inception
from jaxgan.keys import from_seed, stream
from jaxgan.metrics import Protocol, Result
from jaxgan.metrics.intervals import LEVEL
from jaxgan.recipes import ImageRecipe, Recipe
from jaxgan.report import pictures
from jaxgan.types import PyTree
from jaxgan.util.errors import UserError

MOST = 1_000_000  # samples
MOST_TRAINING = 200_000  # examples that are searched for copies
ROWS, COLUMNS = 8, 5  # of samples beside the training examples nearest to them
TOGETHER = 256  # real examples made at once


class Evaluated(NamedTuple):
    """A metric of generated samples, and its floor."""

    result: Result
    floor: float


class Evaluator:
    """Evaluates samples of one recipe's GANs, always against the same real examples."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        num: int,
        names: Sequence[str] | None = None,
        held_out: str | None = None,
        extractor: Extractor | None = None,
        seed: int = 0,
        data_dir: str | None = None,
    ):
        """Reads the real examples and extracts their features.

        Args:
            recipe: the recipe.
            num: number of generated samples, and of reference examples, or half of all examples if
                there are fewer than twice as many.
            names: metrics, of `METRICS`; None for all that apply.
            held_out: a data set of images like those that the GANs learn from, but not among them,
                such as "mnist@test", to measure memorization; None for none.
            extractor: of features; None for the recipe's default (see `fitting_extractor`).
            seed: of the choice of real examples, and of what metrics draw.
            data_dir: TFDS's data directory; None for its default.

        Raises:
            UserError: if a metric does not apply or there are too few examples.
        """
        if not 2 <= num <= MOST:
            raise UserError(f"num must be from 2 to {MOST}, not {num}")
        self._num, self._seed = num, seed
        unknown = [name for name in names or () if name not in METRICS]
        if unknown:
            raise UserError(f"no metric {', '.join(unknown)}: choose from {', '.join(METRICS)}")
        examples = real_examples(recipe, 2 * num, seed, data_dir)
        half = len(examples) // 2
        self._extractor = extractor or fitting_extractor(recipe, examples.shape[1:])
        self._reals = Reals(
            recipe,
            reference=self._extract(examples[:half]),
            others=self._extract(examples[half : 2 * half]),
            split=None if held_out is None else self._read_split(recipe, held_out, data_dir),
        )
        fitting = [name for name, metric in METRICS.items() if metric.applies(self._reals)]
        unfit = [name for name in names or () if name not in fitting]
        if unfit:
            hint = "give --held-out, or " if unfit == ["memorization"] else ""
            raise UserError(
                f"{', '.join(unfit)} cannot be measured here: {hint}choose from "
                f"{', '.join(fitting)}"
            )
        self._names = names or fitting
        self._key = stream(from_seed(seed), "metrics")
        self._floor = {
            name: self._measure_one(name, METRICS[name].fresh(self._reals)) for name in self._names
        }

    @property
    def floors(self) -> dict[str, float]:
        """The floor of each metric, by name."""
        return {name: x for numbers in self._floor.values() for name, x in numbers.items()}

    def __call__(self, draws: Sequence[np.ndarray]) -> list[Evaluated]:
        """Evaluates generated samples.

        Args:
            draws: one or more independent draws: uint8 images `[num, H, W, C]` or float32 vectors
                `[num, D]`.

        Returns:
            The mean of each metric over the draws, with an interval if there are several.

        Raises:
            UserError: if a shape is wrong, or a metric is undefined for these samples.
        """
        like = (self._num, *self._reals.reference.examples.shape[1:])
        wrong = [draw.shape for draw in draws if draw.shape != like]
        if wrong or not draws:
            raise UserError(f"evaluate draws of the shape {like}, not {wrong or 'none'}")
        found = [
            {name: self._measure_one(name, fake) for name in self._names}
            for fake in map(self._extract, draws)
        ]
        return [
            Evaluated(self._result(metric, name, [each[metric][name] for each in found]), floor)
            for metric, floors in self._floor.items()
            for name, floor in floors.items()
        ]

    def nearest(self, samples: np.ndarray) -> np.ndarray | None:
        """Finds the training examples that are nearest to samples, by their features.

        Args:
            samples: uint8 images `[N, H, W, C]`.

        Returns:
            Some of the samples, from the one that is nearest to the training set to the farthest,
            each before the examples nearest to it: uint8 `[rows, 1 + k, H, W, C]`. None if no
            examples are held out.
        """
        if self._reals.split is None:
            return None
        train, features = self._reals.split.train, extract(self._extractor, samples)
        order = np.argsort(metrics.nearest(features, train.features).distances[:, 0])
        shown = pictures.evenly(order.tolist(), ROWS)
        found = metrics.nearest(features[shown], train.features, min(COLUMNS, len(train.features)))
        return np.concatenate([samples[shown, None], train.examples[found.indices]], axis=1)

    def protocol(self, draws: int) -> str:
        """Describes what the metrics depend on besides the generator, on one line.

        Args:
            draws: number of draws that are evaluated together.
        """
        own = {", ".join(floors): self._settings(metric) for metric, floors in self._floor.items()}
        settings_of_each = [
            f"{names}: {', '.join(f'{name} {value}' for name, value in settings.items())}"
            for names, settings in own.items()
            if settings
        ]
        return "; ".join([str(self._protocol({"draws": draws})), *settings_of_each])

    def _extract(self, examples: np.ndarray) -> Samples:
        if examples.ndim == 2:
            return Samples(examples, examples, None)
        features = extract(self._extractor, examples)
        logits = self._extractor.logits
        return Samples(
            examples,
            features,
            None if logits is None else np.asarray(logits(jnp.asarray(features))),
        )

    def _read_split(self, recipe: Recipe, held_out: str, data_dir: str | None) -> Split:
        if not isinstance(recipe, ImageRecipe):
            raise UserError(f"{recipe.name} has no data set of which examples could be held out")
        train, other = (
            # Small batches, as examples that do not fill one are left out.
            real_examples(
                recipe.with_values({"data": data, "batch_size": 1}),
                MOST_TRAINING,
                self._seed,
                data_dir,
            )
            for data in (recipe.data, held_out)
        )
        if train.shape[1:] != other.shape[1:]:
            raise UserError(
                f"the images of {held_out} have the shape {other.shape[1:]}, those of "
                f"{recipe.data} {train.shape[1:]}: hold out images of one size and color"
            )
        return Split(self._extract(train), self._extract(other))

    def _measure_one(self, name: str, fake: Samples) -> Mapping[str, float]:
        """Computes the numbers of a metric."""
        try:
            return METRICS[name].measure(self._reals, fake, stream(self._key, name))
        except UserError as error:
            raise UserError(f"{name} of {len(fake.examples)} samples: {error}") from None

    def _settings(self, metric: str) -> Mapping[str, int]:
        return METRICS[metric].settings(self._num, self._reals)

    def _protocol(self, settings: Mapping[str, int]) -> Protocol:
        recipe, reference = self._reals.recipe, self._reals.reference.examples
        shape = reference.shape[1:]
        resizing = self._extractor.resizing
        data, split = recipe.name, "drawn"
        if isinstance(recipe, ImageRecipe):
            data, split = name_and_split(recipe.data)
            read = "as read" if recipe.image_size is None else "by image_size"
            resizing = f"{'x'.join(map(str, shape))} {read}, then {resizing}"
        return Protocol(
            generated=self._num,
            reference=len(reference),
            data=data,
            split=split,
            resizing=resizing,
            features=self._extractor.name,
            weights=self._extractor.weights_hash,
            seed=self._seed,
            settings=settings,
        )

    def _result(self, metric: str, name: str, values: Sequence[float]) -> Result:
        protocol = self._protocol({**self._settings(metric), "draws": len(values)})
        interval = metrics.t_interval(values) if len(values) > 1 else None
        return Result(name, float(np.mean(values)), protocol, interval)


def real_examples(
    recipe: Recipe, count: int, seed: int = 0, data_dir: str | None = None
) -> np.ndarray:
    """Draws real examples of a recipe, all different, in a random order.

    Args:
        recipe: the recipe.
        count: number of examples; all of them if there are fewer.
        seed: of the choice.
        data_dir: TFDS's data directory; None for its default.

    Returns:
        uint8 images [N, H, W, C], or float32 vectors [N, D].

    Raises:
        UserError: if the data set is not available.
    """
    return real_batch(recipe, count, seed, data_dir)["image"]


def real_batch(
    recipe: Recipe, count: int, seed: int = 0, data_dir: str | None = None
) -> dict[str, np.ndarray]:
    """Draws real examples as `real_examples` does, with their labels.

    Args:
        recipe: the recipe.
        count: number of examples; all of them if there are fewer.
        seed: of the choice.
        data_dir: TFDS's data directory; None for its default.

    Returns:
        "image": uint8 [N, H, W, C], or float32 [N, D]; and "label": int32 [N], if there are any.

    Raises:
        UserError: if the data set is not available.
    """
    feed = recipe.examples(seed, data_dir)
    steps = math.ceil(count / feed.batch_size)
    if feed.size is not None:
        steps = min(steps, feed.size // feed.batch_size)
    key = from_seed(seed)

    @jax.jit
    def make(arrays: PyTree, rows: PyTree, first: Array) -> dict[str, Array]:
        def make_one(step_and_row: tuple[Array, PyTree]) -> dict[str, Array]:
            step, row = step_and_row
            own = stream(jax.random.fold_in(key, step), "evaluation")
            batch = feed.batch(arrays, row, own)
            return {name: batch[name] for name in ("image", "label") if name in batch}

        numbers = first + jnp.arange(len(jax.tree.leaves(rows)[0]))
        made = lax.map(make_one, (numbers, rows))
        return {name: x.reshape(-1, *x.shape[2:]) for name, x in made.items()}

    together = min(feed.longest, max(1, TOGETHER // feed.batch_size))
    batches = []
    for start in range(0, steps, together):
        rows = feed.rows(start, min(start + together, steps))
        batch = make(feed.arrays, rows, start)
        if isinstance(recipe, ImageRecipe):
            batch["image"] = unscale(batch["image"], *recipe.value_range)
        batches.append(jax.device_get(batch))
    return {name: np.concatenate([x[name] for x in batches])[:count] for name in batches[0]}


def fitting_extractor(recipe: Recipe, shape: tuple[int, ...]) -> Extractor:
    """Returns the default extractor of a recipe: the digit network for MNIST, else Inception.

    Args:
        recipe: the recipe.
        shape: of one example. Vectors are their own features.

    Returns:
        The extractor.

    Raises:
        UserError: if Inception has no weights yet.
    """
    if len(shape) == 1:
        return Extractor("the vectors themselves", "none", None, lambda images: images)
    if isinstance(recipe, ImageRecipe) and name_and_split(recipe.data)[0] == "mnist":
        if shape[:2] == digits.SHAPE[:2]:
            return digits.load() if shape[2] == 1 else digits.per_channel(shape[2])
    return inception.load()


def pixels() -> Extractor:
    """Returns the extractor whose features are the pixels."""
    return Extractor("pixels", "none", None, lambda images: images.reshape(len(images), -1))


EXTRACTORS: Mapping[str, Callable[[], Extractor]] = {
    "digits": digits.load,
    "inception": inception.load,
    "pixels": pixels,
}


def table(evaluated: Sequence[Evaluated]) -> tuple[list[str], list[list[str]]]:
    """Arranges results as a table.

    Args:
        evaluated: at least one result.

    Returns:
        The heads of the columns, and the rows.
    """
    rows = []
    for result, floor in evaluated:
        interval = result.interval
        ends = "" if interval is None else f"{interval.low:.4g} to {interval.high:.4g}"
        rows.append([result.metric, f"{result.value:.4g}", ends, f"{floor:.4g}"])
    return ["metric", "value", f"{LEVEL:.0%} interval", "of real examples"], rows


def as_json(evaluated: Sequence[Evaluated]) -> list[dict[str, Any]]:
    """Converts results to what JSON can hold."""
    return [{**result.to_dict(), "floor": floor} for result, floor in evaluated]
