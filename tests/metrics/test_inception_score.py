import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgan.metrics import inception_score
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)


def draw(n: int, classes: int, scale: float = 2) -> np.ndarray:
    return (scale * RANDOM.normal(size=(n, classes))).astype(np.float32)


def by_definition(logits: np.ndarray) -> float:
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(1, keepdims=True)
    return float(np.exp((p * np.log(p / p.mean(0))).sum(1).mean()))


def test_one_split_is_the_definition():
    logits = draw(501, 10)
    found = inception_score(logits, KEY, splits=1)
    np.testing.assert_allclose(found.value, by_definition(logits), rtol=1e-5)
    assert found.deviation == 0


def test_splits_are_parts_of_a_shuffle():
    logits = draw(12, 4)
    found = inception_score(logits, KEY, splits=3)
    order = np.asarray(jax.random.permutation(KEY, 12)).reshape(3, 4)
    scores = [by_definition(logits[part]) for part in order]
    np.testing.assert_allclose(found, (np.mean(scores), np.std(scores)), rtol=1e-4)


@settings(derandomize=True, deadline=None, max_examples=10)
@given(st.sampled_from([1, 2, 9]), st.integers(0, 100))
def test_it_lies_between_1_and_the_number_of_classes(classes, seed):
    logits = np.random.default_rng(seed).normal(0, 5, (40, classes)).astype(np.float32)
    assert 1 - 1e-5 <= inception_score(logits, KEY, splits=1).value <= classes * (1 + 1e-5)


def test_extremes():
    sure = np.tile(100 * np.eye(5, dtype=np.float32), (20, 1))
    np.testing.assert_allclose(inception_score(sure, KEY, splits=1).value, 5, rtol=1e-5)
    np.testing.assert_allclose(inception_score(sure[:1].repeat(50, 0), KEY, splits=5), (1, 0))
    np.testing.assert_allclose(inception_score(0 * sure, KEY, splits=5).value, 1, rtol=1e-6)


def test_logits_have_no_level():
    logits = draw(100, 4)
    levels = RANDOM.normal(0, 10, (100, 1)).astype(np.float32)
    a, b = (inception_score(x, KEY, splits=2).value for x in (logits, logits + levels))
    np.testing.assert_allclose(a, b, rtol=1e-4)


def test_bad_input():
    with pytest.raises(UserError, match="9 logits are too few; the metric needs 10"):
        inception_score(draw(9, 3), KEY)
    with pytest.raises(UserError, match="1 split or more, not 0"):
        inception_score(draw(9, 3), KEY, splits=0)
    with pytest.raises(UserError, match="number 0 the first"):
        inception_score(np.full((10, 3), -np.inf), KEY)
