from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.nn.attention import SelfAttention
from jaxgan.nn.spectral import SpectralNorm

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (2, 5, 4, 16))


def drawn(layer, x, gain: float) -> Any:
    variables: Any = jax.jit(layer.init)(KEY, x)
    return variables | {"params": variables["params"] | {"gain": jnp.float32(gain)}}


def test_at_first_it_is_the_identity():
    outputs, variables = jax.jit(SelfAttention().init_with_output)(KEY, X)
    np.testing.assert_array_equal(outputs, X)
    params: Any = variables["params"]
    assert params["gain"] == 0
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 1.25 * 16**2 + 1


def test_all_places_of_an_even_image_get_the_same():
    even = jnp.broadcast_to(X[:, :1, :1], X.shape)
    variables = drawn(SelfAttention(), even, 0.5)
    found: Any = jax.jit(SelfAttention().apply)(variables, even)
    params = variables["params"]
    value = np.asarray(even) @ params["value"]["kernel"] @ params["output"]["kernel"]
    np.testing.assert_allclose(found, even + 0.5 * value, atol=1e-5)


def test_a_place_sees_all_others_of_its_image_and_no_other_image():
    variables = drawn(SelfAttention(), X, 1.0)

    def number(x):
        outputs: Any = SelfAttention().apply(variables, x)
        return outputs[0, 0, 0, 0]

    slope = jax.jit(jax.grad(number))(X)
    reached = (np.asarray(slope) != 0).any(-1)
    # The fifth row fills no window of two, so it is neither key nor value.
    assert reached[0, :4].any(1).all() and not reached[0, 4].any() and not reached[1].any()


def test_it_may_be_spectrally_normalized():
    layer = SelfAttention(lambda layer: SpectralNorm(layer, True))
    variables = jax.eval_shape(layer.init, KEY, X)
    assert variables["batch_stats"].keys() == {"query", "key", "value", "output"}


def test_channels_that_8_does_not_divide_are_refused():
    with pytest.raises(ValueError, match="divides channels by 8, but there are 12"):
        jax.eval_shape(SelfAttention().init, KEY, X[..., :12])
