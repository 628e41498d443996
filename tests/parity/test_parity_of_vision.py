"""DINOv2 and CLIP against PyTorch's of random weights, and all resizing against Pillow.

Where clean-fid is installed (`pip install --no-deps clean-fid`), resizing is compared with its own.
"""

import importlib.util
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import vision as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxgan.features import clip, dinov2, extract, inception
from jaxgan.features.resizing import center_square, cubic, linear, pillow, pillow_bytes
from jaxgan.features.transformer import Size, nest

DINO = Size(width=32, depth=3, heads=4, patch=14, grid=5)  # whose positions are interpolated
CLIP, FEATURES = Size(width=32, depth=3, heads=4, patch=7, grid=4), 12
RANDOM = np.random.default_rng(0)


def arrays(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def drawn(network: torch.nn.Module) -> torch.nn.Module:
    reference.randomize(network, 0)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def dino() -> torch.nn.Module:
    return drawn(reference.Dino(**DINO._asdict()))


@pytest.fixture(scope="module")
def tower() -> torch.nn.Module:
    return drawn(reference.Clip(**CLIP._asdict(), features=FEATURES))


def nchw(images: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(images).transpose(0, 3, 1, 2))


def assert_equal(found: Any, expected: torch.Tensor, tolerance: float) -> None:
    assert found.shape == expected.shape and expected.std(0).min() > 0  # the images matter
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_dinov2_in_float64(dino):
    images = RANDOM.normal(size=(2, 224, 224, 3))
    dino.double()
    with jax.enable_x64(True):
        weights = dinov2.arrange(arrays(dino), DINO)
        found = dinov2.forward(weights, DINO, jnp.asarray(images))
        assert found.dtype == np.float64
        assert_equal(found, dino(nchw(images)), 1e-9)
    dino.float()


def test_clip_in_float64(tower):
    images = RANDOM.normal(size=(3, 28, 28, 3))
    expected = tower.double()(nchw(images))
    with jax.enable_x64(True):
        weights = nest(arrays(tower))
        found = clip.forward(weights, CLIP, jnp.asarray(images))
        assert found.dtype == np.float64
        assert_equal(found, expected / expected.norm(dim=1, keepdim=True), 1e-9)
    tower.float()


def draw_bytes(height: int, width: int, count: int = 2) -> np.ndarray:
    """Images that differ in brightness and coarseness, with black and white among them."""
    noise = RANDOM.integers(0, 256, (count, height, width, 3), np.uint8)
    coarse = RANDOM.choice(
        np.array([0, 255], np.uint8), (count, -(-height // 4), -(-width // 4), 3)
    )
    coarse = coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width]
    return np.concatenate([noise, coarse])


def by_pillow(images: np.ndarray, side: int) -> np.ndarray:
    """Resizes rows, then columns, as Pillow itself does up to version 12.1."""
    filter = Image.Resampling.BICUBIC
    rows = [Image.fromarray(x).resize((side, len(x)), filter) for x in images]
    return np.stack([np.asarray(x.resize((side, side), filter)) for x in rows])


def channel_by_channel(images: np.ndarray, side: int, filter: Image.Resampling) -> np.ndarray:
    """Resizes as floats, as clean-fid and StudioGAN do."""

    def resize(channel: np.ndarray) -> np.ndarray:
        image = Image.fromarray(channel.astype(np.float32))
        return np.asarray(image.resize((side, side), filter)).clip(0, 255)

    return np.stack([np.stack([resize(c) for c in np.moveaxis(x, 2, 0)], 2) for x in images])


SIDES = st.one_of(st.integers(1, 40), st.sampled_from([64, 128, 255, 256, 299, 512]))
sizes = settings(derandomize=True, deadline=None, max_examples=8)


@given(SIDES, SIDES)
@sizes
def test_resizing_of_floats_is_pillows(height, width):
    images = draw_bytes(height, width)
    for kernel, filter in (
        (cubic, Image.Resampling.BICUBIC),
        (linear, Image.Resampling.BILINEAR),
    ):
        found = pillow(jnp.asarray(images, jnp.float32), 299, kernel)
        np.testing.assert_allclose(found, channel_by_channel(images, 299, filter), atol=1e-3)


@given(SIDES, SIDES, st.sampled_from([224, 336]))
@sizes
def test_resizing_of_bytes_is_pillows(height, width, side):
    images = draw_bytes(height, width)
    found = pillow_bytes(jnp.asarray(images, jnp.float32), side, cubic)
    np.testing.assert_array_equal(found, by_pillow(images, side))


@pytest.mark.parametrize("shape", [(7, 7), (7, 4), (4, 9), (5, 8)])
def test_the_center_is_that_of_cmmd(shape):
    images = draw_bytes(*shape)
    height, width = shape
    side = min(shape)
    top, left = (height - side) // 2, (width - side) // 2
    box = left, top, left + side, top + side
    crop = [np.asarray(Image.fromarray(x).crop(box)) for x in images]
    np.testing.assert_array_equal(center_square(jnp.asarray(images, float)), np.stack(crop))


def test_the_whole_way_of_dinov2(dino):
    images = draw_bytes(40, 64)
    pixels = by_pillow(images, 224) / 255
    normalized = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    extractor = dinov2.from_state_dict(arrays(dino), DINO)
    found = extract(extractor, images, batch_size=3)
    expected = dino(nchw(normalized).float())
    assert_equal(found, expected[:, 0], 2e-3)
    assert "224x224, bicubic" in extractor.resizing


def test_tokens_of_dinov2_are_on_a_grid(dino):
    images = draw_bytes(32, 32)
    normalized = (by_pillow(images, 224) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    found = dinov2.make_tokens(arrays(dino), DINO)(jnp.asarray(images / 255, jnp.float32))
    expected = dino(nchw(normalized).float())
    assert_equal(found["whole"], expected[:, 0], 2e-3)
    assert_equal(found["patches"], expected[:, 1:].unflatten(1, (16, 16)), 2e-3)


def test_the_whole_way_of_clip(tower):
    images = draw_bytes(40, 64)
    pixels = by_pillow(images[:, :, 12:52], 28) / 255
    mean = [0.48145466, 0.4578275, 0.40821073]
    normalized = (pixels - mean) / [0.26862954, 0.26130258, 0.27577711]
    state_dict = {f"visual.{name}": array for name, array in arrays(tower).items()}
    extractor = clip.from_state_dict(state_dict | {"logit_scale": np.zeros(())}, CLIP, FEATURES)
    found = extract(extractor, images, batch_size=3)
    expected = tower(nchw(normalized).float())
    assert_equal(found, expected / expected.norm(dim=1, keepdim=True), 2e-3)


@pytest.mark.parametrize(
    ("preparation", "filter", "middle", "scale"),
    [
        (inception.CLEAN, Image.Resampling.BICUBIC, 128, 128),
        (inception.FRIENDLY, Image.Resampling.BILINEAR, 127.5, 127.5),
    ],
    ids=["clean-fid", "friendly"],
)
def test_what_inception_sees(preparation, filter, middle, scale):
    images = draw_bytes(32, 48)
    expected = (channel_by_channel(images, 299, filter) - middle) / scale
    np.testing.assert_allclose(preparation.apply(jnp.asarray(images) / 255), expected, atol=3e-5)


def without_torchvision(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Imports a package's module; the package as a whole would import torchvision."""
    top = name.partition(".")[0]
    found = importlib.util.find_spec(top)
    if found is None:
        pytest.skip(f"needs {top}, which jaxgan does not")
    package = ModuleType(top)
    package.__path__ = list(found.submodule_search_locations or [])
    monkeypatch.setitem(sys.modules, top, package)
    return import_module(name)


def test_clean_resizing_is_clean_fids(monkeypatch):
    resizer = without_torchvision("cleanfid.resize", monkeypatch).build_resizer("clean")
    for shape in ((32, 32), (40, 500)):
        images = draw_bytes(*shape)
        expected = np.stack([resizer(image) for image in images])
        found = pillow(jnp.asarray(images, jnp.float32), 299, cubic)
        np.testing.assert_allclose(found, expected, atol=1e-3)
