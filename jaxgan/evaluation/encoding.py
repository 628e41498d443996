"""Makes data sets of latents: what an autoencoder makes of pictures."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import Partial

from jaxgan.data import Feed
from jaxgan.data.encoded import Part
from jaxgan.interop import load_sd_vae
from jaxgan.models import autoencoder, sd_vae
from jaxgan.recipes.autoencoder import Autoencoder
from jaxgan.recipes.recipe import require_size
from jaxgan.rundir.loading import Trained, digest_of
from jaxgan.types import Batch, Images, PyTree
from jaxgan.util.errors import UserError
from jaxgan.util.files import read_bytes

TOGETHER = 64  # pictures that are encoded at a time


class Coder(NamedTuple):
    """The two halves of a trained autoencoder."""

    encode: Callable[[Images], Images]  # pictures [B, H, W, C] in [-1, 1] -> latents [B, h, w, D]
    decoder: Mapping[str, Any]  # the variables of the decoder
    factor: int  # by which height and width shrink
    colors: int  # of the pictures
    name: str  # what it is


def coder_of(trained: Trained) -> Coder:
    """Takes a run of the recipe `autoencoder` apart.

    Args:
        trained: what `jaxgan.rundir.load` loaded.

    Returns:
        Its halves.

    Raises:
        UserError: if the run is of another recipe.
    """
    recipe, net = trained.recipe, trained.state.generator
    if not isinstance(recipe, Autoencoder):
        raise UserError(
            f"{recipe.name} is not an autoencoder: train one by `jaxgan train autoencoder`"
        )

    def half(name: str) -> dict[str, Any]:
        variables = {"params": net.params, **net.collections}
        return {kind: tree[name] for kind, tree in variables.items() if name in tree}

    encoder = autoencoder.Encoder(recipe.widths, recipe.channels)
    return Coder(
        Partial(partial(encoder.apply, train=False), half("encoder")),
        half("decoder"),
        2 ** len(recipe.widths),
        trained.spec.shape[-1],
        f"{recipe.name}, step {int(trained.state.step)}, digest {digest_of(trained)}",
    )


def coder_of_file(path: Path) -> Coder:
    """Reads the autoencoder of Stable Diffusion from a file of the user's.

    Args:
        path: of the safetensors file (see `jaxgan.interop.load_sd_vae`).

    Returns:
        Its halves.

    Raises:
        UserError: if the file cannot be read, or is of another network.
    """
    encoder, decoder = load_sd_vae(path)
    digest = hashlib.sha256(read_bytes(path)).hexdigest()[:12]
    return Coder(
        Partial(partial(sd_vae.Encoder().apply, train=False), encoder),
        decoder,
        sd_vae.FACTOR,
        3,
        f"{path.name}, sha256 {digest}",
    )


def check_fit(coder: Coder, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Checks that an autoencoder takes pictures of a shape.

    Args:
        coder: the autoencoder.
        shape: of a picture.

    Returns:
        The shape, (H, W, C).

    Raises:
        UserError: if it does not.
    """
    height, width, colors = require_size(shape, multiple=coder.factor, least=coder.factor)
    if colors != coder.colors:
        raise UserError(
            f"the autoencoder takes {coder.colors} colors, not the {colors} of the data"
        )
    return height, width, colors


def encode(coder: Coder, feed: Feed) -> Iterator[Part]:
    """Encodes a data set, part by part.

    Args:
        coder: the autoencoder.
        feed: of pictures that fit (see `check_fit`), in batches of one.

    Yields:
        Latents and labels of some pictures that follow one another.

    Raises:
        UserError: if a latent is too large for float16.
    """
    assert feed.size is not None and feed.batch_size == 1

    @jax.jit
    def run(encode: Callable[[Images], Images], arrays: PyTree, rows: PyTree) -> Batch:
        batch = jax.vmap(lambda row: feed.batch(arrays, row, jax.random.key(0)))(rows)
        batch = {name: x[:, 0] for name, x in batch.items()}
        return {**batch, "latent": encode(batch["image"])}

    together = min(TOGETHER, feed.longest)
    for start in range(0, feed.size, together):
        made = run(coder.encode, feed.arrays, feed.rows(start, min(start + together, feed.size)))
        latents = np.asarray(made["latent"])
        if not np.abs(latents).max() <= np.finfo(np.float16).max:
            raise UserError("float16 cannot hold a latent: train the autoencoder anew")
        labels = np.asarray(made["label"]) if "label" in made else None
        yield Part(latents.astype(np.float16), labels)
