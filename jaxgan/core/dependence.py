"""What the results of a function depend on."""

from collections.abc import Callable

import jax
from jax.interpreters.partial_eval import dce_jaxpr

from jaxgan.types import PyTree


def dependence(function: Callable[..., PyTree], *args: PyTree) -> PyTree:
    """Tells which arrays among its arguments the results of a function depend on.

    Args:
        function: of arrays to arrays, traceable; it is not run.
        *args: its arguments, trees of arrays.

    Returns:
        A tree like `args`, with a bool in the place of each array. An array of which only the shape
        matters has False.
    """
    program = jax.make_jaxpr(function)(*args).jaxpr
    _, used = dce_jaxpr(program, [True] * len(program.outvars))
    return jax.tree.unflatten(jax.tree.structure(args), used)
