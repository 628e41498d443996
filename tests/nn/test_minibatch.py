import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import axes
from jaxgan.nn.minibatch import minibatch_deviation

X = (np.arange(16, dtype=np.float32) ** 1.5).reshape(4, 2, 2, 1)


@pytest.mark.parametrize(
    "group, expected",
    [
        (4, [17.912794] * 4),
        (2, [13.588561, 18.315225] * 2),
        (9, [17.912794] * 4),  # a batch of 4 is one group
        (1, [1e-4] * 4),  # nothing differs from itself
    ],
)
def test_groups_of_every_nth_example_have_one_number_each(group, expected):
    y = minibatch_deviation(jnp.asarray(X), group)
    np.testing.assert_array_equal(y[..., :1], X)
    for place in np.ndindex(2, 2):
        np.testing.assert_allclose(y[:, *place, 1], expected, rtol=1e-6)


def test_whole_groups_may_change_places():
    x = jax.random.normal(jax.random.key(0), (6, 2, 2, 3))
    order = np.array([2, 0, 1, 5, 3, 4])  # pairs are (0, 3), (1, 4), (2, 5)
    y = minibatch_deviation(x, 2)
    np.testing.assert_allclose(minibatch_deviation(x[order], 2), y[order], rtol=1e-6)
    broken = np.array([1, 0, 2, 3, 4, 5])
    assert not np.allclose(minibatch_deviation(x[broken], 2), y[broken], rtol=1e-3)


def test_groups_that_do_not_divide_the_batch_are_refused():
    with pytest.raises(ValueError, match="groups of 3 do not divide a batch of 4"):
        minibatch_deviation(jnp.asarray(X), 3)


@pytest.mark.parametrize("group", [2, 4, 8])
def test_on_two_devices_groups_are_of_the_whole_batch(group):
    x = jax.random.normal(jax.random.key(0), (8, 2, 2, 3))
    weights = jax.random.normal(jax.random.key(1), (8, 2, 2, 4))

    def loss(x, weights):
        y = minibatch_deviation(x, group)
        return (y * weights).sum(), y

    def mapped(x, weights):
        with axes.spread(axis_name="devices"):
            return jax.grad(loss, has_aux=True)(x, weights)

    shares = [a.reshape(2, 4, *a.shape[1:]) for a in (x, weights)]
    found = jax.pmap(mapped, "devices", devices=jax.devices()[:2])(*shares)
    for share, whole in zip(found, jax.grad(loss, has_aux=True)(x, weights), strict=True):
        np.testing.assert_allclose(share.reshape(whole.shape), whole, rtol=1e-4, atol=1e-6)
