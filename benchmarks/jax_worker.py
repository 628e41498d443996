"""Trains a recipe as `jaxgan train` does, its data and all, when it is told to."""

import math
import sys
from typing import Any

import jax
import jax.numpy as jnp
from turns import SIZE, take_turns

from jaxgan.devices import startup
from jaxgan.recipes import find_recipe
from jaxgan.training.chunks import train_in_chunks
from jaxgan.training.experiment import set_up

LONG = 2**31 - 1  # steps: it never ends by itself


def main(system: str, dtype: str) -> None:
    startup.compile_small_loops_whole()
    kind: Any = find_recipe(system)
    recipe = kind(steps=LONG, dtype=dtype)
    experiment = set_up(recipe)
    state = experiment.draw_first()
    row = jax.tree.map(lambda x: x[0], experiment.rows(0, 1))
    step = jax.jit(experiment.step).trace(state, experiment.key, row, experiment.arrays)
    # As a GPU would do it: convolutions by their definition, not by Fourier transform.
    # Newer versions of JAX count a program only once it is compiled.
    costs: Any = step.lower(lowering_platforms=("cuda",)).cost_analysis()
    flops = (costs or step.lower().compile().cost_analysis() or {}).get("flops", math.nan)
    chunks = train_in_chunks(experiment, state)
    done = 0

    def train() -> int:
        nonlocal done
        before, done = done, next(chunks).step
        return done - before

    def prepare() -> dict[str, Any]:
        for _ in range(4):  # until the chunks have their length
            train()
        return {"flops_per_step": flops, "device": jax.devices()[0].device_kind}

    a = jnp.ones((SIZE, SIZE), dtype)
    product = jax.jit(lambda a: a @ a)
    take_turns(prepare, train, lambda: product(a).block_until_ready())


if __name__ == "__main__":
    main(*sys.argv[1:])
