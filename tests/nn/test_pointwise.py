"""Dense layers of each pixel by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxgan.nn.pointwise import PixelDense, product_of_rows


@pytest.mark.parametrize("axes", [(), (5,), (2, 3, 4)])
def test_values_and_all_gradients_are_those_of_a_dense_layer(axes):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (*axes, 6))
    dense, pixels = nn.Dense(7), PixelDense(7)
    variables = dense.init(keys[1], x)
    weights = jax.random.normal(keys[2], (*axes, 7))

    def penalized(module):
        def score(x, variables):
            return (weights * jnp.tanh(module.apply(variables, x))).sum()

        def total(x, variables):  # of first and second derivatives
            return score(x, variables) + (jax.grad(score)(x, variables) ** 2).sum()

        return jax.value_and_grad(total, (0, 1))(x, variables)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
        penalized(dense),
        penalized(pixels),
    )


def test_it_computes_in_the_type_asked_for():
    x = jnp.ones((2, 3, 3, 4))
    variables = PixelDense(5).init(jax.random.key(0), x)
    made = jnp.asarray(PixelDense(5, dtype=jnp.bfloat16).apply(variables, x))
    assert made.dtype == jnp.bfloat16


def test_the_gradient_by_the_kernel_transposes_no_pixels():
    def gradient(module, x):
        variables = module.init(jax.random.key(0), x)
        loss = lambda variables: (module.apply(variables, x) ** 2).sum()  # noqa: E731
        return jax.jit(jax.grad(loss)).lower(variables).as_text()

    x = jnp.ones((2, 8, 8, 4))
    assert "dot_general" in gradient(PixelDense(5), x)
    pixels = "contracting_dims = [0, 1, 2]"
    assert pixels in gradient(nn.Dense(5), x) and pixels not in gradient(PixelDense(5), x)


def test_other_products_are_refused():
    x, kernel = jnp.ones((2, 3)), jnp.ones((3, 2))
    made = product_of_rows(x, kernel, (((1,), (0,)), ((), ())))
    np.testing.assert_array_equal(made, jnp.full((2, 2), 3.0))
    with pytest.raises(ValueError, match="last axis"):
        product_of_rows(x, kernel, (((0,), (1,)), ((), ())))
