"""Translates pictures with a finished run, and measures how well where the truth is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, UInt8

from jaxgan import metrics
from jaxgan.core.gan import generate
from jaxgan.data import first_examples, scale, unscale
from jaxgan.data.decoding import decode
from jaxgan.data.folder import names_below, open_pictures
from jaxgan.data.sources import DATA
from jaxgan.keys import stream
from jaxgan.recipes import ImageRecipe
from jaxgan.rundir.loading import GIVEN, Domain, Trained, as_examples, check_num, check_way
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError

TOGETHER = 8  # pictures that G translates at a time

_generate = jax.jit(generate, static_argnums=0)


class Pictures(NamedTuple):
    """Pictures to translate."""

    names: Sequence[str]
    images: Float[Array, "N H W C"]  # in the range of the recipe's values
    truth: UInt8[np.ndarray, "N H W D"] | None = None  # what they should become, where it is known


def read(
    source: str, trained: Trained, to: Domain = "b", *, seed: int = 0, data_dir: str | None = None
) -> Pictures:
    """Reads pictures that a run can translate.

    Args:
        source: the path of a picture, or of a folder of them; or "data:" and a data set (see
            `jaxgan.data.load`): pairs, whose sources are translated, or single pictures, which a
            recipe that learns to restore degrades first.
        trained: what `jaxgan.rundir.load` loaded.
        to: the domain that the pictures are to be of; "a" is what a run learned to translate from.
        seed: of what a degradation draws.
        data_dir: TFDS's data directory; None for its default.

    Returns:
        The pictures, in their order.

    Raises:
        UserError: if there are no such pictures, or G does not take them.
    """
    recipe, name = trained.recipe, trained.recipe.name
    if trained.spec.source is None or not isinstance(recipe, ImageRecipe):
        raise UserError(f"{name} makes examples from latents, not pictures from pictures")
    shape, made = trained.spec.source, trained.spec.shape
    if to == "a":
        shape, made = made, shape
    check_way(trained, to)
    if not source.startswith(DATA):
        root = Path(source)
        height, width, channels = shape
        folder = open_pictures(root, (height, width, channels))
        return Pictures(
            names_below(root, folder), scale(decode(folder, None)[0], *recipe.value_range)
        )
    side = shape[0] if shape[0] == shape[1] else None
    one_by_one = recipe.one_by_one(image_size=side)
    feed = one_by_one.open(source.removeprefix(DATA), None, data_dir)
    count = feed.size
    assert count is not None
    check_num(count)
    batch = first_examples(feed, count, stream(jax.random.key(seed), "degradation"))
    images = batch.get("source", batch["image"])
    is_paired = "source" in batch
    for found, fitting in [(images, shape), *([(batch["image"], made)] if is_paired else [])]:
        if found.shape[1:] != fitting:
            raise UserError(f"{source} has pictures {found.shape[1:]}, where {name} has {fitting}")
    truth = np.asarray(unscale(batch["image"], *recipe.value_range)) if is_paired else None
    return Pictures([f"{index:05d}.png" for index in range(count)], images, truth)


def translate(
    trained: Trained, pictures: Pictures, key: PRNGKey, to: Domain = "b"
) -> UInt8[np.ndarray, "N H W C"]:
    """Translates pictures.

    Args:
        trained: the run's GAN.
        pictures: what `read` read.
        key: of what G draws, such as dropout.
        to: as for `read`.

    Returns:
        What they become.

    Raises:
        UserError: if the GAN diverged.
    """
    images = pictures.images
    missing = -len(images) % TOGETHER
    images = jnp.concatenate([images, jnp.repeat(images[-1:], missing, 0)])

    def part(start: int) -> np.ndarray:
        own = jax.random.fold_in(key, start)
        batch = {GIVEN[to]: images[start : start + TOGETHER]}
        inputs = trained.gan.inputs(stream(own, "latents"), TOGETHER, batch)
        return as_examples(
            trained, _generate(trained.gan, trained.state, inputs, stream(own, "generator"))
        )

    parts = [part(start) for start in range(0, len(images), TOGETHER)]
    return np.concatenate(parts)[: len(pictures.images)]


def score(
    made: UInt8[np.ndarray, "N H W C"], truth: UInt8[np.ndarray, "N H W C"]
) -> dict[str, float]:
    """Measures how far pictures are from what they should be.

    Args:
        made: the pictures.
        truth: what they should be.

    Returns:
        "l1", the mean distance of values between -1 and 1, and "psnr", of the mean squared error of
        all pictures, in decibels.
    """
    errors = metrics.squared_errors(made, truth)
    return {
        "l1": float(np.abs(made / 127.5 - truth / 127.5).mean()),
        "psnr": float(metrics.psnr(errors.mean(), data_range=255)),
    }
