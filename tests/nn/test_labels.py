import jax.numpy as jnp
import pytest

from jaxgan.nn.labels import is_conditional

LABELS = jnp.array([0, 2])


def test_labels_and_classes_come_together():
    assert not is_conditional(None, None)
    with pytest.raises(ValueError, match="a network of 3 classes needs labels"):
        is_conditional(3, None)
    assert is_conditional(3, LABELS)
    with pytest.raises(ValueError, match="set classes, or leave labels out"):
        is_conditional(None, LABELS)
