"""Spectral normalization: layers whose kernel has a largest singular value of 1.

Networks take it as a function that wraps each of their layers, `SpectralNorm` or `plain`.

Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018),
section 2.1 and algorithm 1.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

# layer, train -> the layer as it is used. Networks bind `train`; their blocks wrap layers alone.
Wrap = Callable[[nn.Module, bool], nn.Module]


def plain(layer: nn.Module, train: bool) -> nn.Module:
    """Leaves a layer as it is: the `Wrap` of networks without spectral normalization.

    Args:
        layer: the layer.
        train: unused.

    Returns:
        The layer.
    """
    return layer


class SpectralNorm(nn.Module):
    """A layer whose kernel is divided by an estimate of its largest singular value.

    Each call makes one step of the power iteration from a vector `u` of the collection
    `batch_stats`; in training, the result replaces it. `u` and its counterpart count as constants
    in gradients. Biases, and all else of less than two dimensions, stay as they are.

    The layer keeps its name and its parameters. Unlike with `flax.linen.SpectralNorm`, it also
    keeps its type: what is bfloat16 is not promoted to the float32 of `u`. Kernel and `u` are the
    same on all devices of a mapped axis, and so is what becomes of them.
    """

    layer: nn.Module
    train: bool  # whether the power iteration goes on from here
    axis: int = -1  # of the kernel's outputs: -2 in `jaxgan.nn.ConvTranspose`

    @nn.compact
    def __call__(self, *inputs: Array) -> Array:
        """Calls the layer."""
        nn.share_scope(self, self.layer)
        moved: dict[str, Array] = {}

        def normalize(path: tuple[Any, ...], kernel: Array) -> Array:
            if kernel.ndim < 2:
                return kernel
            _, *names = path  # the first is that of the collection
            name = jax.tree_util.keystr(tuple(names), simple=True, separator="/") + "_u"
            outputs = kernel.shape[self.axis]
            start = self.variable(
                "batch_stats", name, lambda: jax.random.normal(self.make_rng("params"), (outputs,))
            ).value
            matrix = jnp.moveaxis(kernel, self.axis, -1).reshape(-1, outputs)
            constant = lax.stop_gradient(matrix)
            v = _unit(constant @ start)
            u = _unit(v @ constant)
            moved[name] = u.astype(start.dtype)
            return kernel / (v @ matrix @ u).astype(kernel.dtype)

        outputs = nn.map_variables(
            lambda layer: layer(*inputs),
            "params",
            partial(jax.tree_util.tree_map_with_path, normalize),
            init=self.is_initializing(),
        )(self.layer)
        # Not before: the mapping ends by putting all of the layer's variables back.
        if self.train:
            for name, u in moved.items():
                self.put_variable("batch_stats", name, u)
        return outputs


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)
