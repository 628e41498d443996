"""The warp against pixels moved by NumPy, and the matrices against what they are drawn from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.augment import affine

HEIGHT, WIDTH = 7, 5
rng = np.random.default_rng(0)
IMAGE = rng.uniform(-1, 1, (HEIGHT, WIDTH, 2))
KEYS = jax.random.split(jax.random.key(1), 2000)


def warped(matrix, image=IMAGE):
    with jax.enable_x64(True):
        found = jax.jit(affine.warp)(jnp.asarray(image), jnp.asarray(matrix, jnp.float64))
        assert found.dtype == jnp.float64
        return np.asarray(found)


def shift_by(x, y):
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


def mirrored(image, reach):
    return np.pad(image, ((reach, reach), (reach, reach), (0, 0)), "reflect")


def drawn(draw):
    image = jnp.zeros((20, 40, 1))
    return np.asarray(jax.jit(jax.vmap(lambda key: draw(image, key)))(KEYS))


def test_the_identity_changes_nothing():
    np.testing.assert_allclose(warped(np.eye(3)), IMAGE, atol=1e-11)
    single = jax.jit(affine.warp)(jnp.asarray(IMAGE, jnp.float32), jnp.eye(3))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, IMAGE, atol=1e-6)


def test_images_in_bfloat16_are_read_at_exact_places():
    image = jax.random.uniform(KEYS[0], (256, 256, 1), jnp.bfloat16, -1, 1)
    augment = affine.warped(lambda image, key: jnp.eye(3, dtype=image.dtype))
    found = augment(image, KEYS[1])
    assert found.dtype == jnp.bfloat16
    found, image = (np.asarray(x, np.float32) for x in (found, image))
    np.testing.assert_allclose(found, image, atol=1e-5)


@pytest.mark.parametrize(("x", "y"), [(2, -3), (4, 6)])
def test_a_shift_by_whole_pixels_moves_them_and_shows_the_mirror_image_beyond(x, y):
    expected = mirrored(IMAGE, 6)[6 + y : 6 + y + HEIGHT, 6 + x : 6 + x + WIDTH]
    np.testing.assert_allclose(warped(shift_by(x, y)), expected, atol=1e-11)


def test_mirror_images_go_on_for_ever():
    period = 2 * (WIDTH - 1), 2 * (HEIGHT - 1)
    np.testing.assert_allclose(warped(shift_by(3 * period[0], -5 * period[1])), IMAGE, atol=1e-11)


def test_smooth_images_are_moved_to_where_the_matrix_says():
    """Every transformation of a wave is a wave again, but where its mirror image comes in."""
    size, frequencies = 24, np.array([0.3, -0.2])

    def wave(matrix):
        places = np.stack(
            [*np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 2), np.ones((size, size))]
        )
        x, y = np.einsum("ij,jkl->ikl", matrix, places)[:2]
        return np.sin(frequencies[0] * x + frequencies[1] * y + 0.4)[..., None]

    angle = 0.5
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    inner = slice(6, -6)
    for matrix in (
        np.diag([-1, 1, 1]),
        quarter,
        turn,
        np.diag([0.8, 1.2, 1]),
        shift_by(0.3, -1.6),
        np.diag([1.1, 0.9, 1]) @ turn @ shift_by(1.2, 0.7),
    ):
        found, expected = warped(matrix, wave(np.eye(3))), wave(matrix)
        np.testing.assert_allclose(found[inner, inner], expected[inner, inner], atol=0.04)
        assert np.abs(expected - wave(np.eye(3))).max() > 0.2  # it is another wave


def test_the_warp_is_linear_and_its_gradient_is_its_adjoint():
    with jax.enable_x64(True):
        matrix = jnp.asarray(rng.normal(np.eye(3), 0.3))
        x, y, other = (jnp.asarray(rng.normal(size=IMAGE.shape)) for _ in range(3))

        @jax.jit
        def products(x, y):
            forward, pullback = jax.vjp(lambda image: affine.warp(image, matrix), x)
            both = affine.warp(2 * x + other, matrix) - 2 * forward - affine.warp(other, matrix)
            return (forward * y).sum(), (x * pullback(y)[0]).sum(), both

        forward, backward, rest = products(x, y)
        np.testing.assert_allclose(forward, backward, rtol=1e-12)
        np.testing.assert_allclose(rest, 0, atol=1e-12)


def test_mirrors_and_quarter_turns_are_all_as_likely():
    mirrors = drawn(affine.mirror)
    np.testing.assert_array_equal(np.abs(mirrors), np.broadcast_to(np.eye(3), mirrors.shape))
    assert (mirrors[:, 1:, 1:] == np.eye(2)).all() and abs(mirrors[:, 0, 0].mean()) < 0.1
    turns = drawn(affine.quarter_turn)
    corner = np.rint(turns[:, :2, :2] @ [1, 2]).astype(int)
    kinds, counts = np.unique(corner, axis=0, return_counts=True)
    assert kinds.tolist() == [[-2, 1], [-1, -2], [1, 2], [2, -1]]
    assert counts.min() > 400


def test_turns_are_by_any_angle():
    turns = drawn(affine.turn)[:, :2, :2]
    np.testing.assert_allclose(turns @ turns.swapaxes(1, 2), np.eye(2)[None] + 0 * turns, atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(turns), 1, rtol=1e-5)
    angles = np.arctan2(turns[:, 1, 0], turns[:, 0, 0])
    assert np.histogram(angles, 8, (-np.pi, np.pi))[0].min() > 180  # of 250


def test_whole_shifts_are_uniform_shares_of_the_size():
    matrices = drawn(affine.whole_shift(0.1))
    shifts = matrices[:, :2, 2]
    assert (shifts == np.rint(shifts)).all()
    assert set(shifts[:, 0]) == set(range(-4, 5)) and set(shifts[:, 1]) == set(range(-2, 3))
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.1
    assert (matrices[:, :, :2] == np.eye(3)[:, :2]).all()


def test_other_shifts_are_normal():
    shifts = drawn(affine.shift(0.1))[:, :2, 2] / [40, 20]
    np.testing.assert_allclose(shifts.std(0), 0.1, rtol=0.1)
    np.testing.assert_allclose(shifts.mean(0), 0, atol=0.01)


@pytest.mark.parametrize(("make", "sign"), [(affine.zoom, 1), (affine.stretch, -1)])
def test_scales_are_log_normal(make, sign):
    scales = drawn(make(0.3))
    width, height = np.log2(scales[:, 0, 0]), np.log2(scales[:, 1, 1])
    np.testing.assert_allclose(height, sign * width, atol=1e-5)
    np.testing.assert_allclose(width.std(), 0.3, rtol=0.1)
    assert abs(width.mean()) < 0.03
    assert (scales[:, 2, 2] == 1).all() and (scales * (1 - np.eye(3)) == 0).all()
