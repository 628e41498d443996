"""Attention between the places of an image."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.nn.layers import Initializer, max_pool


class SelfAttention(nn.Module):
    """Adds to each place what it attends to, times a gain that starts at 0.

    Keys and values are max-pooled by two, so that each place attends to a quarter of all, and dot
    products are not scaled.

    Source: Zhang et al., "Self-Attention Generative Adversarial Networks" (2019), section 3, as in
    its code. The paper has no pooling, and values of C / 8 channels.
    """

    wrap: Callable[[nn.Module], nn.Module] = lambda layer: layer  # of the four layers
    kernel_init: Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, inputs: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Maps `[B, H, W, C]` to the same shape; 8 divides C.

        Raises:
            ValueError: if it does not.
        """
        batch, height, width, channels = inputs.shape
        if channels % 8:
            raise ValueError(f"self-attention divides channels by 8, but there are {channels}")

        def project(name: str, features: int, x: Array) -> Array:
            dense = nn.Dense(features, use_bias=False, kernel_init=self.kernel_init, name=name)
            return self.wrap(dense)(x)

        def flat(x: Array) -> Array:
            return x.reshape(batch, -1, x.shape[-1])

        queries = flat(project("query", channels // 8, inputs))
        keys = flat(max_pool(project("key", channels // 8, inputs), 2))
        values = flat(max_pool(project("value", channels // 2, inputs), 2))
        weights = jax.nn.softmax(jnp.einsum("bqc,bkc->bqk", queries, keys))
        attended = jnp.einsum("bqk,bkc->bqc", weights, values)
        attended = attended.reshape(batch, height, width, channels // 2)
        gain = self.param("gain", nn.initializers.zeros, (), jnp.float32)
        return inputs + gain * project("output", channels, attended)
