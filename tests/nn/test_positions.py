"""Positions against formulas written out for one place, and what rotary products depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.nn.positions import rotary_angles, rotate, sine_cosine

KEY = jax.random.key(0)


def test_embeddings_are_sines_and_cosines_of_columns_and_rows():
    found = sine_cosine(3, 5, 8)
    assert found.shape == (15, 8)
    column, row = 4.0, 2.0  # of the last token
    expected = [
        *(np.sin(column), np.sin(column / 100), np.cos(column), np.cos(column / 100)),
        *(np.sin(row), np.sin(row / 100), np.cos(row), np.cos(row / 100)),
    ]
    np.testing.assert_allclose(found[-1], expected, rtol=1e-12)
    np.testing.assert_array_equal(found[0], [0, 0, 1, 1, 0, 0, 1, 1])


def test_half_of_the_pairs_turn_with_the_row():
    found = rotary_angles(3, 5, 8)
    assert found.shape == (15, 4)
    np.testing.assert_allclose(found[-1], [2, 2 / 100, 4, 4 / 100], rtol=1e-12)


def test_a_pair_is_turned_in_its_plane():
    with jax.enable_x64(True):
        x = jax.random.normal(KEY, (2, 3, 2, 4))
        angles = jax.random.normal(KEY, (3, 2))
        pairs = np.asarray(x[..., 0::2] + 1j * x[..., 1::2])
        turned = pairs * np.exp(1j * np.asarray(angles))[None, :, None]
        found = rotate(x, angles)
        np.testing.assert_allclose(found[..., 0::2], np.real(turned), rtol=1e-12)
        np.testing.assert_allclose(found[..., 1::2], np.imag(turned), rtol=1e-12)


def test_products_depend_on_relative_places_only():
    height, width = 4, 5
    with jax.enable_x64(True):
        query, key = jax.random.normal(KEY, (2, 1, 1, 1, 12))
        angles = jnp.asarray(rotary_angles(height, width, 12))
        queries, keys = (
            rotate(jnp.broadcast_to(x, (1, height * width, 1, 12)), angles)[0, :, 0]
            for x in (query, key)
        )
        scores = (queries @ keys.T).reshape(height, width, height, width)
        np.testing.assert_allclose(scores[1:, 1:, 1:, 1:], scores[:-1, :-1, :-1, :-1], rtol=1e-9)
        # They do depend on rows, and on columns.
        assert abs(scores[0, 0, 0, 0] - scores[0, 0, 1, 0]) > 0.01
        assert abs(scores[0, 0, 0, 0] - scores[0, 0, 0, 1]) > 0.01


def test_it_keeps_the_type_of_what_it_turns():
    x = jnp.ones((1, 4, 1, 4), jnp.bfloat16)
    assert rotate(x, jnp.asarray(rotary_angles(2, 2, 4))).dtype == jnp.bfloat16


@pytest.mark.parametrize("function", [sine_cosine, rotary_angles])
def test_channels_come_in_fours(function):
    with pytest.raises(ValueError, match="a multiple of 4 channels, not 6"):
        function(2, 2, 6)
