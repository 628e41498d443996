"""A pool of earlier fakes, so that D does not forget what G did before."""

import operator

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan import axes
from jaxgan.core.dependence import dependence
from jaxgan.core.gan import GAN
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update, draw_inputs, make_fakes, update_discriminator
from jaxgan.keys import stream
from jaxgan.types import Batch, Metrics, PRNGKey, PyTree

Pool = tuple[PyTree, Array]  # fakes [P, ...], and how many of them are there


def update_discriminator_from_pool(gan: GAN, size: int, *, apart: bool = False) -> Update:
    """Makes the update that steps the discriminator once, on fakes of this step and earlier ones.

    A fake fills the pool as long as there is room. Then it is shown to D as it is, or, half of the
    time, takes the place of one in the pool, which is shown instead.

    Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks" (2017), section 4, with a pool of 50 pictures; after Shrivastava et al., "Learning
    from Simulated and Unsupervised Images through Adversarial Training" (2017), section 2.3.

    Args:
        gan: the GAN. Its view takes nothing from the batch, to which earlier fakes do not belong:
            let G return the label or the source of a fake beside it.
        size: fakes in the pool, for all devices together.
        apart: whether each entry of the fakes, a dictionary, has a pool of its own, as several
            discriminators that are one player want it.

    Returns:
        An update with the metrics of `update_discriminator`, to whose terms it gives no `inputs`.
        It keeps `state.extra["pool"]`: fakes, and how many of them are there; or both by name. It
        raises a ValueError when traced with a view that takes something from the batch.

    Raises:
        ValueError: if the pool has no place.
    """
    if operator.index(size) < 1:
        raise ValueError(f"a pool has at least 1 place, not {size}")

    def fakes(state: GANState, batch: Batch, key: PRNGKey) -> PyTree:
        inputs = draw_inputs(gan, batch, key)
        return make_fakes(gan, state.generator.params, state, inputs, key)[0]

    def init(state: GANState, batch: Batch, key: PRNGKey) -> GANState:
        shapes = jax.eval_shape(fakes, state, batch, key)
        if apart:
            return state.with_extra(pool={name: _empty(x, size) for name, x in shapes.items()})
        return state.with_extra(pool=_empty(shapes, size))

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        made = fakes(state, batch, key)
        _check_view(gan, made, state, batch, key)
        new = axes.whole(made)
        put = _exchange_each if apart else exchange
        pool, shown = put(state.extra["pool"], new, stream(key, "pool"))
        update = update_discriminator(gan, fake=axes.share(shown))
        state, metrics = update.apply(state, batch, key)
        return state.with_extra(pool=pool), metrics

    return Update(init, apply)


def _check_view(gan: GAN, fakes: PyTree, state: GANState, batch: Batch, key: PRNGKey) -> None:
    """Raises if what D sees of fakes depends on the batch that they are shown with."""
    (taken,) = dependence(lambda batch: gan.view(fakes, batch, key, state), batch)
    names = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, is_taken in jax.tree.leaves_with_path(taken)
        if is_taken
    ]
    if names:
        raise ValueError(
            f"the view takes {', '.join(names)} of the batch, to which earlier fakes of a pool do "
            "not belong: let G return beside each fake what belongs to it"
        )


def _empty(fakes: PyTree, size: int) -> Pool:
    """Makes a pool for fakes like these, or of such shapes."""
    stored = jax.tree.map(lambda x: jnp.zeros((size, *x.shape[1:]), x.dtype), fakes)
    return stored, jnp.zeros((), jnp.int32)


def _exchange_each(
    pools: dict[str, Pool], fakes: dict[str, PyTree], key: PRNGKey
) -> tuple[dict[str, Pool], dict[str, PyTree]]:
    """Puts fakes into pools of their own, each with draws of its own."""
    found = {name: exchange(pools[name], fakes[name], stream(key, name)) for name in fakes}
    return {name: x for name, (x, _) in found.items()}, {name: x for name, (_, x) in found.items()}


def exchange(pool: Pool, fakes: PyTree, key: PRNGKey) -> tuple[Pool, PyTree]:
    """Puts fakes into a pool, one after the other.

    Args:
        pool: see `update_discriminator_from_pool`.
        fakes: `[B, ...]`.
        key: a typed key.

    Returns:
        The pool, and what is shown in the place of the fakes: `[B, ...]`.
    """

    def one(pool: Pool, item: tuple[PyTree, PRNGKey]) -> tuple[Pool, PyTree]:
        (stored, count), (fake, key) = pool, item
        size = len(jax.tree.leaves(stored)[0])
        full = count == size
        swap = full & jax.random.bernoulli(stream(key, "swap"))
        place = jnp.where(full, jax.random.randint(stream(key, "place"), (), 0, size), count)
        old = jax.tree.map(lambda x: x[place], stored)
        shown = jax.tree.map(lambda x, y: jnp.where(swap, x, y), old, fake)
        kept = jax.tree.map(lambda x, y: jnp.where(full & ~swap, x, y), old, fake)
        stored = jax.tree.map(lambda x, y: x.at[place].set(y), stored, kept)
        return (stored, jnp.minimum(count + 1, size)), shown

    count = len(jax.tree.leaves(fakes)[0])
    return lax.scan(one, pool, (fakes, jax.random.split(key, count)))
