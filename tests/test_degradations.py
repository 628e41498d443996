import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from jaxgan import augment, degradations, restoration
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
COLOR = np.random.default_rng(0).uniform(-1, 1, (12, 20, 3)).astype(np.float32)
ALL = {
    "center": degradations.mask(restoration.center()),
    "left": degradations.mask(restoration.left(), 1.0),
    "scattered": degradations.mask(restoration.scattered()),
    "blur": degradations.blur(),
    "downscale": degradations.downscale(),
    "noise": degradations.noise(),
    "gray": degradations.gray(),
    "edges": degradations.edges(),
}
PROJECTIONS = ("center", "left", "scattered", "downscale", "gray")


def degraded(degrade: augment.Augmentation, image: np.ndarray = COLOR, key=KEY) -> np.ndarray:
    return np.asarray(degrade(jnp.asarray(image), key))


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_a_mask_paints_over_what_is_unknown_in_all_channels(fill):
    known = restoration.scattered(0.3)
    found = degraded(degradations.mask(known, fill))
    expected = np.where(np.asarray(known(12, 20, KEY)), COLOR, fill)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("deviation", [0.5, 1.5, 4.0])  # the last reaches over both borders
def test_blur_is_scipys(deviation):
    expected = ndimage.gaussian_filter(COLOR.astype(np.float64), (deviation, deviation, 0))
    np.testing.assert_allclose(degraded(degradations.blur(deviation)), expected, atol=1e-6)


def test_downscaling_takes_the_means_of_blocks():
    means = COLOR.reshape(3, 4, 5, 4, 3).mean((1, 3))
    found = degraded(degradations.downscale(4))
    np.testing.assert_allclose(found, means.repeat(4, 0).repeat(4, 1), atol=1e-6)
    with pytest.raises(UserError, match="12 x 20 cannot be made 5 times as small"):
        degraded(degradations.downscale(5))


def test_noise_is_normal_and_of_the_key():
    image = np.zeros((100, 100, 1), np.float32)
    found = degraded(degradations.noise(0.3), image)
    assert abs(found.std() - 0.3) < 0.01 and abs(found.mean()) < 0.01
    assert (found != degraded(degradations.noise(0.3), image, jax.random.key(1))).all()


def test_gray_is_pillows():
    pixels = np.random.default_rng(1).integers(0, 256, (12, 20, 3), np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("L"), float)
    found = degraded(degradations.gray(), (pixels / 255).astype(np.float32)) * 255
    assert found.shape == pixels.shape and np.ptp(found, axis=2).max() == 0
    np.testing.assert_allclose(found[..., 0], expected, atol=0.51)
    with pytest.raises(UserError, match="have 1 channels, not 3"):
        degraded(degradations.gray(), COLOR[..., :1])


def test_edges_are_black_on_white_by_sobels_operator():
    step = np.full((8, 8, 1), -1.0, np.float32)
    step[:, 4:] = 1
    found = degraded(degradations.edges(), step)[..., 0]
    np.testing.assert_allclose(found[:, 3:5], -1, atol=1e-5)
    np.testing.assert_allclose(np.delete(found, [3, 4], axis=1), 1, atol=1e-5)
    faint = 0.1 * COLOR[..., :1]
    slopes = [ndimage.sobel(faint[..., 0], axis, mode="nearest") / 4 for axis in (0, 1)]
    found = degraded(degradations.edges(), faint)[..., 0]
    np.testing.assert_allclose(found, 1 - np.hypot(*slopes), atol=1e-5)
    with pytest.raises(UserError, match="1 or 3 channels, not 4"):
        degraded(degradations.edges(), np.zeros((8, 8, 4), np.float32))


@pytest.mark.parametrize("name", ALL)
def test_a_degraded_image_has_the_shape_of_the_image_and_a_slope(name):
    degrade = ALL[name]
    assert degraded(degrade).shape == COLOR.shape
    flat = jnp.zeros_like(COLOR)  # where there is no edge
    for image in (COLOR, flat):
        slope = jax.grad(lambda x: (degrade(x, KEY) ** 2).sum())(jnp.asarray(image))
        assert jnp.isfinite(slope).all()


@pytest.mark.parametrize("name", PROJECTIONS)
def test_projections_do_no_more_the_second_time(name):
    once = degraded(ALL[name])
    assert (once != COLOR).any()
    np.testing.assert_allclose(degraded(ALL[name], once), once, atol=1e-6)


def test_what_becomes_of_an_image_depends_on_its_place_in_the_whole_batch_alone():
    degrade = augment.of_batch(augment.compose(ALL["scattered"], ALL["noise"]))
    images = jnp.asarray(COLOR)[None].repeat(8, 0)
    whole = degrade(images, KEY)
    assert len({image.tobytes() for image in np.asarray(whole)}) == 8
    mesh = jax.make_mesh((4,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.device_put(images, jax.NamedSharding(mesh, jax.P("devices")))
    np.testing.assert_allclose(jax.jit(degrade)(spread, KEY), whole, atol=1e-6)
