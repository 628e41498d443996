"""Inception with the weights of the user's file, as a feature extractor.

jaxgan ships no weights of Inception, for they are 95 MB. A file is imported once: checked, and kept
in the user's data directory.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from jaxgan.core.networks import linen
from jaxgan.features.extractor import (
    Extractor,
    features_of,
    hash_weights,
    load_network,
    logits_of,
)
from jaxgan.features.inception_network import CLASSES, SHAPE, SIZE, Inception
from jaxgan.interop import load_safetensors, save_safetensors, to_torch_state_dict
from jaxgan.util.errors import UserError

SOURCE = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)


def load() -> Extractor:
    """Makes an extractor of the weights that were imported.

    Returns:
        The extractor; see `from_state_dict`.

    Raises:
        UserError: if no weights were imported, or the file that has them is damaged.
    """
    path = weights_path()
    if not path.exists():
        raise UserError(
            f"Inception has no weights yet: download {SOURCE} and run "
            f"`jaxgan features import-inception FILE`, which keeps them in {path}"
        )
    return from_state_dict(load_safetensors(path))


def from_state_dict(state_dict: Mapping[str, Any]) -> Extractor:
    """Makes an extractor of weights in PyTorch's form.

    Its logits are those that the Inception score is computed from (Salimans et al., 2016, in their
    code): the last layer's without its bias.

    Args:
        state_dict: arrays by the names of the port to PyTorch (`Conv2d_1a_3x3.conv.weight`, ...).

    Returns:
        The extractor: 2,048 features and 1,008 logits.

    Raises:
        UserError: if a name is missing or unexpected, or a shape is another.
    """
    module = Inception()
    net = load_network(module, state_dict, SHAPE)
    return Extractor(
        name="InceptionV3, TensorFlow's of 2015-12-05",
        resizing=f"{SIZE}x{SIZE}, bilinear as in TensorFlow 1 (corners at 0, no antialiasing)",
        weights_hash=hash_weights(net),
        features=features_of(module, net),
        logits=logits_of(net.params["fc"]["kernel"], jnp.zeros(CLASSES)),
    )


def import_inception(path: Path) -> Path:
    """Checks a file of weights and keeps them where `load` finds them.

    Args:
        path: a state dict of the widely used port to PyTorch, as PyTorch saved it or in a
            safetensors file. Nothing in it is executed.

    Returns:
        The file that has the weights now.

    Raises:
        UserError: if the file cannot be read, or lacks a weight, has one too many or one of another
            shape, or the data directory cannot be written.
    """
    read = load_safetensors if path.suffix == ".safetensors" else _load_pth
    module = Inception()
    try:
        net = load_network(module, read(path), SHAPE)
    except UserError as error:
        raise UserError(f"cannot import {path}: {error}") from error
    kept = weights_path()
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {kept}: {error}") from error
    save_safetensors(kept, to_torch_state_dict(linen(module), net, shape=SHAPE))
    return kept


def weights_path() -> Path:
    """Tells where imported weights are kept: in $XDG_DATA_HOME, or else ~/.local/share."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "jaxgan" / "inception.safetensors"


def _load_pth(path: Path) -> Mapping[str, Any]:
    """Reads what PyTorch saved, tensors alone."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UserError(
            "PyTorch is needed to read it; run `pip install torch`, or give a .safetensors file"
        ) from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(error.strerror or str(error)) from error
    except Exception as error:  # other files fail in many ways, and PyTorch says it at length
        raise UserError("it holds more than tensors, or is no file of PyTorch's") from error
    if not isinstance(loaded, Mapping):
        raise UserError(f"it holds no state dict, but a {type(loaded).__name__}")
    return loaded
