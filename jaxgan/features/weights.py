"""Weights of networks that jaxgan does not ship, in files of the user's.

A file is imported once: checked, and copied to the user's data directory.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from jaxgan.interop import StateDict, load_safetensors, save_safetensors
from jaxgan.util.errors import UserError
from jaxgan.util.files import expanded, make_folder, open_regular


def weights_path(name: str) -> Path:
    """Returns the file of imported weights, in $XDG_DATA_HOME or else ~/.local/share.

    Args:
        name: of the network, as in `jaxgan features import-NAME`.

    Raises:
        UserError: if the user has no home directory, and $XDG_DATA_HOME names no other.
    """
    data = os.environ.get("XDG_DATA_HOME")
    home = expanded("~")
    if not data and not home.is_absolute():
        raise UserError("there is no home directory to keep weights in: set XDG_DATA_HOME")
    return Path(data or home / ".local" / "share") / "jaxgan" / f"{name}.safetensors"


def load_weights(name: str, title: str, source: str) -> StateDict:
    """Loads imported weights.

    Args:
        name: of the network.
        title: what an error message calls it.
        source: where users find the file.

    Returns:
        Arrays by name.

    Raises:
        UserError: if no weights were imported, or their file is damaged.
    """
    path = weights_path(name)
    if not path.exists():
        raise UserError(
            f"{title} has no weights yet: download {source} and run "
            f"`jaxgan features import-{name} FILE`, which copies them to {path}; or choose other "
            "features, such as `jaxgan evaluate RUN --features pixels`"
        )
    return load_safetensors(path)


def import_weights(
    name: str, path: Path, choose: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Path:
    """Checks a file of weights and copies them to where `load_weights` finds them.

    Args:
        name: of the network.
        path: a state dict, saved by PyTorch or as safetensors. Nothing in it is executed.
        choose: from the state dict to the arrays to keep; raises UserError if they do not fit.

    Returns:
        The copy.

    Raises:
        UserError: if the file cannot be read or does not fit, or the data directory cannot be
            written to.
    """
    read = load_safetensors if path.suffix == ".safetensors" else _load_pth
    try:
        kept = choose(read(path))
    except UserError as error:
        raise UserError(f"cannot import {path}: {error}") from error
    imported = weights_path(name)
    make_folder(imported.parent)
    save_safetensors(imported, kept)
    return imported


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
