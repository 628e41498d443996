"""Inception's weights: where they are stored, what is refused. The network: tests/parity."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import tree_map

from jaxgan.core.networks import linen
from jaxgan.core.state import TrainState
from jaxgan.features import inception
from jaxgan.features.inception_network import SHAPE, Inception, prepare
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


def test_weights_are_stored_in_the_data_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert inception.weights_path() == tmp_path / "jaxgan" / "inception.safetensors"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = tmp_path / ".local" / "share" / "jaxgan" / "inception.safetensors"
    assert inception.weights_path() == expected


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
    assert kept == inception.weights_path()
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
    inception.weights_path().parent.mkdir(parents=True)
    inception.weights_path().write_bytes(b"as it was")
    save_safetensors(home / "given.safetensors", change(weights))
    with pytest.raises(UserError, match=f"cannot import .*given.safetensors: .*{told}"):
        inception.import_inception(home / "given.safetensors")
    assert inception.weights_path().read_bytes() == b"as it was"


def test_files_that_cannot_be_read_are_named(home):
    for name in ("absent.safetensors", "absent.pth"):
        with pytest.raises(UserError, match=f"cannot import .*{name}: .*no such file"):
            inception.import_inception(home / name)


@pytest.mark.slow
def test_a_directory_that_cannot_be_written_to_is_named(home, weights):
    (home / "data").write_text("a file where the directory should be")
    save_safetensors(home / "given.safetensors", weights)
    with pytest.raises(UserError, match=f"{home / 'data'}.*: "):
        inception.import_inception(home / "given.safetensors")


def test_a_file_of_other_weights_is_refused_in_a_short_line(home):
    inception.weights_path().parent.mkdir(parents=True)
    inception.weights_path().write_bytes(b"as it was")
    others = {f"layer{i}.{'x' * 200}": np.zeros(2) for i in range(400)}
    save_safetensors(home / "given.safetensors", others)
    with pytest.raises(UserError, match=r"lacks Conv2d_1a.* and 469 more") as raised:
        inception.import_inception(home / "given.safetensors")
    assert len(str(raised.value)) < 600 and "\n" not in str(raised.value)
    assert inception.weights_path().read_bytes() == b"as it was"


def test_a_pipe_in_the_place_of_weights_is_refused(home):
    for name in ("given.safetensors", "given.pth"):
        os.mkfifo(home / name)
        with pytest.raises(UserError, match=f"{name} is not a regular file"):
            inception.import_inception(home / name)


def test_keys_that_are_no_text_are_refused(home):
    torch = pytest.importorskip("torch")
    torch.save({1: torch.zeros(2)}, home / "given.pth")
    with pytest.raises(UserError, match="cannot import .*given.pth: .* keys that are no text"):
        inception.import_inception(home / "given.pth")


def test_gray_becomes_three_equal_channels():
    gray = jnp.linspace(0, 1, 2 * 5 * 4).reshape(2, 5, 4, 1)
    seen = prepare(gray)
    assert seen.shape == (2, 299, 299, 3) and float(seen.min()) == -1
    assert float(seen.max()) == 127 / 128
    np.testing.assert_array_equal(seen, prepare(jnp.tile(gray, (1, 1, 1, 3))))
    with pytest.raises(UserError, match="1 or 3 channels, not 4"):
        prepare(jnp.zeros((1, 5, 4, 4)))
