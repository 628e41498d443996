import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxgan.augment import jitter, of_batch

KEY = jax.random.key(0)


def by_pillow(channel: np.ndarray, height: int, width: int) -> np.ndarray:
    picture = Image.fromarray(channel.astype(np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(("size", "large"), [((16, 24), (18, 27)), ((28, 28), (31, 31))])
def test_images_are_crops_of_the_enlarged_one_half_of_them_mirrored(size, large):
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (*size, 2)).astype(np.float32)
    enlarged = np.stack([by_pillow(image[..., i], *large) for i in range(2)], axis=-1)
    enlarged = enlarged.clip(image.min((0, 1)), image.max((0, 1)))
    starts = [(y, x) for y in range(large[0] - size[0] + 1) for x in range(large[1] - size[1] + 1)]
    crops = [enlarged[y : y + size[0], x : x + size[1]] for y, x in starts]
    expected = np.stack([*crops, *(crop[:, ::-1] for crop in crops)])
    found = of_batch(jitter())(jnp.asarray(image)[None].repeat(400, 0), KEY)
    errors = np.abs(np.asarray(found)[:, None] - expected).max((2, 3, 4))
    assert errors.min(1).max() < 1e-5
    seen = errors.argmin(1)
    assert set(seen) == set(range(len(expected)))  # all that there are
    assert 160 < (seen >= len(crops)).sum() < 240


def test_channels_move_together_and_the_original_sizes_are_those_of_the_source():
    image = jax.random.uniform(KEY, (256, 256, 1))
    both = jitter()(jnp.concatenate([image, 1 - image], axis=2), KEY)
    np.testing.assert_allclose(both[..., 0], 1 - both[..., 1], atol=1e-5)
    sizes = [int(side * (1 + 30 / 256) + 0.5) for side in (256, 64, 32)]
    assert sizes == [286, 72, 36]


def test_no_value_leaves_the_range_of_the_image():
    image = (jax.random.uniform(KEY, (16, 16, 3)) > 0.5) * 2.0 - 1
    found = of_batch(jitter())(image[None].repeat(20, 0), KEY)
    assert jnp.abs(found).max() <= 1
