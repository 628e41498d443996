"""Evaluates samples of a GAN: metrics against real examples, each with a floor.

The floor of a metric is its value for other real examples, as many as there are reference examples:
what a perfect sampler of the data would get. A GAN that copies its training data gets less than
that, and 0 for copies of the reference itself; memorization tells it from a perfect sampler, and
has the floor of held-out examples.

Every draw of samples has a choice of reference examples of its own, so that an interval over draws
covers both. Where all draws have the same, as those during training, it covers samples alone.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int32

from jaxgan import metrics
from jaxgan.data import name_and_split
from jaxgan.evaluation.caching import remembered
from jaxgan.evaluation.examples import Examples, chooser, real_batch
from jaxgan.evaluation.protocols import AS_PUBLISHED, Settings
from jaxgan.evaluation.registry import (
    METRICS,
    OWN_VALUES,
    Reals,
    Samples,
    Split,
    flattened,
    renamed,
)
from jaxgan.features import Extractor, clip, digits, dinov2, extract, inception
from jaxgan.keys import from_seed, stream
from jaxgan.metrics import Estimate, Protocol, Result
from jaxgan.recipes import ImageRecipe, Recipe
from jaxgan.report import pictures
from jaxgan.util.errors import UserError

MOST = 1_000_000  # samples
MOST_TRAINING = 200_000  # examples that are searched for copies
ROWS, COLUMNS = 8, 5  # of samples beside the training examples nearest to them

Numbers = dict[str, Estimate]  # by name; the deviation is NaN where there are no parts
Tell = Callable[[int, int], None]  # is told how many samples were measured, and of how many

logger = logging.getLogger(__name__)


class Evaluated(NamedTuple):
    """A metric of generated samples, and its floor: means over the draws, and what they are of."""

    result: Result
    floor: float
    draws: Sequence[float] = ()  # the metric of each draw
    floors: Sequence[float] = ()  # the floor of each draw's choice of real examples
    deviations: Sequence[float] = ()  # in each draw, of a metric that is a mean of parts


class Evaluator:
    """Evaluates samples of one recipe's GANs against choices of real examples."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        num: int,
        choices: int = 1,
        reference: int | None = None,
        how: Settings = AS_PUBLISHED,
        names: Sequence[str] | None = None,
        held_out: str | None = None,
        classes: int | None = None,
        extractor: Extractor | None = None,
        seed: int = 0,
        data_dir: str | None = None,
        tell: Tell = lambda done, total: None,
    ):
        """Reads a first choice of real examples, and measures their floors.

        Args:
            recipe: the recipe.
            num: number of generated samples, and of other real examples, which give the floor.
            choices: of reference examples: draws take each in turn.
            reference: number of reference examples, or all if there are fewer; the other real
                examples are the held-out ones then, or the reference itself, if too few are left.
                None for `num`, or half of all examples if there are fewer than twice as many.
            how: what metrics depend on.
            names: metrics, as tables name them, or names of `METRICS`; None for all that apply.
            held_out: a data set of images like those that the GANs learn from, but not among them,
                such as "mnist@test", to measure memorization and usefulness; None for none.
            classes: that G is asked for; None if samples have no labels.
            extractor: of features; None for the recipe's default (see `fitting_extractor`).
            seed: of the choices of real examples, and of what metrics draw.
            data_dir: TFDS's data directory; None for its default.
            tell: is told how far it has come, where each choice gets one draw; each metric of a
                sample counts, and so do those of the real examples beside it.

        Raises:
            UserError: if a metric does not apply or there are too few examples.
        """
        if not 2 <= num <= MOST:
            raise UserError(f"num must be from 2 to {MOST}, not {num}")
        self._recipe, self._num, self._seed, self._data_dir = recipe, num, seed, data_dir
        self._choices, self._tell, self._done = choices, tell, 0
        self._classes, self._reference, self._how = classes, reference, how
        self._draw = chooser(recipe, seed, data_dir)
        examples = self._draw(self._needed, 0)
        if extractor is not None and not isinstance(recipe, ImageRecipe):
            raise UserError(
                f"the examples of {recipe.name} are no images: they are their own features"
            )
        self._extractor = extractor or fitting_extractor(recipe, examples.shape[1:])
        self._split = None if held_out is None else self._read_split(held_out)
        self._first = self._reals(examples)
        self._names = self._choose(names)
        if reference is None and (count := len(self._first.reference.examples)) != num:
            logger.warning(
                "%d samples are compared with %d real examples, as there are no more: numbers "
                "depend on both counts, and --num %d makes them equal",
                *(num, count, count),
            )
        self._key = stream(from_seed(seed), "metrics")
        self._last = 0, self._first, self._measure_floor(self._first, 0)
        self._floors = self._last[2]

    @property
    def floors(self) -> dict[str, float]:
        """The floor of each metric, by name, of the first choice of real examples."""
        return {name: x.value for found in self._floors.values() for name, x in found.items()}

    @property
    def features(self) -> str:
        """The short name of the features."""
        return self._extractor.short

    def labels(self, choice: int) -> Int32[np.ndarray, "N"] | None:
        """Labels of real examples, which a conditional G is to be asked for.

        With each class equally often, a perfect G would not be at the floor where classes are not
        equally frequent.

        Args:
            choice: the number of a choice of reference examples. The labels are those of the other
                real examples that give its floor.

        Returns:
            A label for each sample of a draw; None if the examples have none.
        """
        labels = self._choice(choice % self._choices)[0].others.labels
        return None if labels is None else np.resize(labels, self._num)

    def __call__(self, draws: Iterable[np.ndarray], first: int = 0) -> list[Evaluated]:
        """Evaluates generated samples.

        Args:
            draws: one or more independent draws: uint8 images `[num, H, W, C]` or float32
                `[num, ...]`. Of those that an iterator makes, one is held at a time. Each draw of a
                conditional GAN has the `labels` of its choice of reference examples.
            first: the choice of reference examples for the first of them.

        Returns:
            The mean of each metric over the draws, with an interval if there are several.

        Raises:
            UserError: if a shape is wrong, or a metric is undefined for these samples.
        """
        like = (self._num, *self._first.reference.examples.shape[1:])
        found, floors = [], []
        for place, draw in enumerate(draws, first):
            if draw.shape != like:
                raise UserError(f"evaluate draws of the shape {like}, not {draw.shape}")
            reals, floor = self._choice(place % self._choices)
            labels = None if self._classes is None else self.labels(place)
            fake = Samples(draw, self._extractor, labels)
            measured = (self._measure_one(name, reals, fake, place) for name in self._names)
            found.append(dict(zip(self._names, map(self._told, measured), strict=True)))
            floors.append(floor)
        if not found:
            raise UserError(f"evaluate draws of the shape {like}, not none")
        return [
            self._evaluated(
                metric,
                name,
                [each[metric][name] for each in found],
                [each[metric][name] for each in floors],
            )
            for metric, numbers in self._floors.items()
            for name in numbers
        ]

    def nearest(self, samples: np.ndarray) -> dict[str, np.ndarray] | None:
        """Finds the training examples that are nearest to samples.

        Args:
            samples: uint8 images `[N, H, W, C]`.

        Returns:
            By "features" and by "pixels": some of the samples, from the one whose features are
            nearest to the training set to the farthest, each before the examples nearest to it:
            uint8 `[rows, 1 + k, H, W, C]`. None if no examples are held out.
        """
        if self._split is None:
            return None
        train = self._split.train
        count = min(COLUMNS, len(train.examples))

        def beside(chosen: np.ndarray, features: np.ndarray, of_train: np.ndarray) -> np.ndarray:
            found = metrics.nearest(features, of_train, count)
            return np.concatenate([chosen[:, None], train.array[found.indices]], axis=1)

        features = Samples(samples, self._extractor).features
        order = np.argsort(metrics.nearest(features, train.features).distances[:, 0])
        shown = pictures.evenly(order.tolist(), ROWS)
        flat = (extract(pixels(), x) for x in (samples[shown], train.array))
        return {
            "features": beside(samples[shown], features[shown], train.features),
            "pixels": beside(samples[shown], *flat),
        }

    def protocol(self, draws: int) -> str:
        """Describes what the metrics depend on besides the generator, on one line.

        Args:
            draws: number of draws that are evaluated together.
        """
        lines = [str(self._protocol({"draws": draws}))]
        if self._classes is not None:
            lines.append("labels asked for are those of real examples")
        if self._reference is not None:
            lines.append(f"real examples are {self._beside}")
        for metric, numbers in self._floors.items():
            if settings := self._settings(metric):
                told = ", ".join(f"{name} {value}" for name, value in settings.items())
                lines.append(f"{', '.join(numbers)}: {told}")
        return "; ".join(lines)

    def covered(self) -> str:
        """Says what intervals over draws cover, in words."""
        names: dict[str, list[str]] = {}
        for metric, numbers in self._floors.items():
            names.setdefault(self._covered(metric), []).extend(numbers)
        (most, _), *rest = sorted(names.items(), key=lambda x: -len(x[0]))
        return most + "".join(f" ({', '.join(names)}: {less})" for less, names in rest)

    @property
    def _needed(self) -> int:
        """Number of real examples in a choice."""
        return self._num + (self._num if self._reference is None else self._reference)

    def _reals(self, examples: Examples) -> Reals:
        size = len(examples)
        if size < 2:
            raise UserError(f"{self._recipe.name} has {size} real example: too few to compare with")
        count = size // 2 if self._reference is None else min(self._reference, size)
        self._takes_all = count == size  # so that all choices are the same
        reference, others = (
            self._real(examples[part])
            for part in (slice(count), slice(count, size if self._reference else 2 * count))
        )
        if self._reference is not None:
            others, self._beside = self._find_others(reference, others)
        return Reals(self._recipe, reference, others, self._split, self._classes, self._how)

    def _find_others(self, reference: Samples, left: Samples) -> tuple[Samples, str]:
        """Finds what gives the floor beside a reference of a size of its own, and says it."""
        if len(left.examples) == self._num:
            return left, "others of the data set"
        if self._split is not None:
            return self._split.held_out.first(self._num), self._split.name
        return reference.first(self._num), "the reference itself"

    def _real(self, examples: Examples) -> Samples:
        """Holds as many as there are samples; reads a reference of a size of its own in parts."""
        if self._reference is None:
            return self._held(examples.read())
        return Samples(examples, self._extractor, examples.labels, remember=True)

    def _held(self, batch: Mapping[str, np.ndarray]) -> Samples:
        return Samples(batch["image"], self._extractor, batch.get("label"), remember=True)

    def _choose(self, names: Sequence[str] | None) -> list[str]:
        """Finds the metrics that are to be measured."""
        size = min(self._num, len(self._first.reference.examples))
        own = {self._first.named(metric): metric for metric in METRICS}
        wanted = [renamed(name, self._extractor.short) for name in names or ()]
        unknown = [name for name in wanted if name not in own]
        if unknown:
            raise UserError(f"no metric {', '.join(unknown)}: choose from {', '.join(own)}")
        fitting = [name for name, metric in own.items() if METRICS[metric].applies(self._first)]
        unfit = [name for name in wanted if name not in fitting]
        if unfit:
            hint = "give --held-out, or " if unfit == ["memorization"] else ""
            raise UserError(
                f"{', '.join(unfit)} cannot be measured here: {hint}choose from "
                f"{', '.join(fitting)}"
            )
        usual = [name for name in fitting if not METRICS[own[name]].only_asked]
        few = {}
        for name in wanted or usual:
            metric = METRICS[own[name]]
            fresh = min(size, len(metric.fresh(self._first).examples))
            if fresh < metric.least:
                few[name] = f"{name} needs {metric.least}" + ("" if fresh == size else " held out")
        if few:
            told = ", ".join(few.values())
            if names is not None or len(few) == len(usual):
                raise UserError(f"{size} samples are too few: {told}")
            logger.warning("of %d samples some metrics are left out: %s", size, told)
        return [own[name] for name in wanted or usual if name not in few]

    def _choice(self, choice: int) -> tuple[Reals, Mapping[str, Numbers]]:
        """Returns the real examples of a choice, of which only the last are kept, and floors."""
        if self._last[0] != choice:
            reals = self._reals(self._draw(self._needed, choice))
            self._last = choice, reals, self._measure_floor(reals, choice)
        return self._last[1:]

    def _measure_floor(self, reals: Reals, choice: int) -> dict[str, Numbers]:
        return {name: self._told(self._floor_of(name, reals, choice)) for name in self._names}

    def _floor_of(self, name: str, reals: Reals, choice: int) -> Numbers:
        """Measures a floor, unless an earlier evaluation has."""
        fresh = METRICS[name].fresh(reals)
        compared = [reals.reference, fresh, *(reals.split or ())[:2]]
        keys = [each.key for each in compared]

        if None in keys:
            return self._measure_one(name, reals, fresh, choice)
        key = {
            "what": f"floor of {name}",
            "recipe": self._recipe.name,
            "of": keys,
            "settings": dict(self._settings(name)),
            "key": [self._seed, choice],
        }

        def measure() -> dict[str, np.ndarray]:
            found = self._measure_one(name, reals, fresh, choice)
            return {number: np.array(x) for number, x in found.items()}

        return {number: Estimate(*map(float, x)) for number, x in remembered(key, measure).items()}

    def _covered(self, metric: str) -> str:
        """Says what an interval of a metric over draws covers."""
        anew = METRICS[metric].compares and self._choices > 1 and not self._takes_all
        return "samples and reference" if anew else "samples"

    def _read_split(self, held_out: str) -> Split:
        recipe = self._recipe
        if not isinstance(recipe, ImageRecipe):
            raise UserError(f"{recipe.name} has no data set of which examples could be held out")
        train, other = (
            # A batch of the recipe can be larger than what is held out.
            real_batch(recipe.one_by_one(data=data), MOST_TRAINING, self._seed, self._data_dir)
            for data in (recipe.data, held_out)
        )
        shapes = [batch["image"].shape[1:] for batch in (train, other)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"the images of {held_out} have the shape {shapes[1]}, those of "
                f"{recipe.data} {shapes[0]}: hold out images of one size and color"
            )
        return Split(self._held(train), self._held(other), held_out)

    def _measure_one(self, name: str, reals: Reals, fake: Samples, place: int) -> Numbers:
        """Computes the numbers of a metric; what it draws is drawn anew for each place."""
        key = jax.random.fold_in(stream(self._key, name), place)
        try:
            found = METRICS[name].measure(reals, fake, key)
        except UserError as error:
            shown = reals.named(name)
            raise UserError(f"{shown} of {len(fake.examples)} samples: {error}") from None
        return {
            name: x if isinstance(x, Estimate) else Estimate(x, math.nan)
            for name, x in found.items()
        }

    def _told(self, found: Numbers) -> Numbers:
        self._done += self._num
        self._tell(self._done, 2 * self._choices * len(self._names) * self._num)
        return found

    def _settings(self, metric: str) -> Mapping[str, int | str]:
        return METRICS[metric].settings(self._num, self._first)

    def _protocol(self, settings: Mapping[str, int | str]) -> Protocol:
        recipe, reference = self._recipe, self._first.reference.examples
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

    def _evaluated(
        self, metric: str, name: str, draws: Sequence[Estimate], floors: Sequence[Estimate]
    ) -> Evaluated:
        values = [x.value for x in draws]
        result = Result(
            name,
            float(np.mean(values)),
            self._protocol({**self._settings(metric), "draws": len(values)}),
            metrics.t_interval(values, of=self._covered(metric)) if len(values) > 1 else None,
        )
        return Evaluated(
            result,
            float(np.mean([x.value for x in floors])),
            values,
            [x.value for x in floors],
            [x.deviation for x in draws if not math.isnan(x.deviation)],
        )


def fitting_extractor(recipe: Recipe, shape: tuple[int, ...]) -> Extractor:
    """Returns the default extractor of a recipe: the digit network for MNIST, else Inception.

    Args:
        recipe: the recipe.
        shape: of one example. Those that are no images are their own features.

    Returns:
        The extractor.

    Raises:
        UserError: if Inception has no weights yet.
    """
    if not isinstance(recipe, ImageRecipe):
        return OWN_VALUES
    if name_and_split(recipe.data)[0] == "mnist":
        if shape[:2] == digits.SHAPE[:2]:
            return digits.load() if shape[2] == 1 else digits.per_channel(shape[2])
    return inception.load()


def pixels() -> Extractor:
    """Returns the extractor whose features are the pixels."""
    return Extractor("pixels", "none", None, flattened)


EXTRACTORS: Mapping[str, Callable[[], Extractor]] = {
    "digits": digits.load,
    "inception": inception.load,
    "dinov2": dinov2.load,
    "clip": clip.load,
    "pixels": pixels,
}


def as_json(evaluated: Sequence[Evaluated]) -> list[dict[str, Any]]:
    """Converts results to what JSON can hold."""
    return [
        {
            **each.result.to_dict(),
            "draws": list(each.draws),
            **({"deviations": list(each.deviations)} if each.deviations else {}),
            "floor": each.floor,
            "floors": list(each.floors),
            "floor_deviation": float(np.std(each.floors, ddof=1)) if len(each.floors) > 1 else None,
        }
        for each in evaluated
    ]
