"""The search for latents: every example goes down its own objective, all in one loop."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jaxtyping import Float

from jaxgan.types import PerSample, PyTree

Objective = Callable[[PyTree], PerSample]  # what G sees, [N, ...] -> [N]


class Search(NamedTuple):
    """How far a search has come."""

    first: PyTree  # the inputs of G that it began with, arrays [N, ...]
    inputs: PyTree  # those it has come to
    optimizer: PyTree  # the optimizer's states
    best: PyTree  # of the inputs so far, those with the smallest losses
    loss: PerSample  # of the best


def begin(starts: PyTree, optimizer: optax.GradientTransformation) -> Search:
    """Begins a search.

    Args:
        starts: inputs of G, `[N, ...]`, as `gan.inputs` draws them: latents, perhaps with labels.
        optimizer: of the latents.

    Returns:
        The search before its first step.
    """
    moving, _ = _split(starts)
    count = len(jax.tree.leaves(starts)[0])
    return Search(
        starts, starts, jax.vmap(optimizer.init)(moving), starts, jnp.full(count, jnp.inf)
    )


def search(
    objective: Objective,
    begun: Search,
    optimizer: optax.GradientTransformation,
    steps: int,
    restrict: Callable[[PyTree, PyTree], PyTree] = lambda moved, first: moved,
) -> tuple[Search, Float[Array, "steps N"]]:
    """Moves latents down an objective; integers, such as labels, stay as they are.

    Each example has an optimizer state of its own. To follow a long search, run it in parts: a
    search that goes on gives the numbers of one that never stopped.

    Args:
        objective: of inputs `[N, ...]`: losses `[N]`, each of which depends on its own example
            alone. G therefore samples with running averages, not with batch statistics.
        begun: what `begin`, or an earlier part of the search, returned.
        optimizer: the one that `begin` was given.
        steps: how many.
        restrict: `(moved, first) -> inputs`: where latents may go, applied after each step, such as
            `keep_length`.

    Returns:
        The search, and the losses before each step.
    """

    def step(now: Search, _: None) -> tuple[Search, PerSample]:
        moving, join = _split(now.inputs)

        def total(moving: list[Array]) -> tuple[Array, PerSample]:
            losses = objective(join(moving))
            return losses.sum(), losses

        gradients, losses = jax.grad(total, has_aux=True)(moving)
        better = losses < now.loss
        best = jax.tree.map(
            lambda new, old: jnp.where(_lay_out(better, new), new, old), now.inputs, now.best
        )
        updates, states = jax.vmap(optimizer.update)(gradients, now.optimizer, moving)
        moved = restrict(join(jax.tree.map(jnp.add, moving, updates)), now.first)
        loss = jnp.where(better, losses, now.loss)
        return Search(now.first, moved, states, best, loss), losses

    return lax.scan(step, begun, length=steps)


def keep_length(moved: PyTree, first: PyTree) -> PyTree:
    """Restricts latents to the sphere on which they began.

    Latents from N(0, 1) of many dimensions lie close to a sphere, and a generator has seen hardly
    any others.

    Source: Menon et al., "PULSE: Self-Supervised Photo Upsampling via Latent Space Exploration of
    Generative Models" (2020), section 3.2.

    Args:
        moved: inputs of G, `[N, ...]`.
        first: those that the search began with.

    Returns:
        Inputs, each with the direction of `moved` and the length of `first`; integers as they are.
    """

    def length(x: Array) -> Array:
        axes = tuple(range(1, x.ndim))
        return jnp.sqrt((x**2).sum(axes, keepdims=True))

    def restrict(moved: Array, first: Array) -> Array:
        if not jnp.issubdtype(moved.dtype, jnp.floating):
            return moved
        return moved * (length(first) / length(moved))

    return jax.tree.map(restrict, moved, first)


def best_first(losses: PerSample, tree: PyTree, pictures: int) -> PyTree:
    """Sorts what several starts for each picture came to, from the smallest loss to the largest.

    Args:
        losses: `[P * S]`, all starts of a picture in a row; NaN counts as the largest.
        tree: arrays `[P * S, ...]` to sort.
        pictures: P.

    Returns:
        Arrays `[P, S, ...]`.
    """
    order = jnp.argsort(losses.reshape(pictures, -1), axis=1)

    def sort(x: Array) -> Array:
        x = x.reshape(*order.shape, *x.shape[1:])
        return jax.vmap(lambda x, order: x[order])(x, order)

    return jax.tree.map(sort, tree)


def _split(inputs: PyTree) -> tuple[list[Array], Callable[[list[Array]], PyTree]]:
    """Takes the latents out of G's inputs, and says how to put others in their place."""
    leaves, tree = jax.tree.flatten(inputs)
    moves = [jnp.issubdtype(x.dtype, jnp.floating) for x in leaves]

    def join(moving: list[Array]) -> PyTree:
        rest = iter(moving)
        return tree.unflatten([next(rest) if m else x for m, x in zip(moves, leaves, strict=True)])

    return [x for m, x in zip(moves, leaves, strict=True) if m], join


def _lay_out(x: Array, like: Array) -> Array:
    """Lays out numbers so that each belongs to a whole example."""
    return x.reshape(-1, *[1] * (like.ndim - 1))
