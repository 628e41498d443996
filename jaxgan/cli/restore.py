"""`jaxgan restore`: from its options to a folder of restored pictures and a page."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import restoration
from jaxgan.cli.options import Restore
from jaxgan.cli.outputs import check_free, whole_folder
from jaxgan.data.folder import open_mask
from jaxgan.evaluation import restoring
from jaxgan.evaluation.restoring import Damage, Pictures, Restored, Tell, Way
from jaxgan.keys import from_seed, stream
from jaxgan.pretrained import place_beside
from jaxgan.report.pictures import NEUTRAL, picture, save_png
from jaxgan.report.versions import Row, versions_page
from jaxgan.restoration import Known
from jaxgan.rundir import loading
from jaxgan.training.progress import Progress
from jaxgan.util.errors import UserError
from jaxgan.util.files import make_folder, write_atomically
from jaxgan.util.parsing import shown

RANDOM = "random:"
FIXED = {"center": restoration.center(), "left": restoration.left()}
SCORES = {"psnr": "PSNR, dB", "ssim": "SSIM", "digits": "digits read correctly"}
DECIMALS = {"psnr": 2, "ssim": 3, "digits": 3}
LARGEST = 1000.0  # weight, rate or deviation


def restore(options: Restore) -> Path:
    """Restores pictures, and writes them, a page and their scores into a folder.

    Args:
        options: of the command.

    Returns:
        The path of the page.

    Raises:
        UserError: if an option, a picture or the run does not suit; then nothing is written.
    """
    way, words = _way(options), _words(options)
    key = stream(from_seed(options.seed), "restore")
    trained = loading.load(options.run, options.step, options.member, best=options.best)
    damage = _damage(options, restoring.check(trained))
    pictures = restoring.read(options.input, trained, damage, key, options.data_dir)
    member = "" if options.member is None else f"_member{options.member}"
    step = int(trained.state.step)
    name = f"restored_{'_'.join(words.split())}_step{step}{member}_seed{options.seed}"
    name = "".join(x if x.isalnum() or x in "._" else "-" for x in name)
    out = options.out or place_beside(options.run) / name
    check_free(out)
    with Progress(way.steps, 0) as progress:
        restored = restoring.restore(
            trained, pictures, damage.operator, way, key, _tell(progress, time.monotonic())
        )
    count, kept = restored.images.shape[:2]
    facts = {
        "Run": str(options.run),
        "Step": f"{step:,}",
        "Input": options.input,
        "What is missing": words,
        "Pictures": f"{count:,}",
        "Starts": f"{restored.starts} for each",
        "Steps of the search": f"{way.steps:,}",
    }
    heads = ["input", "restored", *["another"] * (kept - 1)]
    heads += [] if pictures.truth is None else ["truth"]
    inputs = restoring.enlarge(pictures, trained.spec.shape, NEUTRAL)[:, None]
    truth = [] if pictures.truth is None else [pictures.truth[:, None]]
    versions = np.concatenate([inputs, restored.images, *truth], axis=1)
    rows = [
        Row(file, _note({name: values[i] for name, values in restored.each.items()}), versions[i])
        for i, file in enumerate(pictures.names)
    ]
    page = versions_page(f"{trained.recipe.name}, restored", facts, _table(restored), heads, rows)
    with whole_folder(out) as folder:
        _write(folder, pictures, restored, facts, page)
    return out / "index.html"


def _way(options: Restore) -> Way:
    for option, value in (("starts", options.starts), ("iterations", options.iterations)):
        if value is not None and not 1 <= value <= loading.MOST:
            raise UserError(f"{option} must be from 1 to {loading.MOST}, not {value}")
    for option, value in (("learning_rate", options.learning_rate), ("blur", options.blur)):
        if value is not None and not 0 < value <= LARGEST:
            raise UserError(f"{option} must be above 0 and at most {LARGEST:g}, not {value}")
    for option, value in (("gaussian", options.gaussian), ("realism", options.realism)):
        if not 0 <= value <= LARGEST:
            raise UserError(f"{option} must be from 0 to {LARGEST:g}, not {value}")
    way = Way(
        options.starts,
        options.iterations,
        optax.adam(options.learning_rate),
        prior=options.gaussian,
        realism=options.realism,
        label=options.label,
    )
    if not options.gaussian:
        way = way._replace(restrict=restoration.keep_length)
    return way._replace(weigh=restoration.hole_weights) if options.near else way


def _words(options: Restore) -> str:
    """Says what is missing."""
    others = {"blur": options.blur, "scale": options.scale, "gray": options.gray or None}
    given = [name if x is True else f"{name} {x}" for name, x in others.items() if x is not None]
    if options.mask is None:
        if options.near:
            raise UserError("--near weighs the known pixels of a mask: give one, or leave it out")
        if not given:
            raise UserError("say what is missing: --mask, --blur, --scale or --gray")
        return " ".join(given)
    if given:
        raise UserError(f"--mask does not go with --{given[0].split()[0]}: give one of them")
    return f"mask {options.mask}"


def _damage(options: Restore, shape: tuple[int, int, int]) -> Damage:
    if options.mask is not None:
        return Damage(known=_known(options.mask, *shape[:2]))
    operators = []
    if options.blur is not None:
        operators.append(restoration.blur(options.blur))
    if options.scale is not None:
        if not 2 <= options.scale <= min(shape[:2]):
            raise UserError(f"scale must be from 2 to {min(shape[:2])}, not {options.scale}")
        operators.append(restoration.downscale(options.scale))
    return Damage(restoration.compose(*operators, *[restoration.gray] * options.gray))


def _known(words: str, height: int, width: int) -> Known:
    """Finds out how a mask is made."""
    if words.startswith(RANDOM):
        known = restoration.scattered(_share(words.removeprefix(RANDOM)))
        advice = "choose another share"
    else:
        known = FIXED.get(words) or _always(open_mask(Path(words), height, width))
        advice = "let it be black where pixels are missing, and white where they are known"
    mask = known(height, width, jax.random.key(0))
    if mask.all() or not mask.any():
        what = "nothing" if mask.all() else "everything"
        raise UserError(f"the mask {words} hides {what} of {height} x {width} pixels: {advice}")
    return known


def _always(masks: np.ndarray) -> Known:
    (mask,) = jnp.asarray(masks)
    return lambda height, width, key: mask


def _share(word: str) -> float:
    try:
        share = float(word)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise UserError(f"{RANDOM} needs the share of missing pixels, 0 to 1, not {shown(word)}")
    return share


def _tell(progress: Progress, began: float) -> Tell:
    def tell(step: int, loss: float, count: int) -> None:
        progress.update(step, {"loss": loss}, step * count / (time.monotonic() - began))

    return tell


def _note(scores: Mapping[str, Any]) -> str:
    said = {
        "psnr": lambda x: f"PSNR {x:.1f} dB",
        "ssim": lambda x: f"SSIM {x:.2f}",
        "digits": lambda x: "read correctly" if x else "misread",
    }
    return ", ".join(said[name](value) for name, value in scores.items())


def _table(restored: Restored) -> tuple[list[str], list[list[str]]] | None:
    if not restored.scores:
        return None
    rows = [
        [name, *(f"{value:.{DECIMALS[metric]}f}" for metric, value in scores.items())]
        for name, scores in restored.scores.items()
    ]
    return ["", *(SCORES[metric] for metric in restored.scores["restored"])], rows


def _write(
    folder: Path, pictures: Pictures, restored: Restored, facts: Mapping[str, str], page: str
) -> None:
    for name, images in zip(pictures.names, restored.images, strict=True):
        path = folder / (name if name.endswith(".png") else f"{name}.png")
        make_folder(path.parent)
        save_png(picture(images[0]), path)
    each = [
        {"name": name, **{metric: _plain(values[i]) for metric, values in restored.each.items()}}
        for i, name in enumerate(pictures.names)
    ]
    scores = {
        name: {metric: _plain(value) for metric, value in found.items()}
        for name, found in restored.scores.items()
    }
    record = {**facts, "scores": scores, "pictures": each}
    write_atomically(folder / "scores.json", (json.dumps(record, indent=2) + "\n").encode())
    write_atomically(folder / "index.html", page.encode())


def _plain(score: Any) -> float | None:
    """Converts a score to what JSON can hold: the PSNR of equal pictures is infinite."""
    return float(score) if np.isfinite(score) else None
