"""Exports as files, each compared with the run before it is written."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jax import Array

from jaxgan.export.sampler import ROUNDING, Sampler
from jaxgan.util.errors import UserError
from jaxgan.util.files import make_folder, write_atomically


class Format(NamedTuple):
    """How a sampler is kept, and run from what was kept."""

    serialize: Callable[[Sampler], bytes]
    run: Callable[[bytes, Mapping[str, Array]], np.ndarray]  # of the arguments of the sampler
    describe: Callable[[Sampler], Mapping[str, bytes]]  # files beside it, by the end of their names


def write(path: Path, sampler: Sampler, form: Format) -> float:
    """Writes a sampler to a file that makes the same pictures without jaxgan.

    Args:
        path: of the file; its folder is made if need be.
        sampler: what `jaxgan.export.sampler` made.
        form: `jaxgan.export.stablehlo.FORMAT` or `jaxgan.export.onnx.FORMAT`.

    Returns:
        The largest difference between the pictures of the file and those of JAX.

    Raises:
        UserError: if the format does not know an operation, pictures differ, or the file cannot be
            written.
    """
    data = form.serialize(sampler)
    apart = float(np.abs(form.run(data, sampler.arguments) - sampler.pictures).max())
    if not apart <= ROUNDING * np.abs(sampler.pictures).max():
        raise UserError(
            f"pictures of the export differ by {apart:.1e} from those of JAX: choose another "
            "--format"
        )
    make_folder(path.parent)
    for end, description in form.describe(sampler).items():
        write_atomically(path.with_name(path.name + end), description)
    write_atomically(path, data)
    return apart
