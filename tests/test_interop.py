"""The weight bridge's files; what it carries to PyTorch is compared in tests/parity."""

from functools import partial

import jax
import numpy as np
import pytest

from jaxgan.errors import UserError
from jaxgan.gan import init
from jaxgan.interop import (
    from_torch_state_dict,
    load_safetensors,
    save_safetensors,
    to_torch_state_dict,
)
from jaxgan.recipes.mnist_mlp import MnistMlp


@pytest.fixture(scope="module")
def trained():
    gan = MnistMlp(generator_widths=(4, 6)).gan((4, 4, 1))
    example = {"image": np.zeros((1, 4, 4, 1), np.float32)}
    return gan, jax.jit(partial(init, gan, batch=example))(jax.random.key(0))


def test_weights_survive_the_way_to_a_file_and_back(trained, tmp_path):
    gan, state = trained
    weights = to_torch_state_dict(gan.generator, state.generator, shape=(100,))
    save_safetensors(tmp_path / "g.safetensors", weights)
    loaded = load_safetensors(tmp_path / "g.safetensors")
    blank = jax.tree.map(np.zeros_like, state.generator)
    back = from_torch_state_dict(gan.generator, blank, loaded, shape=(100,))
    same = jax.tree.map(np.array_equal, back.params, state.generator.params)
    assert all(jax.tree.leaves(same))


def test_a_missing_weight_is_named(trained):
    gan, state = trained
    weights = to_torch_state_dict(gan.generator, state.generator, shape=(100,))
    name = sorted(weights)[0]
    del weights[name]
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        from_torch_state_dict(gan.generator, state.generator, weights, shape=(100,))


def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path):
    (tmp_path / "g.safetensors").write_bytes(b"not at all")
    with pytest.raises(UserError, match="cannot read .*g.safetensors"):
        load_safetensors(tmp_path / "g.safetensors")
    with pytest.raises(UserError, match="cannot read .*absent"):
        load_safetensors(tmp_path / "absent")
