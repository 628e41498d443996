import jax
import jax.numpy as jnp

from jaxgan.core.dependence import dependence


def test_only_what_results_are_made_of_counts():
    @jax.jit
    def function(a, b):
        unused = jnp.sin(b["y"])
        return a[0] + b["x"], jnp.zeros(len(unused))

    args = ((jnp.ones(3), jnp.ones(3)), {"x": jnp.ones(3), "y": jnp.ones(3)})
    assert dependence(function, *args) == ((True, False), {"x": True, "y": False})


def test_keys_count_where_something_is_drawn():
    def function(key, x):
        return jax.random.normal(key, x.shape)

    assert dependence(function, jax.random.key(0), jnp.ones(3)) == (True, False)
