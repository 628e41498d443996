"""StableHLO: a compiler's program, which runs wherever JAX does."""

import json
from collections.abc import Mapping

import jax
import numpy as np
from jax import Array, export

from jaxgan.export.files import Format
from jaxgan.export.sampler import Sampler, symbolic_shapes

PLATFORMS = ("cpu", "cuda", "tpu")


def serialize(sampler: Sampler) -> bytes:
    """Makes a program for batches of any size, with the weights inside.

    Args:
        sampler: what `jaxgan.export.sampler` made.

    Returns:
        What `jax.export.deserialize` reads. The program is called with the sampler's arguments by
        name.
    """
    program = jax.jit(lambda **arguments: sampler.draw(arguments))
    exported = export.export(program, platforms=PLATFORMS)(**symbolic_shapes(sampler))
    return bytes(exported.serialize())


def run(data: bytes, arguments: Mapping[str, Array]) -> np.ndarray:
    """Runs a program.

    Args:
        data: what `serialize` made.
        arguments: by name.

    Returns:
        Pictures `[B, ...]`.
    """
    return np.asarray(export.deserialize(bytearray(data)).call(**arguments))


def describe(sampler: Sampler) -> dict[str, bytes]:
    """Says in JSON, in a file beside the program, what it takes and gives."""
    return {".json": (json.dumps(sampler.about, indent=2) + "\n").encode()}


FORMAT = Format(serialize, run, describe)
