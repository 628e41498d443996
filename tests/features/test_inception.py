"""Inception's weights: where they are stored, what is refused. The network: tests/parity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import tree_map

from jaxgan.core.networks import linen
from jaxgan.core.state import TrainState
from jaxgan.features import inception
from jaxgan.features.inception_network import SHAPE, Inception
from jaxgan.features.weights import weights_path
from jaxgan.interop import load_safetensors, save_safetensors, to_torch_state_dict
from jaxgan.util.errors import UserError


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    network = linen(Inception())
    image = np.zeros((1, *SHAPE))
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)
    params, collections = tree_map(lambda x: np.ones(x.shape, np.float32), shapes)
    return to_torch_state_dict(network, TrainState(params, collections, ()), inputs=image)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_without_weights_one_line_says_what_to_do(home):
    with pytest.raises(UserError) as raised:
        inception.load()
    message = str(raised.value)
    assert "\n" not in message and "https://" in message and str(home) in message
    assert "jaxgan features import-inception FILE" in message


@pytest.mark.slow  # writes 95 MB
def test_imported_weights_are_found_again(home, weights):
    counted = weights | {"Mixed_5b.branch1x1.bn.num_batches_tracked": np.array(3)}
    counted["fc.bias"] = np.arange(1008, dtype=np.float64)
    save_safetensors(home / "given.safetensors", counted)
    kept = inception.import_inception(home / "given.safetensors")
    assert kept == weights_path("inception")
    found = load_safetensors(kept)
    assert found.keys() == weights.keys()
    assert all(array.dtype == np.float32 for array in found.values())
    np.testing.assert_array_equal(found["fc.bias"], np.arange(1008))
    extractor = inception.load()
    assert extractor.weights_hash == inception.from_state_dict(counted).weights_hash
    assert "299x299" in extractor.resizing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: {n: x for n, x in w.items() if n != "fc.weight"}, "lacks fc.weight"),
        (lambda w: w | {"AuxLogits.fc.bias": w["fc.bias"]}, "unexpected AuxLogits.fc.bias"),
        (lambda w: w | {"fc.weight": w["fc.weight"][:1000]}, r"fc.weight has the shape \(1000,"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_the_old_ones_stay(home, weights, change, told):
    weights_path("inception").parent.mkdir(parents=True)
    weights_path("inception").write_bytes(b"as it was")
    save_safetensors(home / "given.safetensors", change(weights))
    with pytest.raises(UserError, match=f"cannot import .*given.safetensors: .*{told}"):
        inception.import_inception(home / "given.safetensors")
    assert weights_path("inception").read_bytes() == b"as it was"


@pytest.mark.slow
def test_a_directory_that_cannot_be_written_to_is_named(home, weights):
    (home / "data").write_text("a file where the directory should be")
    save_safetensors(home / "given.safetensors", weights)
    with pytest.raises(UserError, match=f"{home / 'data'}.*: "):
        inception.import_inception(home / "given.safetensors")


def test_a_file_of_other_weights_is_refused_in_a_short_line(home):
    weights_path("inception").parent.mkdir(parents=True)
    weights_path("inception").write_bytes(b"as it was")
    others = {f"layer{i}.{'x' * 200}": np.zeros(2) for i in range(400)}
    save_safetensors(home / "given.safetensors", others)
    with pytest.raises(UserError, match=r"lacks Conv2d_1a.* and 469 more") as raised:
        inception.import_inception(home / "given.safetensors")
    assert len(str(raised.value)) < 600 and "\n" not in str(raised.value)
    assert weights_path("inception").read_bytes() == b"as it was"


@pytest.mark.parametrize(
    ("preparation", "white"),
    [(inception.TENSORFLOW, 127 / 128), (inception.CLEAN, 127 / 128), (inception.FRIENDLY, 1)],
)
def test_gray_becomes_three_equal_channels(preparation, white):
    gray = jnp.linspace(0, 1, 2 * 5 * 4).reshape(2, 5, 4, 1)
    seen = preparation.apply(gray)
    assert seen.shape == (2, 299, 299, 3)
    np.testing.assert_array_equal(seen, preparation.apply(jnp.tile(gray, (1, 1, 1, 3))))
    ends = preparation.apply(jnp.array([0.0, 1.0]).reshape(2, 1, 1, 1))
    np.testing.assert_allclose(ends[:, 0, 0, 0], [-1, white], atol=1e-6)
    with pytest.raises(UserError, match="1 or 3 channels, not 4"):
        preparation.apply(jnp.zeros((1, 5, 4, 4)))
