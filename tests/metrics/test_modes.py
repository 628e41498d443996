import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from jaxgan.metrics import modes
from jaxgan.util.errors import UserError

SETTINGS = settings(derandomize=True, deadline=None, max_examples=10)
ANGLES = 2 * np.pi * np.arange(8) / 8
RING = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1).astype(np.float32)
RANDOM = np.random.default_rng(0)


@jax.jit
def update_ring(state: modes.Counts, points):
    return modes.update_points(state, points, RING, 0.01)


def ring(labels: np.ndarray) -> np.ndarray:
    return (RING[labels] + 0.01 * RANDOM.normal(size=(len(labels), 2))).astype(np.float32)


def test_a_perfect_sampler():
    found = modes.coverage_of_points(ring(RANDOM.integers(0, 8, 100_000)), RING, 0.01)
    assert found.found == 8
    # Within 3 deviations in two dimensions: 1 - exp(-9 / 2).
    np.testing.assert_allclose(found.high_quality, 1 - np.exp(-4.5), atol=1e-3)
    assert found.reverse_kl < 1e-3


def test_the_divergence_of_a_perfect_sampler_is_as_documented():
    found = [modes.coverage_of_labels(RANDOM.integers(0, 1000, 26_000), 1000) for _ in range(10)]
    np.testing.assert_allclose(np.mean([each.reverse_kl for each in found]), 0.0192, rtol=0.05)


def test_dropped_modes_and_far_points():
    points = np.concatenate([ring(np.arange(90) % 3), RING[4:5] * 1.031, [[0.97, 0]]])
    found = modes.coverage_of_points(points.astype(np.float32), RING, 0.01)
    # The one point of mode 4 is too far from it to count as found; the last is of mode 0, and near.
    expected = modes.coverage_of_points(ring(np.arange(90) % 3), RING, 0.01)
    assert found.found == expected.found == 3
    counts = [31, 30, 30, 0, 1, 0, 0, 0]
    np.testing.assert_allclose(found.reverse_kl, entropy(counts, np.ones(8)), rtol=1e-6)
    good = expected.high_quality * 90 + 1
    np.testing.assert_allclose(found.high_quality, good / 92, rtol=1e-6)


@SETTINGS
@given(st.integers(2, 10), st.integers(0, 100))
def test_scipy_agrees_on_the_divergence(size, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, size, 50)
    truth = random.uniform(0.1, 1, size)
    counts = np.bincount(labels, minlength=size)
    found = modes.coverage_of_labels(labels, size, truth)
    np.testing.assert_allclose(found.reverse_kl, entropy(counts, truth), rtol=1e-9, atol=1e-12)
    assert (found.found, found.high_quality) == ((counts > 0).sum(), 1)


def test_it_is_0_where_the_histograms_agree():
    labels = np.repeat(np.arange(4), [1, 2, 3, 4])
    assert modes.coverage_of_labels(labels, 4, np.array([10, 20, 30, 40])).reverse_kl < 1e-15
    one = modes.coverage_of_labels(np.zeros(10, int), 4)
    np.testing.assert_allclose(one, (1, 1, np.log(4)))


@SETTINGS
@given(st.lists(st.integers(0, 3), min_size=2, max_size=4).filter(any), st.integers(0, 100))
def test_any_split_merged_is_all_at_once(parts, seed):
    random = np.random.default_rng(seed)
    x = (RING[random.integers(0, 8, 10 * sum(parts))]).astype(np.float32)
    x += 0.02 * random.normal(size=x.shape).astype(np.float32)
    merged, start = modes.init(8), 0
    for part in parts:
        state = modes.init(8)
        for _ in range(part):
            state = update_ring(state, x[start : start + 10])
            start += 10
        merged = modes.merge(state, merged)
    assert modes.result(merged) == modes.coverage_of_points(x, RING, 0.01)


def test_order_does_not_matter():
    x = ring(RANDOM.integers(0, 5, 300))
    assert modes.coverage_of_points(x, RING, 0.01) == modes.coverage_of_points(x[::-1], RING, 0.01)


def test_labels_stream_too():
    labels = RANDOM.integers(0, 6, (5, 20))
    update = jax.jit(modes.update_labels)
    state = modes.init(6)
    for batch in labels:
        state = update(state, batch)
    assert modes.result(state) == modes.coverage_of_labels(labels.ravel(), 6)
    np.testing.assert_array_equal(state.samples, np.bincount(labels.ravel(), minlength=6))


def test_bad_input():
    with pytest.raises(UserError, match="1 sample or more, not 0"):
        modes.result(modes.init(3))
    for label in (3, -1):
        with pytest.raises(UserError, match="1 samples are not finite, or have a label of no mode"):
            modes.coverage_of_labels(np.array([0, label, 2]), 3)
    state = modes.update_points(modes.init(8), jnp.array([[jnp.nan, 0]]), jnp.asarray(RING), 0.01)
    with pytest.raises(UserError, match="1 samples are not finite"):
        modes.result(state)
    with pytest.raises(UserError, match="points must be finite"):
        modes.coverage_of_points(RING * np.nan, RING, 0.01)
    with pytest.raises(UserError, match="size 2 do not fit modes of size 3"):
        modes.coverage_of_points(RING, np.zeros((4, 3)), 0.01)
    with pytest.raises(UserError, match="deviation of 0"):
        modes.coverage_of_points(RING, RING, 0)
    with pytest.raises(UserError, match=r"integers \[N\], not float32 \[2\]"):
        modes.coverage_of_labels(np.zeros(2, np.float32), 3)
    for truth in ([1, 2], [1, 0, 2], [1, np.nan, 1]):
        with pytest.raises(UserError, match="3 finite numbers larger than 0"):
            modes.coverage_of_labels(np.array([0, 1]), 3, np.array(truth))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int64, np.uint64])
@pytest.mark.parametrize("size", [128, 70_000])
def test_labels_of_any_type_are_counted(dtype, size):
    labels = np.array([1, 2, 2, 99], dtype)
    assert modes.coverage_of_labels(labels, size).found == 3
    state = modes.update_labels(modes.init(size), jnp.asarray(labels))
    assert int(modes.result(state).found) == 3


@pytest.mark.parametrize("label", [2**32 + 1, -(2**32) + 1, 2**31, -1, 10])
def test_labels_of_no_mode_are_refused(label):
    with pytest.raises(UserError, match="1 samples are not finite, or have a label of no mode"):
        modes.coverage_of_labels(np.array([1, label]), 10)
