"""A network as a pair of pure functions, as optax has it for optimizers, and wrappers around one.

Linen modules are the house style, `linen(module)`; `nnx(make)` takes Flax's newer modules, and any
other pair of functions will do. What a network does besides its layers is a wrapper, for example
`in_microbatches(in_dtype(linen(module), jnp.bfloat16), 32)`.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Shaped

from jaxgan import axes
from jaxgan.keys import stream
from jaxgan.types import PRNGKey, PyTree


class Network(NamedTuple):
    """A network as two pure functions.

    `init(key, inputs) -> params, collections` draws the first parameters for inputs like these, and
    all else that the network keeps, such as running averages, by the name of its collection.

    `apply(params, collections, inputs, key, train) -> outputs, collections` runs it. The key is for
    what the network draws (dropout, noise), in sampling too; `train` chooses between the batch's
    statistics and running averages. The collections that come back have moved if `train`.

    Inputs and outputs are arrays `[B, ...]` or trees of them; a tuple of inputs is several
    arguments.
    """

    init: Callable[[PRNGKey, PyTree], tuple[PyTree, PyTree]]
    apply: Callable[[PyTree, PyTree, PyTree, PRNGKey, bool], tuple[PyTree, PyTree]]


def linen(module: nn.Module) -> Network:
    """Makes a network of a Linen module.

    Args:
        module: called as `module(*inputs, train=train)`. It may have any collections, and draw from
            "dropout" or from streams of any other name (`self.make_rng("noise")`).

    Returns:
        The network. It raises a ValueError when traced with a module that adds to its collections
        as it runs, as `sow` does.
    """

    def init(key: PRNGKey, inputs: PyTree) -> tuple[PyTree, PyTree]:
        collections: Any = dict(module.init(key, *_arguments(inputs), train=False))
        return collections.pop("params", {}), collections

    def apply(params: PyTree, collections: PyTree, inputs: PyTree, key: PRNGKey, train: bool):
        outputs, moved = module.apply(
            {"params": params, **collections},
            *_arguments(inputs),
            train=train,
            # Linen draws from "params" where it knows no stream of a name.
            rngs={"dropout": key, "params": stream(key, "others")},
            mutable=list(collections),
        )
        moved = {**collections, **moved}
        changed = [name for name, x in moved.items() if _differ(x, collections[name])]
        if changed:
            raise ValueError(
                f"{type(module).__name__} changes the structure of its collections "
                f"{', '.join(changed)} when it runs, as `sow` does: a state keeps its structure"
            )
        return outputs, moved

    return Network(init, apply)


def _differ(x: PyTree, other: PyTree) -> bool:
    return jax.tree.structure(x) != jax.tree.structure(other)


def nnx(make: Callable[..., Any]) -> Network:
    """Makes a network of an NNX module.

    Args:
        make: makes the module from its random streams, `flax.nnx.Rngs`. The module is called as
            `module(*inputs)`, after `module.train()` or `module.eval()`, and draws from streams of
            any names.

    Returns:
        The network. Its collection "state" holds all variables that are not parameters and not the
        states of random streams, which start anew from the key of each call.
    """
    import flax.nnx  # takes 0.2 s, which other networks need not wait for

    other = (flax.nnx.RngState, flax.nnx.Param, ...)

    def init(key: PRNGKey, inputs: PyTree) -> tuple[PyTree, PyTree]:
        _, _, params, rest = flax.nnx.split(make(flax.nnx.Rngs(key)), *other)
        return flax.nnx.to_pure_dict(params), {"state": flax.nnx.to_pure_dict(rest)}

    def apply(params: PyTree, collections: PyTree, inputs: PyTree, key: PRNGKey, train: bool):
        # The module's parts are made anew and replaced; jit removes the drawing of what is unused.
        module = make(flax.nnx.Rngs(key))
        graph, streams, own, rest = flax.nnx.split(module, *other)
        flax.nnx.replace_by_pure_dict(own, params)
        flax.nnx.replace_by_pure_dict(rest, collections["state"])
        module = flax.nnx.merge(graph, streams, own, rest)
        module.train() if train else module.eval()
        outputs = module(*_arguments(inputs))
        _, _, _, rest = flax.nnx.split(module, *other)
        return outputs, {"state": flax.nnx.to_pure_dict(rest)}

    return Network(init, apply)


def in_dtype(network: Network, dtype: DTypeLike) -> Network:
    """Wraps a network so that it computes in another floating-point type, such as bfloat16.

    Parameters and inputs are rounded on the way in, integers such as labels stay as they are, and
    what comes out is float32. Gradients, optimizer states and collections keep their types; Flax's
    batch norm computes its statistics in float32 by itself. An array that a module reads from a
    collection keeps its type, so that all that follows is float32 unless the module casts it.

    Args:
        network: the network.
        dtype: what it computes in.

    Returns:
        The network in `dtype`.
    """

    def cast(tree: PyTree, dtype: DTypeLike) -> PyTree:
        def convert(x: Array) -> Array:
            return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

        return jax.tree.map(convert, tree)

    def apply(params: PyTree, collections: PyTree, inputs: PyTree, key: PRNGKey, train: bool):
        params, inputs = cast((params, inputs), dtype)
        outputs, collections = network.apply(params, collections, inputs, key, train)
        return cast(outputs, jnp.float32), collections

    return Network(network.init, apply)


def in_microbatches(network: Network, size: int) -> Network:
    """Wraps a network so that it trains on a part of the batch at a time, to save memory.

    Only one part's activations are alive at a time; the gradient computes them once more. Losses
    and penalties still see the whole batch, and outputs are the same but for what looks at several
    examples, such as batch norm and minibatch deviation, which see those of a part (collections
    take the mean over the parts), and for what is drawn, such as dropout's masks. Parts are every
    n-th example, so that each device of several has a share of each part.

    Args:
        network: the network.
        size: examples in a part, on all devices together. Batches of no more pass whole.

    Returns:
        The network in microbatches. It raises a ValueError when traced with a batch that `size`
        does not divide, with a part that the devices do not divide, or if what it makes are not as
        many outputs as inputs: `in_packs(in_microbatches(discriminator, n), k)` is the order in
        which packs are of neighbors.

    Raises:
        ValueError: if `size` is less than 1.
    """
    _require_size(size)

    def apply(params: PyTree, collections: PyTree, inputs: PyTree, key: PRNGKey, train: bool):
        devices = axes.device_count()
        batch = devices * len(jax.tree.leaves(inputs)[0])
        if not train or size >= batch:
            return network.apply(params, collections, inputs, key, train)
        if batch % size:
            raise ValueError(f"microbatches of {size} do not divide a batch of {batch}")
        if size % devices:
            raise ValueError(f"{devices} devices do not divide a microbatch of {size}")
        count = batch // size

        def split(x: Array) -> Array:
            return jnp.swapaxes(x.reshape(-1, count, *x.shape[1:]), 0, 1)

        def join(x: Array) -> Array:
            return jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:])

        @jax.checkpoint
        def run(part: tuple[PyTree, PRNGKey]) -> tuple[PyTree, PyTree]:
            outputs, moved = network.apply(params, collections, *part, train)
            if any(len(x) != size // devices for x in jax.tree.leaves(outputs)):
                raise ValueError(
                    "a network in microbatches gives an output for each input; packs go around it: "
                    "in_packs(in_microbatches(discriminator, ...), ...)"
                )
            return outputs, moved

        keys = jax.random.split(key, count)
        outputs, moved = lax.map(run, (jax.tree.map(split, inputs), keys))

        def average(x: Array, before: Array) -> Array:
            if not jnp.issubdtype(x.dtype, jnp.floating):
                return x[-1]
            return before + (x - before[None]).mean(0)  # exactly as before where no part moves it

        return jax.tree.map(join, outputs), jax.tree.map(average, moved, collections)

    return Network(network.init, apply)


def in_packs(discriminator: Network, size: int) -> Network:
    """Wraps a discriminator so that it judges packs of several examples at once (see `pack`).

    Args:
        discriminator: takes arrays of `size` times the channels, and labels `[P, size]`. The
            conditional networks of `jaxgan.models` take one label for each input, so they raise.
        size: examples in a pack.

    Returns:
        A discriminator of single examples that gives `[B / size]` scores. Losses and penalties
        count a pack as one example.

    Raises:
        ValueError: if `size` is less than 1.
    """
    _require_size(size)

    def init(key: PRNGKey, inputs: PyTree) -> tuple[PyTree, PyTree]:
        return discriminator.init(key, jax.tree.map(lambda x: pack(x, size), inputs))

    def apply(params: PyTree, collections: PyTree, inputs: PyTree, key: PRNGKey, train: bool):
        packs = jax.tree.map(lambda x: pack(x, size), inputs)
        return discriminator.apply(params, collections, packs, key, train)

    return Network(init, apply)


def always_training(network: Network) -> Network:
    """Wraps a generator so that it samples as it trains, with the statistics of each batch.

    Args:
        network: the network. `in_microbatches(always_training(network), n)` trains on a part of the
            batch at a time, and samples whole batches of any size; wrapped the other way round, it
            would sample in microbatches too.

    Returns:
        The network, for which `train` is always true.
    """

    def apply(params: PyTree, collections: PyTree, inputs: PyTree, key: PRNGKey, train: bool):
        return network.apply(params, collections, inputs, key, True)

    return Network(network.init, apply)


def pack(images: Shaped[Array, "B ..."], size: int) -> Shaped[Array, "P ..."]:
    """Joins images that follow one another into packs, each one image of more channels.

    A discriminator that judges several examples at once sees when they are too much alike, and so
    punishes a generator that makes only a part of what there is. Neighbors are joined, so that
    packs are the same however a batch is spread over devices.

    Source: Lin et al., "PacGAN: The Power of Two Samples in Generative Adversarial Networks"
    (2018), section 2.

    Args:
        images: `[B, ..., C]`; vectors `[B, D]`, labels `[B]`.
        size: of a pack.

    Returns:
        `[B / size, ..., size * C]`; vectors `[B / size, size * D]`, labels `[B / size, size]`.

    Raises:
        ValueError: if `size` does not divide B.
    """
    if len(images) % size:
        raise ValueError(f"packs of {size} do not divide a batch of {len(images)}")
    packs = images.reshape(-1, size, *images.shape[1:])
    if images.ndim == 1:
        return packs
    packs = jnp.moveaxis(packs, 1, -2)
    return packs.reshape(*packs.shape[:-2], -1)


def _require_size(size: int) -> None:
    if operator.index(size) < 1:
        raise ValueError(f"size must be at least 1, not {size}")


def _arguments(inputs: PyTree) -> tuple:
    return inputs if isinstance(inputs, tuple) else (inputs,)
