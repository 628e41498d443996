"""Many GANs in one program: members that differ in seed, and in any hyperparameter one likes.

GANs differ wildly from seed to seed; to say anything about a method, train many:

    keys = jax.vmap(jax.random.key)(jnp.arange(32))
    states = population.init(gan, keys, batch)
    step = jax.jit(population.make_step(lambda: update), donate_argnums=0)
    states, metrics = step(states, batches, keys)  # metrics: [32]

or with a learning rate of its own for each:

    def make_update(learning_rate):
        adam = optax.adam(learning_rate)
        own = replace(gan, generator_optimizer=adam, discriminator_optimizer=adam)
        return update_both(own)

    step = population.make_step(make_update, learning_rate=jnp.geomspace(1e-5, 1e-2, 32))
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax import Array, lax
from jaxtyping import Key, Shaped

from jaxgan.core.gan import GAN
from jaxgan.core.gan import init as init_member
from jaxgan.core.state import GANState
from jaxgan.core.steps import Step
from jaxgan.core.steps import make_step as make_member_step
from jaxgan.core.updates import Update
from jaxgan.types import Metrics, PyTree


def init(
    gan: GAN, keys: Key[Array, "M"], batch: Mapping[str, Any], update: Update | None = None
) -> GANState:
    """Draws the first states of a population's members.

    Args:
        gan: the GAN.
        keys: a typed key for each member, `[M]`.
        batch: an example batch of one member, or its shapes.
        update: what training steps will do; see `jaxgan.init`.

    Returns:
        The states at step 0, stacked: leaves `[M, ...]`. Member m's is `jaxgan.init(gan, keys[m],
        batch, update)`.
    """
    return jax.vmap(lambda key: init_member(gan, key, batch, update))(keys)


def make_step(
    make_update: Callable[..., Update], *, at_once: int | None = None, **values: Shaped[Array, "M"]
) -> Step:
    """Makes the training step of a population.

    Args:
        make_update: makes the update of one member from its `values`, scalars by name. They are
            traced: they may be numbers that are computed with, such as learning rates or slopes,
            but not sizes, from which the program itself is made.
        at_once: how many members to compute together (see `over_members`).
        **values: for each hyperparameter that members differ in, its value of each, `[M]`.

    Returns:
        A pure function, not yet jitted, of stacked states, of batches `[M, B, ...]` and of the
        members' keys `[M]`. It gives stacked states, and metrics `[M]`. Member m trains as it would
        alone (`jaxgan.make_step`), up to rounding: XLA sums in another order when it computes many
        members together, or in a loop.
    """

    def step_member(state: GANState, batch: PyTree, key: Array, own: Mapping[str, Array]):
        return make_member_step(make_update(**own))(state, batch, key)

    def step(state: GANState, batch: PyTree, key: Array, /) -> tuple[GANState, Metrics]:
        return over_members(step_member, at_once)(state, batch, key, values)

    return step


def over_members(function: Callable, at_once: int | None = None) -> Callable:
    """Lifts a per-member function to the whole population.

    Args:
        function: of trees of one member.
        at_once: how many members to compute together, by `jax.vmap`; the others wait for their
            turn. None for all. It bounds the memory; and on a CPU, large networks, those with
            convolutions most of all, are quicker one by one.

    Returns:
        A function of trees with leaves `[M, ...]`, which returns such trees.
    """

    def lifted(*trees: PyTree):
        if at_once is None or at_once >= jax.tree.leaves(trees)[0].shape[0]:
            return jax.vmap(function)(*trees)
        batch_size = None if at_once == 1 else at_once
        return lax.map(lambda own: function(*own), trees, batch_size=batch_size)

    return lifted


def member(tree: PyTree, index: int) -> PyTree:
    """Takes one member out of a population's states, metrics or any other tree of `[M, ...]`."""
    return jax.tree.map(lambda x: x[index], tree)
