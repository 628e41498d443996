from typing import Any

import jax
import numpy as np
import pytest

from jaxgan.core.networks import linen
from jaxgan.core.state import TrainState
from jaxgan.evaluation.protocols import PUBLISHED
from jaxgan.features import inception
from jaxgan.features.inception_network import SHAPE, Inception
from jaxgan.interop import to_torch_state_dict
from jaxgan.util.errors import UserError


@pytest.mark.parametrize("name", PUBLISHED)
def test_without_weights_one_line_says_which_ones_to_import(name, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    network = {"dgm-eval": "dinov2", "prdc10k": "dinov2", "cmmd": "clip"}.get(name, "inception")
    with pytest.raises(UserError, match=f"`jaxgan features import-{network} FILE`") as raised:
        PUBLISHED[name].extractor()
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_those_of_inception_prepare_images_in_ways_of_their_own(monkeypatch):
    image = np.zeros((1, *SHAPE), np.float32)
    network = linen(Inception())
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)
    params, collections = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    weights: Any = to_torch_state_dict(network, TrainState(params, collections, ()), inputs=image)
    monkeypatch.setattr(inception, "load_weights", lambda *_: weights)
    words = {
        "fid50k": "TensorFlow 1",
        "clean-fid": "bicubic as in Pillow, of floats",
        "studiogan-friendly": "bilinear as in Pillow",
    }
    for name, told in words.items():
        assert told in PUBLISHED[name].extractor().resizing


def test_published_numbers_of_samples_and_neighbors():
    samples = {name: (each.generated, each.reference) for name, each in PUBLISHED.items()}
    assert samples["fid50k"] == samples["clean-fid"] == (50_000, None)
    assert samples["dgm-eval"] == (50_000, 50_000) and samples["cmmd"] == (30_000, 30_000)
    neighbors = {name: each.settings.k_manifold for name, each in PUBLISHED.items()}
    assert neighbors["studiogan-friendly"] == neighbors["prdc10k"] == 5 != neighbors["fid50k"]
