"""Parts of transformers against what they are written out, and stacks against loops."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxgan.nn.positions import rotary_angles
from jaxgan.nn.transformer import (
    Attention,
    SwiGlu,
    from_patches,
    hidden_units,
    recomputed,
    rms_norm,
    stack,
    to_patches,
)

KEY = jax.random.key(0)
ANGLES = jnp.asarray(rotary_angles(2, 3, 4))
X = jax.random.normal(KEY, (2, 6, 8))


def drawn(module, *inputs) -> Any:
    """Parameters of which none is 0."""
    variables = jax.eval_shape(module.init, KEY, *inputs)
    leaves, structure = jax.tree.flatten(variables)
    keys = jax.random.split(KEY, len(leaves))
    return structure.unflatten(
        [0.5 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    )


def run(module, *arguments) -> Any:
    return jax.jit(module.apply)(*arguments)


def test_patches_are_squares_row_by_row():
    images = jnp.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3).astype(jnp.float32)
    patches = to_patches(images, 2)
    assert patches.shape == (2, 6, 12)
    np.testing.assert_array_equal(patches[1, 4], images[1, 2:4, 2:4].ravel())
    np.testing.assert_array_equal(from_patches(patches, 4, 6, 2), images)
    with pytest.raises(ValueError, match="patches of 4 x 4 do not divide 4 x 6"):
        to_patches(images, 4)


@pytest.mark.parametrize("gain", [False, True])
def test_tokens_are_scaled_to_a_mean_square_of_1(gain):
    found, variables = rms_norm(gain=gain).init_with_output(KEY, 3 * X)
    np.testing.assert_allclose((found**2).mean(-1), 1, rtol=1e-5)
    assert jax.tree.map(jnp.shape, variables) == ({"params": {"scale": (8,)}} if gain else {})


def test_all_tokens_alike_get_their_value():
    alike = jnp.broadcast_to(X[:, :1], X.shape)
    module = Attention(2)
    variables = drawn(module, alike, ANGLES)
    inputs, outputs = (variables["params"][name] for name in ("inputs", "outputs"))
    values = alike @ inputs["kernel"][:, 16:] + inputs["bias"][16:].reshape(1, 1, -1)
    expected = values @ outputs["kernel"] + outputs["bias"].reshape(1, 1, -1)
    np.testing.assert_allclose(run(module, variables, alike, ANGLES), expected, atol=1e-5)


def test_attention_does_not_see_how_long_queries_are():
    module = Attention(2)
    variables = drawn(module, X, ANGLES)
    kernel, bias = (variables["params"]["inputs"][name] for name in ("kernel", "bias"))
    scale = jnp.where(jnp.arange(24) < 8, 7.0, 1.0)  # of queries alone
    longer = {"kernel": kernel * scale[None], "bias": bias * scale}
    other = {"params": variables["params"] | {"inputs": longer}}
    found, expected = (run(module, each, X, ANGLES) for each in (other, variables))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match="3 heads do not divide a width of 8"):
        jax.eval_shape(Attention(3).init, KEY, X, ANGLES)


def test_hidden_units_are_products():
    module = SwiGlu()
    variables = drawn(module, X)
    layers = variables["params"]
    assert layers["inputs"]["kernel"].shape == (8, 2 * 21)
    assert hidden_units(1152) == 3072
    made = X @ layers["inputs"]["kernel"] + layers["inputs"]["bias"].reshape(1, 1, -1)
    hidden = jax.nn.silu(made[..., :21]) * made[..., 21:]
    expected = hidden @ layers["outputs"]["kernel"] + layers["outputs"]["bias"].reshape(1, 1, -1)
    np.testing.assert_allclose(run(module, variables, X), expected, atol=1e-5)


class Block(nn.Module):
    features: int

    @nn.compact
    def __call__(self, inputs, other):
        x = inputs + jnp.tanh(nn.Dense(self.features)(inputs) * other)
        return x, x.sum(-1)


def test_a_stack_is_a_loop_over_its_blocks():
    module: Any = stack(recomputed(Block), 3)(8)
    other = X[:, :1]
    variables = jax.jit(module.init)(KEY, X, other)
    layers = variables["params"]["Dense_0"]
    assert layers["kernel"].shape == (3, 8, 8)
    assert len(np.unique(layers["kernel"][:, 0, 0])) == 3  # each with its own

    def looped(variables, x):
        sums = []
        for index in range(3):
            own = jax.tree.map(lambda leaf, index=index: leaf[index], variables)
            x, total = Block(8).apply(own, x, other)
            sums.append(total)
        return x, jnp.stack(sums)

    def stacked(variables, x):
        return module.apply(variables, x, other)

    def gradient(function):
        def number(*arguments):
            x, sums = function(*arguments)
            return jnp.sin(x).sum() + (sums**2).sum()

        return jax.jit(jax.grad(number, (0, 1)))(variables, X)

    for found, expected in (
        (stacked(variables, X), looped(variables, X)),
        (gradient(stacked), gradient(looped)),
    ):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected
        )


def test_a_stack_of_any_depth_is_one_program():
    def length(depth: int) -> int:
        module: Any = stack(Block, depth)(8)
        variables = jax.eval_shape(module.init, KEY, X, X[:, :1])
        return len(jax.jit(module.apply).lower(variables, X, X[:, :1]).as_text().splitlines())

    assert length(30) == length(3)
