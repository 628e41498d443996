"""Inception as a feature extractor, with weights from a file of the user's.

jaxgan does not ship Inception's weights, which are 95 MB. A file is imported once: checked, and
copied to the user's data directory.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax.numpy as jnp

from jaxgan.core.networks import linen
from jaxgan.features.extractor import (
    Extractor,
    hash_weights,
    load_network,
    make_features,
    make_logits,
)
from jaxgan.features.inception_network import CLASSES, SHAPE, SIZE, Inception
from jaxgan.interop import load_safetensors, save_safetensors, to_torch_state_dict
from jaxgan.util.errors import UserError
from jaxgan.util.files import make_folder, open_regular

SOURCE = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
_MODULE = Inception()
_NETWORK = linen(_MODULE)


def load() -> Extractor:
    """Returns the extractor with the imported weights.

    Returns:
        The extractor; see `from_state_dict`.

    Raises:
        UserError: if no weights were imported, or their file is damaged.
    """
    path = weights_path()
    if not path.exists():
        raise UserError(
            f"Inception has no weights yet: download {SOURCE} and run "
            f"`jaxgan features import-inception FILE`, which copies them to {path}"
        )
    return from_state_dict(load_safetensors(path))


def from_state_dict(state_dict: Mapping[str, Any]) -> Extractor:
    """Makes an extractor from a PyTorch state dict.

    Its logits leave out the last layer's bias, as in the original code of the Inception score
    (Salimans et al., 2016).

    Args:
        state_dict: arrays by the names of the PyTorch port (`Conv2d_1a_3x3.conv.weight`, ...).

    Returns:
        The extractor: 2,048 features and 1,008 logits.

    Raises:
        UserError: if a name is missing or unexpected, or a shape is wrong.
    """
    net = load_network(_NETWORK, state_dict, SHAPE)
    return Extractor(
        name="InceptionV3, TensorFlow's of 2015-12-05",
        resizing=f"{SIZE}x{SIZE}, bilinear as in TensorFlow 1 (corners at 0, no antialiasing)",
        weights_hash=hash_weights(net),
        features=make_features(_MODULE, net),
        logits=make_logits(net.params["fc"]["kernel"], jnp.zeros(CLASSES)),
        short="inception",
    )


def import_inception(path: Path) -> Path:
    """Checks a file of weights and copies them to where `load` finds them.

    Args:
        path: a state dict of the widely used PyTorch port, saved by PyTorch or as safetensors.
            Nothing in it is executed.

    Returns:
        The copy.

    Raises:
        UserError: if the file cannot be read, a weight is missing, unexpected or of the wrong
            shape, or the data directory cannot be written to.
    """
    read = load_safetensors if path.suffix == ".safetensors" else _load_pth
    try:
        net = load_network(_NETWORK, read(path), SHAPE)
    except UserError as error:
        raise UserError(f"cannot import {path}: {error}") from error
    imported = weights_path()
    make_folder(imported.parent)
    save_safetensors(imported, to_torch_state_dict(_NETWORK, net, inputs=jnp.zeros((1, *SHAPE))))
    return imported


def weights_path() -> Path:
    """Returns the file of imported weights, in $XDG_DATA_HOME or else ~/.local/share."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "jaxgan" / "inception.safetensors"


def _torch() -> ModuleType:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UserError(
            "PyTorch is needed to read it; run `pip install torch`, or give a .safetensors file"
        ) from error
    return torch


def _load_pth(path: Path) -> Mapping[str, Any]:
    """Reads a state dict that PyTorch saved; nothing but tensors is unpickled."""
    try:
        with open_regular(path) as file:
            loaded = _torch().load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError("there is no such file") from error
    except (UserError, MemoryError):
        raise
    except Exception as error:  # PyTorch raises errors of all kinds, with long messages
        raise UserError("it holds more than tensors, or was not saved by PyTorch") from error
    if not isinstance(loaded, Mapping):
        raise UserError(f"it holds no state dict, but a {type(loaded).__name__}")
    if not all(isinstance(name, str) for name in loaded):
        raise UserError("its state dict has keys that are no text")
    return loaded
