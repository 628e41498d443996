"""Our functions against PyTorch's, with all their gradients, in float64."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor

RTOL = 1e-10  # of the largest number of an array
# Or of this, for arrays of rounding alone: gradients of biases that a batch norm takes away again.
SMALL = 1e-3


def assert_parity(ours: Callable, theirs: Callable[..., Tensor], *arguments: Any) -> None:
    """Compares outputs and the gradients by every floating-point array, in float64.

    Args:
        ours: function of JAX arrays, or of trees of them.
        theirs: the same function of tensors.
        *arguments: NumPy arrays, or trees of them.
    """
    tensors = jax.tree.map(to_torch, arguments)
    expected = theirs(*tensors)
    cotangent = np.random.default_rng(9).normal(size=tuple(expected.shape))
    floating = [tensor for tensor in jax.tree.leaves(tensors) if tensor.requires_grad]
    expected_gradients = torch.autograd.grad(
        expected, floating, torch.tensor(cotangent), allow_unused=True, materialize_grads=True
    )

    @jax.jit
    def run(arguments, cotangent):
        outputs, pullback = jax.vjp(ours, *arguments)
        return outputs, pullback(cotangent)

    with jax.enable_x64(True):
        outputs, gradients = run(jax.tree.map(jnp.asarray, arguments), jnp.asarray(cotangent))
    assert (expected != 0).any()
    assert_close(outputs, expected.detach())
    found = [leaf for leaf in jax.tree.leaves(gradients) if leaf.dtype != jax.dtypes.float0]
    for gradient, expected_gradient in zip(found, expected_gradients, strict=True):
        assert_close(gradient, expected_gradient)


def assert_close(found: jax.Array, expected: Tensor) -> None:
    wanted = expected.numpy()
    assert found.dtype == jnp.float64 and found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=RTOL * max(np.abs(wanted).max(), SMALL))


def to_torch(array: np.ndarray) -> Tensor:
    """A copy, differentiable if it is floating."""
    return torch.tensor(array, requires_grad=np.issubdtype(array.dtype, np.floating))


def draw_like(tree: Any, scale: float = 1.0) -> Any:
    """Draws normal numbers of the shapes of a tree, in float64."""
    random = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: scale * random.normal(size=leaf.shape), tree)


def with_slopes(critic: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Scores, and the squared norms of their gradients by each example: `[2, B]`."""

    def total(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        scores = critic(x)
        return scores.sum(), scores

    gradient, scores = jax.grad(total, has_aux=True)(x)
    return jnp.stack([scores, (gradient**2).reshape(len(x), -1).sum(1)])


def torch_with_slopes(critic: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    scores = critic(x)
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return torch.stack([scores, (gradient**2).flatten(1).sum(1)])
