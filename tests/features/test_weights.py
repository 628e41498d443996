"""Files of weights: where they are kept, and what is refused."""

import os
import sys
from functools import partial

import jax
import numpy as np
import pytest

from jaxgan.features import clip, dinov2
from jaxgan.features.weights import import_weights, load_weights, weights_path
from jaxgan.interop import fit_shapes, save_safetensors
from jaxgan.util.errors import UserError

GIVEN = {"a.weight": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.ones(4, np.float32)}
import_net = partial(
    import_weights, "net", choose=partial(fit_shapes, shapes={"a.weight": (2, 3), "b": (4,)})
)

import_base = partial(dinov2.import_dinov2, size=dinov2.BASE)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_weights_are_kept_in_the_data_directory(monkeypatch, tmp_path):
    assert weights_path("net") == tmp_path / "data" / "jaxgan" / "net.safetensors"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights_path("net") == tmp_path / ".local/share/jaxgan/net.safetensors"


def test_without_a_home_directory_another_must_be_named(monkeypatch):
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(UserError, match="no home directory .* set XDG_DATA_HOME"):
        weights_path("net")


def test_imported_weights_are_found_again_as_float32(home):
    save_safetensors(home / "given.safetensors", GIVEN)
    assert import_net(home / "given.safetensors") == weights_path("net")
    found = load_weights("net", "Net", "a place")
    assert found.keys() == GIVEN.keys()
    for name, array in found.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, GIVEN[name])


def test_what_pytorch_saved_is_imported(home):
    torch = pytest.importorskip("torch")
    torch.save({name: torch.from_numpy(x) for name, x in GIVEN.items()}, home / "given.pth")
    import_net(home / "given.pth")
    np.testing.assert_array_equal(
        load_weights("net", "Net", "a place")["a.weight"], GIVEN["a.weight"]
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"b": None}, "lacks b"),
        ({"c": np.ones(1)}, "has unexpected c"),
        ({"b": np.ones(5)}, r"b has the shape \(5,\), but the network needs \(4,\)"),
        ({"b": np.ones(4, bool).astype("S1")}, "b is not an array of numbers"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, told):
    changed = {name: x for name, x in (GIVEN | change).items() if x is not None}
    with pytest.raises(UserError, match=told):
        fit_shapes(changed, {"a.weight": (2, 3), "b": (4,)})


def test_old_weights_stay_when_others_are_refused(home):
    weights_path("net").parent.mkdir(parents=True)
    weights_path("net").write_bytes(b"as it was")
    save_safetensors(home / "given.safetensors", {"b": np.ones(4)})
    with pytest.raises(UserError, match="cannot import .*given.safetensors: .*lacks a.weight"):
        import_net(home / "given.safetensors")
    assert weights_path("net").read_bytes() == b"as it was"


@pytest.mark.parametrize(
    ("importer", "told"),
    [
        (dinov2.import_dinov2, r"lacks blocks.0.attn.proj.bias, .* and \d+ more"),
        (import_base, r"lacks blocks.0.attn.proj.bias, .* and \d+ more"),
        (clip.import_clip, r"lacks class_embedding, .* and \d+ more"),
    ],
)
def test_a_file_of_other_weights_is_refused_in_a_short_line(home, importer, told):
    save_safetensors(home / "given.safetensors", GIVEN)
    with pytest.raises(UserError, match=f"cannot import .*given.safetensors: .*{told}") as raised:
        importer(home / "given.safetensors")
    assert len(str(raised.value)) < 600 and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("load", "name"),
    [(dinov2.load, "dinov2"), (dinov2.load_base, "dinov2-base"), (clip.load, "clip")],
)
def test_without_weights_one_line_says_what_to_do(load, name):
    with pytest.raises(UserError) as raised:
        load()
    message = str(raised.value)
    assert "\n" not in message and "https://" in message and str(weights_path(name)) in message
    assert f"jaxgan features import-{name} FILE" in message


def test_the_base_of_dinov2_has_a_file_of_its_own(home):
    made = {name: np.zeros(shape) for name, shape in dinov2.shapes(dinov2.BASE).items()}
    save_safetensors(home / "given.safetensors", made)
    assert import_base(home / "given.safetensors") == weights_path("dinov2-base")
    with pytest.raises(UserError, match=r"lacks blocks.12.attn.proj.bias"):
        dinov2.import_dinov2(home / "given.safetensors")
    tokens = jax.eval_shape(dinov2.load_base(), jax.ShapeDtypeStruct((2, 256, 256, 3), float))
    assert {name: x.shape for name, x in tokens.items()} == {
        "whole": (2, 768),
        "patches": (2, 16, 16, 768),
    }


def test_files_that_cannot_be_read_are_named(home):
    for name in ("absent.safetensors", "absent.pth"):
        with pytest.raises(UserError, match=f"cannot import .*{name}: .*no such file"):
            import_net(home / name)


def test_a_pipe_in_the_place_of_weights_is_refused(home):
    for name in ("given.safetensors", "given.pth"):
        os.mkfifo(home / name)
        with pytest.raises(UserError, match=f"{name} is not a regular file"):
            import_net(home / name)


def test_other_files_are_refused(home):
    torch = pytest.importorskip("torch")
    path = home / "given.pth"
    path.write_bytes(b"not at all")
    with pytest.raises(UserError, match="it holds more than tensors, or was not saved by PyTorch"):
        import_net(path)
    for saved, told in (
        (torch.nn.Linear(1, 1), "it holds more than tensors"),  # whole, as pickled code
        (torch.zeros(3), "it holds no state dict, but a Tensor"),
        ({1: torch.zeros(2)}, "its state dict has keys that are no text"),
    ):
        torch.save(saved, path)
        with pytest.raises(UserError, match=f"cannot import {path}: {told}"):
            import_net(path)


def test_without_pytorch_one_line_says_what_to_do(home, monkeypatch):
    (home / "given.pth").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="pip install torch.*or give a .safetensors file"):
        import_net(home / "given.pth")
