"""Chances and products of drawn matrices."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.augment.matrices import by_chance, product

IMAGE = jnp.zeros((2, 2, 1))
KEYS = jax.random.split(jax.random.key(0), 1000)


def drawn(draw):
    return np.asarray(jax.jit(jax.vmap(lambda key: draw(IMAGE, key)))(KEYS))


def normal(image, key):
    return jax.random.normal(key, (2, 2), image.dtype)


def test_a_draw_by_chance_is_else_the_identity():
    assert (drawn(by_chance(normal, 0.0)) == np.eye(2)).all()
    always = drawn(by_chance(normal, 1.0))
    np.testing.assert_allclose(always, drawn(normal), rtol=1e-5)
    sometimes = drawn(by_chance(normal, 0.3))
    chosen = (sometimes != np.eye(2)).any((1, 2))
    assert abs(chosen.mean() - 0.3) < 0.06  # four standard deviations
    np.testing.assert_allclose(sometimes[chosen], always[chosen], rtol=1e-5)


def test_a_product_has_its_factors_in_order_and_draws_each_of_them():
    def first(image, key):
        return jnp.array([[1.0, 2.0], [0.0, 1.0]])

    def second(image, key):
        return jnp.array([[1.0, 0.0], [3.0, 1.0]])

    np.testing.assert_array_equal(drawn(product(first, second))[0], [[7, 2], [3, 1]])
    square, twice = drawn(product(normal, normal)), drawn(normal)
    assert not np.isclose(square, twice @ twice).any((1, 2)).all()
    assert abs(square.mean()) < 0.1  # each entry of a product of independent factors
