"""Trains a recipe as `jaxgan train` does, its data and all, when it is told to."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
from turns import SIZE, take_turns

from jaxgan import parallel
from jaxgan.keys import from_seed, stream
from jaxgan.recipes import find_recipe
from jaxgan.stretches import train_in_stretches
from jaxgan.training import make_first, open_feed

LONG = 2**31 - 1  # steps: it never ends by itself


def main(system: str) -> None:
    kind: Any = find_recipe(system)
    recipe = kind(steps=LONG)
    mesh, feed = open_feed(recipe, 0, None, 1)
    gan = recipe.gan(feed.shape)
    key = from_seed(0)
    state = make_first(gan, feed, mesh)(stream(key, "init"))
    batch = {"image": jnp.zeros((recipe.examples_per_step, *feed.shape))}

    def count_flops() -> float:
        from jaxgan.steps import make_step

        step = jax.jit(make_step(recipe.update(gan)))
        costs: Any = step.lower(state, batch, key).compile().cost_analysis()
        return costs["flops"]

    flops = count_flops()
    stretches = train_in_stretches(recipe, gan, feed, state, key, LONG, mesh)
    done = 0

    def train() -> int:
        nonlocal done
        before, done = done, next(stretches).step
        return done - before

    def prepare() -> dict[str, float]:
        for _ in range(4):  # until the stretches have their length
            train()
        return {"flops_per_step": flops}

    a = jnp.ones((SIZE, SIZE))
    product = jax.jit(lambda a: a @ a)
    take_turns(prepare, train, lambda: product(a).block_until_ready())


if __name__ == "__main__":
    assert parallel.leads()
    main(sys.argv[1])
