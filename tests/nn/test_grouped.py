from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxgan.nn.grouped import GroupedConv, _by_definition, _by_matrices, convolve_in_groups

KEY = jax.random.key(0)


@pytest.mark.parametrize("groups, size", [(1, 3), (3, 3), (2, 4)])
def test_values_and_gradients_of_two_orders_are_those_of_flax(groups, size):
    ours = GroupedConv(6, size, groups)
    theirs = nn.Conv(6, (size, size), feature_group_count=groups)
    with jax.enable_x64(True):
        draw = np.random.default_rng(0).normal
        x = jnp.asarray(draw(size=(2, 4, 3, 6)))
        shapes = jax.eval_shape(theirs.init, KEY, x)
        assert jax.tree.map(jnp.shape, jax.eval_shape(ours.init, KEY, x)) == jax.tree.map(
            jnp.shape, shapes
        )
        params = jax.tree.map(lambda leaf: jnp.asarray(draw(size=leaf.shape)), shapes)

        def slopes(params, x, layer):
            def loss(x):
                y = layer.apply(params, x)
                return jnp.sin(y).sum(), y

            gradient, y = jax.grad(loss, has_aux=True)(x)
            return jnp.sin(gradient).sum(), y

        @jax.jit
        def both(params, x):
            return [
                jax.value_and_grad(slopes, (0, 1), has_aux=True)(params, x, layer)
                for layer in (ours, theirs)
            ]

        found, expected = both(params, x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), found, expected)


def test_what_cpus_compute_is_what_other_devices_compute():
    x, kernel = jax.random.normal(KEY, (2, 5, 4, 6)), jax.random.normal(KEY, (3, 2, 2, 9))
    padding = ((1, 1), (0, 1))
    expected = jax.jit(lambda x, kernel: _by_definition(x, kernel, padding))(x, kernel)
    found = jax.jit(lambda x, kernel: _by_matrices(x, kernel, padding))(x, kernel)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(jax.jit(convolve_in_groups)(x, kernel), found)


def test_groups_do_not_see_each_other():
    x = jax.random.normal(KEY, (1, 4, 4, 4))
    kernel = jax.random.normal(KEY, (3, 3, 2, 6))
    y = convolve_in_groups(x, kernel)
    changed = convolve_in_groups(x.at[..., :2].set(0), kernel)
    np.testing.assert_array_equal(changed[..., 3:], y[..., 3:])
    assert (changed[..., :3] != y[..., :3]).any()


def test_groups_that_do_not_divide_the_channels_are_refused():
    for features, channels in ((4, 3), (3, 4)):
        layer: Any = GroupedConv(features, 3, 2)
        with pytest.raises(ValueError, match=f"do not divide {channels} inputs and {features} out"):
            layer.init(KEY, jnp.zeros((1, 2, 2, channels)))
