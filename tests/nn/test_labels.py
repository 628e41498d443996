from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import axes
from jaxgan.nn.labels import Embed, class_means, is_conditional, one_hot

LABELS = jnp.array([0, 2])


def test_labels_and_classes_come_together():
    assert not is_conditional(None, None)
    with pytest.raises(ValueError, match="a network of 3 classes needs labels"):
        is_conditional(3, None)
    assert is_conditional(3, LABELS)
    with pytest.raises(ValueError, match="set classes, or leave labels out"):
        is_conditional(None, LABELS)


def test_weights_of_classes_mix_them():
    table: Any = Embed(3, 4)
    params = table.init(jax.random.key(0), LABELS)
    vectors = table.apply(params, jnp.arange(3))
    np.testing.assert_array_equal(table.apply(params, LABELS), vectors[LABELS])
    for labels in (LABELS, one_hot(LABELS, 3, jnp.float32)):
        np.testing.assert_array_equal(one_hot(labels, 3, jnp.float32), np.eye(3)[LABELS])
        np.testing.assert_allclose(table.apply(params, labels), vectors[LABELS], rtol=1e-6)
    halves = table.apply(params, jnp.array([[0.5, 0.0, 0.5]]))
    np.testing.assert_allclose(halves[0], (vectors[0] + vectors[2]) / 2, rtol=1e-6)


def test_whole_numbers_are_no_weights():
    with pytest.raises(ValueError, match=r"labels \[3, 2\] are those of packs"):
        one_hot(jnp.zeros((3, 2), int), 2, jnp.float32)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_means_are_of_each_class_on_any_number_of_devices(devices):
    vectors = jnp.arange(12.0).reshape(4, 3)
    labels = jnp.array([3, 0, 3, 1])

    def shares(vectors, labels):
        with axes.spread("devices"):
            return class_means(vectors, labels, 4)

    means, found = jax.vmap(shares, axis_name="devices")(
        vectors.reshape(devices, -1, 3), labels.reshape(devices, -1)
    )
    for device in range(devices):
        expected = [[3, 4, 5], [9, 10, 11], [0, 0, 0], [3, 4, 5]]
        np.testing.assert_allclose(means[device], expected)
        assert found[device].tolist() == [True, True, False, True]
