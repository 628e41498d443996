"""Makes pictures with a finished run, as similar to real ones as one likes."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int, Int32, UInt8

from jaxgan import restoration
from jaxgan.core.gan import SAMPLE_BATCH, generate
from jaxgan.core.state import GANState
from jaxgan.data import scale
from jaxgan.data.writing import Part
from jaxgan.evaluation import restoring
from jaxgan.evaluation.restoring import Tell, Way
from jaxgan.keys import per_example, stream
from jaxgan.latents import mix
from jaxgan.recipes import ImageRecipe
from jaxgan.restoration import Search
from jaxgan.rundir.loading import Trained, as_examples, is_conditional
from jaxgan.types import Batch, PerSample, PRNGKey, PyTree
from jaxgan.util.errors import UserError

AT_ONCE = 1024  # searches for sources
# To search for a source. A latent keeps the length of a draw, so that it may be mixed with others.
WAY = Way(starts=4, steps=200, restrict=restoration.keep_length, prior=0.0)
LARGEST = 100.0  # truncation
CHECKED = 4096  # latents whose distribution is looked at
BEYOND = 0.3173  # the share of numbers from N(0, 1) whose absolute value is above 1
DOUBT = 0.03  # by how much that of `CHECKED` latents may differ


class Knob(NamedTuple):
    """How similar pictures are to real ones, and how much they vary."""

    similarity: float = 0.0  # 0: independent of real ones, 1: the closest that G can make
    truncation: float | None = None  # the largest absolute value in a latent that is drawn


class Sources(NamedTuple):
    """Real pictures, and where among the latents they lie."""

    images: UInt8[np.ndarray, "S H W C"]
    labels: Int32[np.ndarray, "S"] | None
    inputs: PyTree  # of G, whose pictures are near the real ones: arrays [S, ...]


def check(trained: Trained, knob: Knob) -> bool:
    """Checks that a GAN can make pictures at a knob's setting.

    Args:
        trained: what `jaxgan.rundir.load` loaded.
        knob: the setting.

    Returns:
        Whether it can be turned to other similarities.

    Raises:
        UserError: if a number is out of range, the GAN makes no pictures of latents, or the latents
            of its pictures cannot be found or mixed.
    """
    if not 0 <= knob.similarity <= 1:
        raise UserError(f"similarity must be from 0 to 1, not {knob.similarity}")
    if knob.truncation is not None and not 0 < knob.truncation <= LARGEST:
        raise UserError(f"truncation must be above 0, up to {LARGEST:g}, not {knob.truncation}")
    restoring.draw_latents(trained, 1)
    if knob.truncation is not None:
        _check_normal(trained)
    try:
        _check_normal(trained)
        restoring.check(trained)
    except UserError:
        if knob.similarity:
            raise
        return False
    return True


def _check_normal(trained: Trained) -> None:
    for x in _latents(restoring.draw_latents(trained, CHECKED)):
        if abs(float((jnp.abs(x) > 1).mean()) - BEYOND) > DOUBT:
            raise UserError(
                f"the latents of {trained.recipe.name} are not all from N(0, 1), as similarity and "
                "truncation need: leave them out"
            )


def _latents(inputs: PyTree) -> list[Array]:
    return [x for x in jax.tree.leaves(inputs) if jnp.issubdtype(x.dtype, jnp.floating)]


def find_sources(
    trained: Trained,
    images: UInt8[np.ndarray, "S H W C"],
    labels: Int[np.ndarray, "S"] | None,
    key: PRNGKey,
    tell: Tell = lambda step, loss, count: None,
    way: Way = WAY,
) -> Sources:
    """Searches for the latents of real pictures, with several starts for each.

    Latents keep the length that they start with, which is that of a draw, so that they are as
    typical as a draw.

    Args:
        trained: the run's GAN, which passed `check`.
        images: the pictures.
        labels: their classes; None if there are none.
        key: of the starts; those of a picture do not depend on the others.
        tell: is told how far the searches have come.
        way: how to search; its mask, prior, realism and label are not used.

    Returns:
        The pictures, and the best latents of each.
    """
    gan, state = trained.gan, trained.state
    assert isinstance(trained.recipe, ImageRecipe)
    low, high = trained.recipe.value_range
    starts = way.starts or restoring.STARTS
    conditions = dict(trained.recipe.conditions(starts, trained.spec))
    keys = per_example(stream(key, "starts"), len(images))
    classes = np.zeros(len(images), np.int32) if labels is None else labels.astype(np.int32)

    def objective(inputs: PyTree, state: GANState, images: Array) -> PerSample:
        known = jnp.repeat(scale(images, low, high), starts, 0)
        return restoration.distance(trained.recipe.example(generate(gan, state, inputs)), known)

    @jax.jit
    def draw(keys: Array, labels: Array) -> PyTree:
        def one(key: PRNGKey, label: Array) -> PyTree:
            own = {"label": jnp.full(starts, label)} if "label" in conditions else {}
            return gan.inputs(key, starts, conditions | own)

        drawn = jax.vmap(one)(keys, labels)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), drawn)

    find = restoring.searcher(objective, way)
    together = min(len(images), max(1, AT_ONCE // starts))
    found = []
    for start in range(0, len(images), together):
        # The last ones are searched again where too few are left: one program for all.
        own = np.minimum(np.arange(start, start + together), len(images) - 1)

        def see(step: int, search: Search, part: int = start // together) -> None:
            best = search.loss.reshape(together, starts).min(1)
            tell(part * way.steps + step, float(best.mean()), together * starts)

        search = find(draw(keys[own], classes[own]), see, state, images[own])
        best = restoration.best_first(search.loss, search.best, together)
        found.append(jax.tree.map(lambda x: x[:, 0], best))
    inputs = jax.tree.map(lambda *x: jnp.concatenate(x)[: len(images)], *found)
    return Sources(images, labels, inputs)


def search_steps(count: int, way: Way = WAY) -> int:
    """Counts the steps that `find_sources` tells of."""
    together = max(1, AT_ONCE // (way.starts or restoring.STARTS))
    return -(-count // together) * way.steps


def synthesize(
    trained: Trained, num: int, knob: Knob, key: PRNGKey, sources: Sources | None = None
) -> Iterator[Part]:
    """Makes pictures, some at a time.

    With t = 1 - similarity, a latent is `sqrt(1 - t^2)` times that of a source plus t times a draw
    from N(0, 1), so it is distributed as a draw, whatever the similarity.

    Args:
        trained: the run's GAN, which passed `check`.
        num: how many, 1 or more.
        knob: the setting.
        key: of the latents; the first pictures are the same whatever `num` is.
        sources: what `find_sources` returned, of which pictures take each in turn; None for
            pictures that are independent of real ones.

    Yields:
        Pictures, with labels if the GAN is conditional: of their sources, or each class in turn.

    Raises:
        UserError: if the GAN diverged.
    """
    gan = trained.gan
    conditions = dict(trained.recipe.conditions(num, trained.spec))
    if sources is not None and sources.labels is not None and "label" in conditions:
        turns = np.arange(num) % len(sources.labels)
        conditions["label"] = jnp.asarray(sources.labels[turns], jnp.int32)
    conditional = is_conditional(trained)

    @jax.jit
    def make(state: GANState, key: PRNGKey, conditions: Batch, kept: PyTree | None) -> PyTree:
        inputs = gan.inputs(key, SAMPLE_BATCH, conditions)
        if knob.truncation is not None:
            inputs = _truncated(inputs, knob.truncation, stream(key, "truncated"))
        if kept is not None:
            inputs = jax.tree.map(lambda x, y: _mixed(x, y, 1 - knob.similarity), kept, inputs)
        return generate(gan, state, inputs, stream(key, "generator"))

    for start in range(0, num, SAMPLE_BATCH):
        count = min(SAMPLE_BATCH, num - start)
        places = np.arange(start, start + SAMPLE_BATCH)
        own = {name: x[np.minimum(places, num - 1)] for name, x in conditions.items()}
        kept = None
        if sources is not None:
            turns = places % len(sources.images)
            kept = jax.tree.map(lambda x, turns=turns: x[turns], sources.inputs)
        made = make(trained.state, jax.random.fold_in(key, start // SAMPLE_BATCH), own, kept)
        labels = np.asarray(own["label"], np.int32)[:count] if conditional else None
        yield Part(as_examples(trained, made)[:count], labels)


def _truncated(inputs: PyTree, threshold: float, key: PRNGKey) -> PyTree:
    leaves, tree = jax.tree.flatten(inputs)
    return tree.unflatten(
        [
            jax.random.truncated_normal(own, -threshold, threshold, x.shape, x.dtype)
            if jnp.issubdtype(x.dtype, jnp.floating)
            else x
            for own, x in zip(jax.random.split(key, len(leaves)), leaves, strict=True)
        ]
    )


def _mixed(found: Array, drawn: Array, t: float) -> Array:
    return mix(found, drawn, t) if jnp.issubdtype(found.dtype, jnp.floating) else drawn
