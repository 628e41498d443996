import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import axes
from jaxgan.nn.noise import normal_per_example

KEY = jax.random.key(0)


def test_noise_is_normal_and_of_the_type_that_is_asked_for():
    x = normal_per_example(KEY, 50, (20, 20, 1), jnp.bfloat16)
    assert x.shape == (50, 20, 20, 1) and x.dtype == jnp.bfloat16
    numbers = np.asarray(x, np.float64)
    assert abs(numbers.mean()) < 0.03 and abs(numbers.std() - 1) < 0.03


def test_each_example_has_its_own_noise_on_any_number_of_devices():
    whole = normal_per_example(KEY, 6, (3,))
    assert len(np.unique(whole)) == 18
    np.testing.assert_array_equal(normal_per_example(KEY, 2, (3,)), whole[:2])

    def mapped(_):
        with axes.spread(axis_name="devices"):
            return normal_per_example(KEY, 3, (3,))

    shares = jax.pmap(mapped, "devices", devices=jax.devices()[:2])(jnp.arange(2))
    np.testing.assert_array_equal(shares.reshape(6, 3), whole)
