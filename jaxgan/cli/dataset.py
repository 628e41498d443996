"""`jaxgan dataset`: from its options to a data set, its card and a page of what it is worth."""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from jaxgan.cli.options import Dataset
from jaxgan.cli.outputs import check_free, whole_folder
from jaxgan.data import held_out, name_and_split
from jaxgan.data.sources import license_of
from jaxgan.data.writing import Outline, Part, Writer, write_arrays, write_folder, write_tfds
from jaxgan.devices.environment import versions
from jaxgan.evaluation import fitting_extractor, knob
from jaxgan.evaluation.knob import LEAST, LEVELS, MOST, TRAIN, Reals
from jaxgan.evaluation.synthesizing import (
    Knob,
    Sources,
    check,
    find_sources,
    search_steps,
    synthesize,
)
from jaxgan.evaluation.usefulness import usefulness
from jaxgan.features import Extractor
from jaxgan.keys import from_seed, stream
from jaxgan.pretrained import place_beside
from jaxgan.recipes import ImageRecipe
from jaxgan.report.dataset import Gallery, Table, dataset_page
from jaxgan.report.versions import Row
from jaxgan.rundir import loading
from jaxgan.rundir.loading import Trained
from jaxgan.training.progress import Progress
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError
from jaxgan.util.files import naming, write_atomically
from jaxgan.util.tables import as_markdown

SOURCES = 1000  # of a data set, by default
FEW_SOURCES = 100  # to measure with, where the data set itself needs none
SHOWN = 8  # pictures in a gallery

READING = {  # how to load each format, where {0} is the folder
    "tfds": (write_tfds, "tfds.builder_from_directory({0!r})", "prepared:{0}"),
    "folder": (write_folder, "the folders are the classes, if there are any", "folder:{0}"),
    "npz": (write_arrays, "numpy.load: images, uint8 [N, H, W, C], and labels, if any", None),
}
TITLES = {
    "distance": "distance to source",
    "authenticity": "AuthPct",
    "ratio": "distance ratio",
    "accuracy": "TSTR",
}

logger = logging.getLogger(__name__)


class Level(NamedTuple):
    """Pictures of one similarity, and what was measured of them."""

    name: str
    images: np.ndarray | None  # the first of them
    found: Mapping[str, float]


def make_dataset(options: Dataset, command: str) -> Path:
    """Makes a data set, a card and a page, and writes them into a folder.

    Args:
        options: of the command.
        command: as it was typed, for the card.

    Returns:
        The path of the page.

    Raises:
        UserError: if an option or the run does not suit; then nothing is written.
    """
    setting = Knob(options.similarity, options.truncation)
    key = stream(from_seed(options.seed), "dataset")
    _check_numbers(options)
    trained = loading.load(options.run, options.step, options.member, best=options.best)
    turns = check(trained, setting)
    recipe = trained.recipe
    assert isinstance(recipe, ImageRecipe)  # as `check` found
    out = options.out or place_beside(options.run) / _name(options, int(trained.state.step))
    check_free(out)
    credit = license_of(recipe.data, options.data_dir)
    classes = trained.spec.classes if loading.is_conditional(trained) else None
    reals = knob.read_reals(
        recipe, classes, _held_out(options, recipe), _extractor(trained),
        options.seed, options.data_dir,
    )  # fmt: skip
    count = min(options.sources or SOURCES, options.num, len(reals.train.images))
    if not options.similarity:
        count = min(FEW_SOURCES, len(reals.train.images))
    sources = _find(trained, knob.part_of(reals.train, slice(count)), key) if turns else None
    own = sources if options.similarity else None
    parts = synthesize(trained, options.num, setting, stream(key, "pictures"), own)
    writer, reading, spec = READING[options.format]
    outline = Outline(
        name=f"{recipe.name}_synthetic",
        shape=reals.train.images.shape[1:],
        classes=classes,
        size=options.num,
        description=f"Pictures that {recipe.name} made, by {command}.",
        license=f"Of the data that the GAN learned from: {credit}",
    )
    with whole_folder(out) as folder:
        first = _write(writer, folder, outline, parts)
        levels = _measure(trained, reals, sources, options, key)
        useful = _usefulness(reals, first, key)
        record = {
            "recipe": recipe.name,
            "run": str(options.run),
            "step": int(trained.state.step),
            "member": options.member,
            "digest of the state": loading.digest_of(trained),
            "data": recipe.data,
            "license of the data": credit,
            "pictures": options.num,
            "format": options.format,
            "labels": classes is not None,
            "seed": options.seed,
            "similarity": options.similarity,
            "truncation": options.truncation,
            "sources": count if own is not None else 0,
            "command": command,
            "versions": versions(),
        }
        page = dataset_page(
            f"{recipe.name}, a data set",
            {name.capitalize(): _said(value) for name, value in record.items()},
            _tables(levels, useful, reals, options, count),
            _galleries(levels, first, sources, reals),
        )
        card = _card(record, levels, useful, reading.format(str(out)), spec and spec.format(out))
        measured = {
            "measured": [{"pictures": x.name, **x.found} for x in levels],
            "usefulness": useful,
        }
        write_atomically(folder / "README.md", card.encode())
        text = json.dumps({**record, **measured}, indent=2) + "\n"
        write_atomically(folder / "card.json", text.encode())
        write_atomically(folder / "index.html", page.encode())
    return out / "index.html"


def _check_numbers(options: Dataset) -> None:
    loading.check_num(options.num)
    ranges = {"sources": (options.sources, 1, TRAIN), "knob_num": (options.knob_num, LEAST, MOST)}
    for name, (value, low, high) in ranges.items():
        if value is not None and not low <= value <= high:
            raise UserError(f"{name} must be from {low:,} to {high:,}, not {value}")
    if options.sources is not None and not options.similarity:
        raise UserError("pictures of similarity 0 have no sources: leave out --sources")


def _name(options: Dataset, step: int) -> str:
    member = "" if options.member is None else f"_member{options.member}"
    truncation = "" if options.truncation is None else f"_truncation{options.truncation:g}"
    setting = f"similarity{options.similarity:g}{truncation}"
    return f"dataset_{setting}_step{step}{member}_seed{options.seed}"


def _held_out(options: Dataset, recipe: ImageRecipe) -> str | None:
    if options.held_out is not None:
        return options.held_out
    spec = held_out(recipe.data)
    return None if name_and_split(spec) == name_and_split(recipe.data) else spec


def _extractor(trained: Trained) -> Extractor | None:
    try:
        return fitting_extractor(trained.recipe, trained.spec.shape)
    except UserError as error:
        logger.warning("nothing is measured in features: %s", error)
        return None


def _find(trained: Trained, chosen: Part, key: PRNGKey) -> Sources:
    """Searches for the latents of real pictures, with a progress bar."""
    began = time.monotonic()
    with Progress(search_steps(len(chosen.images)), 0) as progress:

        def tell(step: int, loss: float, count: int) -> None:
            progress.update(step, {"loss": loss}, step * count / (time.monotonic() - began))

        return find_sources(trained, *chosen, stream(key, "sources"), tell)


def _write(writer: Writer, folder: Path, outline: Outline, parts: Iterator[Part]) -> Part:
    """Writes a data set, with a progress bar, and keeps the first pictures of it."""
    kept: list[Part] = []

    def watched() -> Iterator[Part]:
        bar = {"desc": "Pictures", "unit": "img", "leave": False, "delay": 2, "disable": None}
        with tqdm(total=outline.size, **bar) as progress:
            for part in parts:
                if sum(len(x.images) for x in kept) < TRAIN:
                    kept.append(part)
                yield part
                progress.update(len(part.images))

    with naming(folder, missing=True):
        writer(folder, outline, watched())
    return knob.part_of(_joined(kept), slice(TRAIN))


def _joined(parts: Sequence[Part]) -> Part:
    labels = [part.labels for part in parts if part.labels is not None]
    images = np.concatenate([part.images for part in parts])
    return Part(images, np.concatenate(labels) if labels else None)


def _measure(
    trained: Trained, reals: Reals, sources: Sources | None, options: Dataset, key: PRNGKey
) -> list[Level]:
    """Measures pictures of several similarities, and real ones beside them."""
    num = options.knob_num
    similarities = sorted({*LEVELS, options.similarity}, reverse=True)
    if sources is None:
        similarities = [0.0]
    own = stream(key, "usefulness")
    levels = []
    for similarity in tqdm(similarities, desc="Measuring", leave=False, delay=2, disable=None):
        setting = Knob(similarity, options.truncation)
        made = _joined([*synthesize(trained, num, setting, stream(key, "knob"), sources)])
        near = None if sources is None else sources.images[np.arange(num) % len(sources.images)]
        levels.append(
            Level(f"{similarity:g}", made.images[:SHOWN], knob.measure(reals, made, own, near))
        )
    train = knob.part_of(reals.train, slice(num))
    shifted = Part(knob.shift(train.images), train.labels)
    levels.append(
        Level("training pictures, shifted by a pixel", None, knob.measure(reals, shifted, own))
    )
    if reals.test is not None:
        fresh = knob.part_of(reals.test, slice(num))
        found = knob.measure(reals, fresh._replace(labels=None), own)
        if knob.can_read(reals, train):
            assert reals.classes is not None
            found["accuracy"] = usefulness(train, reals.test, reals.classes, own)
        levels.append(Level("real, held out", None, found))
    return levels


def _usefulness(reals: Reals, first: Part, key: PRNGKey) -> dict[str, float]:
    """Trains a classifier on the data set, and another on as many training pictures."""
    if not knob.can_read(reals, first):
        return {}
    assert reals.test is not None and reals.classes is not None
    num = min(len(first.images), len(reals.train.images))
    return {"examples": num, "tested on": len(reals.test.images)} | {
        name: usefulness(
            knob.part_of(part, slice(num)), reals.test, reals.classes, stream(key, "usefulness")
        )
        for name, part in (("synthetic", first), ("real", reals.train))
    }


def _tables(
    levels: Sequence[Level],
    useful: Mapping[str, float],
    reals: Reals,
    options: Dataset,
    sources: int,
) -> list[Table]:
    names = [*dict.fromkeys(name for level in levels for name in level.found)]
    rows = [
        [level.name, *(f"{level.found[x]:.3g}" if x in level.found else "–" for x in names)]
        for level in levels
    ]
    usual = "" if reals.usual is None else f", {len(reals.usual.images):,} held-out ones"
    features = reals.spaces["features"].name if "features" in reals.spaces else "none"
    tables = [
        Table(
            "Over the knob",
            f"Of {options.knob_num:,} pictures each, near {sources:,} sources, beside "
            f"{len(reals.train.images):,} training pictures{usual}; features: {features}. AuthPct "
            "is the share of pictures that are no mere variation of a training picture, about 0.65 "
            "of real ones. C_T is below -3 for copies, near 0 for new pictures and above 3 for "
            "pictures far from all training pictures. Distance ratio: of the median distances to "
            "the nearest training picture, 0 for copies and 1 for new pictures. TSTR: the accuracy "
            "of a small classifier that learned from these pictures alone, on real ones; in the "
            "last row, of one that learned from as many real ones.",
            ["similarity", *map(_head, names)],
            rows,
        )
    ]
    if useful:
        tables.append(
            Table(
                "Usefulness of this data set",
                f"The accuracy of a small classifier on {useful['tested on']:,} real held-out "
                f"pictures, after learning from {useful['examples']:,} pictures.",
                ["learned from", "accuracy"],
                [[name, f"{useful[name]:.2%}"] for name in ("synthetic", "real")],
            )
        )
    return tables


def _head(name: str) -> str:
    first, _, rest = name.partition(" ")
    return f"{TITLES.get(rest, rest)}, {first}" if rest else TITLES.get(first, first)


def _galleries(
    levels: Sequence[Level], first: Part, sources: Sources | None, reals: Reals
) -> list[Gallery]:
    galleries = []
    if sources is not None:
        shown = {level.name: level.images for level in levels if level.images is not None}
        columns = ["source", *shown]
        count = min(SHOWN, len(sources.images))
        stacked = [x[:count] for x in (sources.images, *shown.values())]
        galleries.append(
            Gallery(
                "From a training picture to independent ones",
                "A training picture, then what G makes near its latents, by similarity.",
                columns,
                _rows("source", np.stack(stacked, 1)),
            )
        )
    some = first.images[:SHOWN]
    beside = np.concatenate([some[:, None], knob.nearest_training(reals, some)], 1)
    galleries.append(
        Gallery(
            "The nearest training pictures",
            f"The first pictures of the data set, each beside the nearest of "
            f"{len(reals.train.images):,} training pictures, by {[*reals.spaces][-1]}.",
            ["picture", "nearest", *["next"] * (beside.shape[1] - 2)],
            _rows("picture", beside),
        )
    )
    return galleries


def _rows(name: str, images: np.ndarray) -> list[Row]:
    return [Row(f"{name} {index}", "", versions) for index, versions in enumerate(images)]


def _card(
    record: Mapping[str, Any],
    levels: Sequence[Level],
    useful: Mapping[str, float],
    reading: str,
    spec: str | None,
) -> str:
    """Writes the data card, in Markdown."""
    facts = "\n".join(f"- {name}: {_said(value)}" for name, value in record.items())
    names = [*dict.fromkeys(name for level in levels for name in level.found)]
    rows = [
        [level.name, *(f"{level.found[x]:.3g}" if x in level.found else "–" for x in names)]
        for level in levels
    ]
    table = as_markdown(["similarity", *map(_head, names)], rows)
    worth = ""
    if useful:
        worth = (
            f"\nA small classifier that learned from {useful['examples']:,} of these pictures "
            f"classifies {useful['synthetic']:.2%} of {useful['tested on']:,} real held-out "
            "pictures correctly; one trained on as many training pictures, "
            f"{useful['real']:.2%}.\n"
        )
    trained_on = "" if spec is None else f" jaxgan: `--data {spec}`."
    return (
        f"# {record['pictures']:,} pictures made by {record['recipe']}\n\n"
        "None is a photograph or a scan: a generative adversarial network made all of them. "
        "`index.html` shows some, and explains the numbers below.\n\n"
        f"To load: {reading}.{trained_on}\n\n"
        f"## How they were made\n\n{facts}\n\n## What they are worth\n\n{table}{worth}"
    )


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {x}" for name, x in value.items())
    if isinstance(value, bool) or value is None:
        return "yes" if value else "no" if value is False else "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
