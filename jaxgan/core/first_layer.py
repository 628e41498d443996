"""The layer that latents pass first, whose directions `jaxgan.latents.sefa` finds."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.core.gan import GAN, generate
from jaxgan.core.state import GANState
from jaxgan.types import PyTree


def first_layer(gan: GAN, state: GANState, inputs: PyTree) -> Float[Array, "Z F"]:
    """Finds the matrix by which G multiplies its latents first.

    It is the `kernel` of the first Linen layer that is called on the latents, or on others of
    their shape that are made of them, so that no network need name it. Of a transposed convolution
    of latents as a picture of one pixel, the numbers of all places lie side by side.

    Args:
        gan: the GAN.
        state: its state; of the moving average of G where an update keeps one.
        inputs: what G sees, as `gan.inputs` draws it: latents `[B, Z]`, or a tuple that begins with
            them.

    Returns:
        `[Z, F]`.

    Raises:
        ValueError: if there is no such layer.
    """
    latents = jax.tree.leaves(inputs)[0]
    found: list[Array] = []

    def look(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if not found and args and _is_of(latents, args[0]):
            layer: Any = state.extra.get("average", state.generator).params
            for name in context.module.path:
                layer = layer.get(name, {})
            kernel = layer.get("kernel")
            if kernel is not None and kernel.shape[-2] == latents.shape[-1]:
                found.append(kernel)
        return call(*args, **kwargs)

    with nn.intercept_methods(look):
        jax.eval_shape(lambda: generate(gan, state, inputs))
    if not found:
        raise ValueError("G has no first layer on its latents as they are")
    kernel = found[0]
    return jnp.moveaxis(kernel, -2, 0).reshape(kernel.shape[-2], -1)


def _is_of(latents: Array, x: Any) -> bool:
    """Tells whether an array holds as many numbers as latents, of as many channels."""
    shape = jnp.shape(x) if hasattr(x, "shape") else ()
    return math.prod(shape) == latents.size and shape[-1:] == latents.shape[-1:]
