"""Walks among the latents of a finished run: from one to another, and along directions."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.core.first_layer import first_layer
from jaxgan.core.gan import SAMPLE_BATCH, generate
from jaxgan.keys import stream
from jaxgan.latents import lerp, sefa, slerp
from jaxgan.rundir.loading import Trained, as_examples, check_num
from jaxgan.types import PRNGKey, PyTree
from jaxgan.util.errors import UserError

TOGETHER = 16  # inputs of walks in a batch

_generate = jax.jit(generate, static_argnums=0)


def interpolate(trained: Trained, rows: int, columns: int, key: PRNGKey) -> np.ndarray:
    """Walks from one latent to another: along great circles, or lines where latents are bounded.

    Numbers from U(-1, 1) stay there on a line; normal ones keep their length on a great circle.

    Args:
        trained: what `jaxgan.rundir.load` loaded.
        rows: walks, each between two latents of its own; of a conditional GAN, each within a class.
        columns: images in a walk, with both ends.
        key: of the latents.

    Returns:
        Images, uint8 `[rows * columns, H, W, C]`, or other examples, float32, row by row.

    Raises:
        UserError: if a number is out of range, G makes pictures from pictures, or the GAN diverged.
    """
    _check(trained, rows, columns)
    starts, ends = (_inputs(trained, rows, stream(key, end)) for end in ("start", "end"))
    many = _inputs(trained, SAMPLE_BATCH, stream(key, "others"))
    places = jnp.linspace(0, 1, columns)[None]

    def walk(start: Array, end: Array, many: Array) -> Array:
        if not jnp.issubdtype(start.dtype, jnp.floating):  # such as labels, the same at both ends
            return jnp.repeat(start, columns, 0)
        way = lerp if jnp.abs(many).max() <= 1 else slerp
        walks = way(start.reshape(rows, 1, -1), end.reshape(rows, 1, -1), places)
        return walks.reshape(-1, *start.shape[1:])

    return _make(trained, jax.tree.map(walk, starts, ends, many), key)


def vary(trained: Trained, rows: int, columns: int, reach: float, key: PRNGKey) -> np.ndarray:
    """Moves one latent along the directions in which G's first layer changes most.

    Args:
        trained: what `jaxgan.rundir.load` loaded.
        rows: directions, from the most effective one; all if there are fewer.
        columns: images along a direction.
        reach: how far to either side; of an odd number, the middle image is of the latent itself.
        key: of the latent.

    Returns:
        Images, uint8 `[N, H, W, C]`, or other examples, float32 `[N, ...]`, row by row.

    Raises:
        UserError: if a number is out of range, G makes pictures from pictures, or has no first
            layer that takes latents as they are, or the GAN diverged.
    """
    _check(trained, rows, columns)
    if not 0 < reach < float("inf"):
        raise UserError(f"reach must be finite and above 0, not {reach}")
    leaves, tree = jax.tree.flatten(_inputs(trained, 1, key))
    try:
        matrix = first_layer(trained.gan, trained.state, tree.unflatten(leaves))
    except ValueError as error:
        raise UserError(f"{trained.recipe.name} has no directions to find: {error}") from None
    latent, *others = leaves
    directions = sefa(matrix)[:rows]
    steps = jnp.linspace(-reach, reach, columns).reshape(1, -1, 1)
    moved = (latent[None] + steps * directions[:, None]).reshape(-1, latent.shape[-1])
    kept = [jnp.repeat(x, len(moved), 0) for x in others]
    return _make(trained, tree.unflatten([moved, *kept]), key)


def _check(trained: Trained, rows: int, columns: int) -> None:
    if trained.spec.source is not None:
        raise UserError(
            f"{trained.recipe.name} makes pictures from pictures, so there are no latents to walk "
            "among: use jaxgan translate"
        )
    for name, number in (("rows", rows), ("columns", columns)):
        if number < 1:
            raise UserError(f"{name} must be at least 1, not {number}")
    check_num(rows * columns)


def _inputs(trained: Trained, count: int, key: PRNGKey) -> PyTree:
    """Draws what G sees."""
    return trained.gan.inputs(key, count, trained.recipe.conditions(count, trained.spec))


def _make(trained: Trained, inputs: PyTree, key: PRNGKey) -> np.ndarray:
    """Makes examples of inputs `[N, ...]`, each among many that are drawn as usual.

    So a generator that samples with batch statistics makes of an input what `sample` does, although
    the inputs of a walk are much alike.
    """
    count = len(jax.tree.leaves(inputs)[0])
    others = _inputs(trained, SAMPLE_BATCH, stream(key, "others"))

    def batch(start: int) -> PyTree:
        return jax.tree.map(
            lambda x, rest: jnp.concatenate([x[start : start + TOGETHER], rest])[:SAMPLE_BATCH],
            inputs,
            others,
        )

    made = [
        jax.tree.map(lambda x: x[:TOGETHER], _generate(trained.gan, trained.state, batch(start)))
        for start in range(0, count, TOGETHER)
    ]
    joined = jax.tree.map(lambda *parts: jnp.concatenate(parts)[:count], *made)
    return as_examples(trained, joined)
