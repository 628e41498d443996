"""Inception against PyTorch's of the same graph and random weights, and the resize alone.

Where torch-fidelity is installed, PyTorch's graph here is also compared with the one there.
"""

import importlib.util
import sys
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import inception as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgan.core.networks import linen
from jaxgan.features import extract, inception
from jaxgan.features.extractor import load_network
from jaxgan.features.inception_network import SHAPE, SIZE, Inception
from jaxgan.features.resizing import tensorflow
from jaxgan.interop import load_safetensors

THERE = importlib.util.find_spec("torch_fidelity")


@pytest.fixture(scope="module")
def weights():
    return reference.random_state_dict(0)


@pytest.fixture(scope="module")
def theirs(weights):
    network = reference.FidInception().eval().requires_grad_(False)
    network.load_state_dict(weights)
    return network


def draw_images(count: int, height: int, width: int) -> np.ndarray:
    """Images that differ in brightness, contrast and coarseness, uint8 [count, H, W, 3]."""
    random = np.random.default_rng(1)
    coarse = random.uniform(0, 1, (count, 3, 4, 3))
    images = coarse.repeat(-(-height // 3), 1).repeat(-(-width // 4), 2)[:, :height, :width]
    noise = random.uniform(0, 1, (count, height, width, 3))
    part = np.linspace(0, 1, count).reshape(-1, 1, 1, 1)
    return (255 * (part * images + (1 - part) * noise)).astype(np.uint8)


def nchw(images: np.ndarray) -> torch.Tensor:
    return torch.tensor(images.transpose(0, 3, 1, 2))


@pytest.mark.slow
def test_features_and_logits_in_float64(weights, theirs):
    images = draw_images(2, 299, 299) / 255
    module = Inception()
    net = load_network(linen(module), weights, SHAPE)
    with jax.enable_x64(True):
        arrays = {"params": net.params, **net.collections}
        variables: Any = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), arrays)
        seen = inception.TENSORFLOW.apply(jnp.asarray(images))
        features = jax.jit(partial(module.apply, method="features"))(variables, seen)
        logits = module.bind(variables).fc(features)
    expected = theirs.double()(nchw(images * 255 - 128) / 128)
    theirs.float()
    assert features.dtype == np.float64
    for ours, other in zip((features, logits), expected, strict=True):
        assert other.std(0).max() > 0.1  # the images make a difference
        np.testing.assert_allclose(ours, other, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_the_whole_way_from_pixels(weights, theirs):
    extractor = inception.from_state_dict(weights)
    assert extractor.logits is not None
    images = draw_images(3, 32, 40)
    resized = reference.tensorflow_resize(images.astype(float))
    expected, logits = theirs(nchw((resized - 128) / 128).float())
    features = extract(extractor, images, batch_size=2)
    np.testing.assert_allclose(features, expected, atol=1e-4)
    unbiased = logits - theirs.fc.bias
    np.testing.assert_allclose(extractor.logits(jnp.asarray(features)), unbiased, atol=1e-4)
    assert abs(logits - unbiased).max() > 0.1


SIZES = st.one_of(st.integers(1, 40), st.sampled_from([64, 128, 256, 298, 299, 300, 600]))


@given(SIZES, SIZES, st.sampled_from([1, 3]))
@settings(derandomize=True, deadline=None, max_examples=8)
def test_the_resize_interpolates_at_tensorflows_places(height, width, channels):
    images = np.random.default_rng(0).uniform(0, 255, (2, height, width, channels))
    found = np.asarray(tensorflow(jnp.asarray(images, jnp.float32), SIZE))
    # Places are rounded to float32: by 299 * 2^-24 of a step of up to 255, or twice that at 600.
    np.testing.assert_allclose(found, reference.tensorflow_resize(images), atol=0.02)


@pytest.mark.skipif(THERE is None, reason="needs pip install --no-deps torch-fidelity")
def test_the_reference_is_torch_fidelitys(weights, theirs, tmp_path, monkeypatch):
    assert THERE is not None
    # The package as a whole imports torchvision, of which its Inception needs nothing.
    package = ModuleType("torch_fidelity")
    package.__path__ = list(THERE.submodule_search_locations or [])
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    module = import_module("torch_fidelity.feature_extractor_inceptionv3")
    torch.save(weights, tmp_path / "weights.pth")
    wanted = ["2048", "logits", "logits_unbiased"]
    network = module.FeatureExtractorInceptionV3("inception", wanted, tmp_path / "weights.pth")
    images = draw_images(2, 299, 299)
    features, logits, unbiased = network(nchw(images))
    expected = theirs((nchw(images).float() - 128) / 128)
    np.testing.assert_allclose(features, expected[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits, expected[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits - unbiased, theirs.fc.bias.expand(2, -1), atol=1e-5)
    small = draw_images(2, 32, 500)
    theirs_resized = import_module(
        "torch_fidelity.interpolate_compat_tensorflow"
    ).interpolate_bilinear_2d_like_tensorflow1x(
        nchw(small).float(), size=(299, 299), align_corners=False
    )
    found = tensorflow(jnp.asarray(small, jnp.float32), SIZE)
    np.testing.assert_allclose(nchw(np.asarray(found)), theirs_resized, rtol=1e-6, atol=1e-4)


@pytest.mark.slow
def test_what_pytorch_saved_is_imported(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    torch.save(weights, tmp_path / "weights.pth")
    kept = load_safetensors(inception.import_inception(tmp_path / "weights.pth"))
    given = {name: x for name, x in weights.items() if not name.endswith("num_batches_tracked")}
    assert kept.keys() == given.keys()
    for name, array in kept.items():
        np.testing.assert_array_equal(array, given[name])
