"""Generators of latents, whose samples a fixed decoder makes into pictures.

    generator = decoded(linen(Generator()), linen(Decoder()))
    ...
    state = with_decoder(jaxgan.init(gan, key, batch), {"params": params})

In training, D sees latents. Samples are pictures, so whatever takes samples need not know that G
makes latents. The decoder is a part of G's state: checkpoints and exported weights hold it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxgan.core.networks import Network
from jaxgan.core.state import GANState, TrainState
from jaxgan.types import PRNGKey, PyTree

DECODER = "decoder"  # the collection of G that holds it
TOGETHER = 16  # examples that are decoded at a time, where as many divide the batch


def decoded(
    network: Network, decoder: Network, latents: Callable[[PyTree], PyTree] = lambda made: made
) -> Network:
    """Wraps a generator of latents so that samples are decoded.

    The decoder is not trained. Its weights are not drawn either: they are NaN, and so are samples,
    until `with_decoder` puts in those that the latents were made for.

    Args:
        network: the generator.
        decoder: from latents to pictures.
        latents: picks what is to be decoded out of what the generator makes.

    Returns:
        The generator, which makes latents if `train`, and pictures if not.
    """

    def init(key: PRNGKey, inputs: PyTree) -> tuple[PyTree, PyTree]:
        params, collections = network.init(key, inputs)
        made, _ = jax.eval_shape(
            lambda: network.apply(params, collections, inputs, jax.random.key(0), False)
        )
        like = jax.eval_shape(decoder.init, key, jax.eval_shape(latents, made))
        blank = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), like)
        return params, {**collections, DECODER: {"params": blank[0], **blank[1]}}

    def apply(params: PyTree, collections: PyTree, inputs: PyTree, key: PRNGKey, train: bool):
        own = {name: x for name, x in collections.items() if name != DECODER}
        made, moved = network.apply(params, own, inputs, key, train)
        held = collections[DECODER]
        if not train:
            others = {name: x for name, x in held.items() if name != "params"}
            made = _in_parts(
                lambda x: decoder.apply(held["params"], others, x, key, False)[0], latents(made)
            )
        return made, {**moved, DECODER: held}

    return Network(init, apply)


def _in_parts(decode: Callable[[PyTree], PyTree], latents: PyTree) -> PyTree:
    """Decodes a few examples at a time, since pictures take much more memory than latents."""
    count = jax.tree.leaves(latents)[0].shape[0]
    if not isinstance(count, int) or count % TOGETHER:  # an exported program's is a symbol
        return decode(latents)
    parts = jax.tree.map(lambda x: x.reshape(-1, TOGETHER, *x.shape[1:]), latents)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), lax.map(decode, parts))


def has_decoder_weights(state: GANState) -> bool:
    """Tells whether the decoder of a generator has weights; true if there is no decoder."""
    held = jax.tree.leaves(state.generator.collections.get(DECODER, {}))
    return not any(bool(jnp.isnan(x).any()) for x in held)


def with_decoder(state: GANState, variables: Mapping[str, Any]) -> GANState:
    """Gives the decoder of a generator its weights.

    Args:
        state: of a GAN whose generator `decoded` made.
        variables: "params" and other collections of the decoder.

    Returns:
        The state, in whose G, and in whose average of G, the decoder has these weights.

    Raises:
        ValueError: if G has no decoder, or one of other shapes.
    """

    def put(net: TrainState) -> TrainState:
        like = net.collections.get(DECODER)
        if like is None:
            raise ValueError("G has no decoder: make one by `decoded`")
        shapes, given = (
            {jax.tree_util.keystr(path): x.shape for path, x in jax.tree.leaves_with_path(tree)}
            for tree in (like, dict(variables))
        )
        for name in sorted(shapes.keys() | given.keys()):
            if shapes.get(name) != given.get(name):
                raise ValueError(
                    f"the decoder has {shapes.get(name, 'nothing')} at {name}, and what is given "
                    f"has {given.get(name, 'nothing')}"
                )
        taken = jax.tree.map(lambda like, x: jnp.array(x, like.dtype), like, dict(variables))
        return net.replace(collections={**net.collections, DECODER: taken})

    state = state.replace(generator=put(state.generator))
    if "average" not in state.extra:
        return state
    return state.with_extra(average=put(state.extra["average"]))
