from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgan.core.fingerprint import digest, hexadecimal


def of(tree: Any) -> str:
    return hexadecimal(np.asarray(digest(jax.tree.map(jnp.asarray, tree))))


TREE = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": [np.array(3, np.int32), np.array([True, False])],
    "c": np.array([1.5, -2], jnp.bfloat16),
}


def changed(**leaves: Any) -> dict[str, Any]:
    return TREE | leaves


def test_equal_trees_have_equal_digests_wherever_they_are_computed():
    tree = jax.tree.map(jnp.asarray, TREE)
    assert of(TREE) == of(tree) == hexadecimal(np.asarray(jax.jit(digest)(tree)))
    assert len(of(TREE)) == 16 and int(of(TREE), 16) >= 0


def test_the_digest_is_the_one_that_runs_have_written_down():
    assert of({"a": np.arange(3, dtype=np.float32)}) == "b917658fe7d085ab"


@pytest.mark.parametrize(
    "other",
    [
        changed(a=TREE["a"] + 5e-7 * np.eye(2, 3, 1, dtype=np.float32)),
        changed(a=TREE["a"].T),
        changed(a=TREE["a"][::-1]),
        changed(a=TREE["a"].reshape(3, 2)),
        changed(a=-TREE["a"]),  # of which the first is -0.0
        changed(b=TREE["b"][::-1]),
        changed(b=[np.array(3, np.int32), np.array([False, True])]),
        changed(c=-TREE["c"]),
        {"a": TREE["a"], "c": TREE["c"]},
        {"x": TREE["a"], "b": TREE["b"], "c": TREE["c"]},
    ],
)
def test_whatever_differs_shows(other):
    assert of(other) != of(TREE)


def test_zero_of_either_sign_and_typed_keys_are_told_apart():
    assert of(np.float32(0)) != of(np.float32(-0.0))
    assert of(jax.random.key(0)) != of(jax.random.key(1))


@given(st.integers(0, 999), st.integers(0, 31))
@settings(max_examples=200, deadline=None)
def test_no_flipped_bit_stays_hidden(place, bit):
    numbers = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    before = np.asarray(digest({"x": jnp.asarray(numbers)}))
    numbers.view(np.uint32)[place] ^= np.uint32(1 << bit)
    after = np.asarray(digest({"x": jnp.asarray(numbers)}))
    assert (before != after).all()  # each of the words by itself


def test_in_float64_every_bit_counts():
    with jax.enable_x64(True):
        one = np.float64(1)
        assert of(one) != of(np.nextafter(one, 2))
