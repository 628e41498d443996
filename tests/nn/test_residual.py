from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxgan.nn.layers import batch_norm
from jaxgan.nn.residual import DiscriminatorBlock, GeneratorBlock, double, halve, keep

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (2, 4, 4, 3))


def test_doubling_repeats_pixels_and_halving_averages_them():
    x = jnp.arange(1.0, 5).reshape(1, 2, 2, 1)
    large = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    np.testing.assert_array_equal(double(x)[0, ..., 0], large)
    np.testing.assert_array_equal(halve(x).ravel(), [2.5])
    np.testing.assert_array_equal(halve(double(x)), x)
    np.testing.assert_array_equal(halve(jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))), halve(x))


def without_second_convolution(block, *inputs) -> tuple[Any, Any]:
    """A block's parameters, and what it computes if its second convolution is 0."""
    variables: Any = jax.jit(block.init)(KEY, *inputs)
    params = variables["params"]
    params |= {"Conv_1": jax.tree.map(jnp.zeros_like, params["Conv_1"])}
    outputs = jax.jit(lambda *args: block.apply(*args, mutable=True)[0])(
        variables | {"params": params}, *inputs
    )
    return params, np.asarray(outputs)


@pytest.mark.parametrize("activate", [keep, nn.relu])
@pytest.mark.parametrize("features, resize", [(3, keep), (5, keep), (3, halve)])
def test_a_block_with_a_zero_second_convolution_is_its_shortcut(features, resize, activate):
    block = DiscriminatorBlock(features, 4, resize, activate)
    params, outputs = without_second_convolution(block, X)
    expected = resize(X)  # of the inputs themselves, negative ones too
    if (features, resize) != (3, keep):
        expected = np.asarray(expected) @ params["Dense_0"]["kernel"]
    else:
        assert params.keys() == {"Conv_0", "Conv_1"}
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_the_shortcut_of_a_generators_block_is_its_doubled_input_mapped_linearly():
    block = GeneratorBlock(5, batch_norm(0.9, 1e-5, True))
    params, outputs = without_second_convolution(block, X)
    np.testing.assert_allclose(outputs, double(X @ params["Dense_0"]["kernel"]), atol=1e-6)


def test_a_first_block_sees_negative_pixels():
    second = {"kernel": jnp.ones((3, 3, 4, 3)), "bias": jnp.zeros(3)}
    for activate, counts in ((keep, True), (nn.relu, False)):
        block = DiscriminatorBlock(3, 4, activate=activate)
        variables: Any = jax.jit(block.init)(KEY, X)
        params = variables["params"] | {"Conv_1": second}
        apply = jax.jit(lambda x, block=block, params=params: block.apply({"params": params}, x))
        residues = [apply(x) - x for x in (-abs(X), -2 * abs(X))]
        assert (abs(residues[0] - residues[1]).max() > 0.1) == counts


def test_convolutions_start_larger_than_shortcuts_by_the_root_of_2():
    params: Any = jax.jit(DiscriminatorBlock(64, 32).init)(KEY, jnp.zeros((1, 2, 2, 48)))["params"]
    for name, fans, factor in (
        ("Conv_0", 9 * (48 + 32), 2),
        ("Conv_1", 9 * (32 + 64), 2),
        ("Dense_0", 48 + 64, 1),
    ):
        variance = factor * 2 / fans
        np.testing.assert_allclose((params[name]["kernel"] ** 2).mean(), variance, rtol=0.05)
        assert (params[name]["bias"] == 0).all()
