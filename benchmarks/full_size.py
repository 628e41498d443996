"""Memory, operations and time of a training step of the recipes as published, at full size.

    python benchmarks/full_size.py
    python benchmarks/full_size.py --recipes cifar10_sngan --timed-batch 64

Random pictures stand for the data. Memory and operations are those of the program that XLA compiles
for the published batch on this device; it is not run. Memory is what a step takes in, what it needs
meanwhile, and what it gives back elsewhere than in place of what it took in. The time is that of
one step of the published networks with fewer examples in a batch, the least of `steps` after a
first one: by the clock, and that of all processors, which a busy machine leaves as it is.
"""

import time
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import tyro
from jax import Array

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.recipes import Recipe, find_recipe
from jaxgan.types import DataSpec

KEY = jax.random.key(0)
# The program is not run, and its memory and operations are the same.
QUICKLY: Any = {"xla_backend_optimization_level": 0}
CIFAR = DataSpec((32, 32, 3), 10)
SPECS = {
    "cifar10_sngan": CIFAR,
    "cifar10_projection": CIFAR,
    "wgan_gp_resnet": CIFAR,
    "cifar10_sagan": CIFAR,
    "cifar10_biggan": CIFAR,
    "reacgan": CIFAR,
    "cifar10_stylegan2": CIFAR,
    "cifar10_r3gan": CIFAR,
    "stacked_mnist_r3gan": DataSpec((32, 32, 3), 1000),
}


@dataclass(frozen=True)
class Options:
    """Memory, operations and time of a training step of the recipes as published."""

    recipes: tuple[str, ...] = tuple(SPECS)
    timed_batch: int = 8  # real examples in an update of the step that is timed
    steps: int = 1  # that are timed, after a first one


def with_batch(recipe: Any, size: int) -> Recipe:
    """Makes the recipe with a batch of this size, and StyleGAN2's groups no larger than it."""
    groups = {"group": min(recipe.group, size)} if hasattr(recipe, "group") else {}
    return replace(recipe, batch_size=size, **groups)


def prepare(recipe: Recipe, spec: DataSpec) -> tuple[Any, Any, dict[str, Array]]:
    """Makes the step of a recipe, a function that draws its first state, and a random batch."""
    gan = recipe.gan(spec)
    update, count = recipe.update(gan), recipe.examples_per_step
    image = jax.random.uniform(KEY, (count, *spec.shape), minval=-1.0)
    label = jnp.arange(count, dtype=jnp.int32) % (spec.classes or 1)
    batch = {"image": image, "label": label}
    step = jax.jit(make_step(update), donate_argnums=0)
    return step, lambda key: init(gan, key, batch, update), batch


def measure(name: str, options: Options) -> str:
    """One line of the table."""
    kind: Any = find_recipe(name)
    recipe = kind()
    step, draw, batch = prepare(recipe, SPECS[name])
    lowered = step.lower(jax.eval_shape(draw, KEY), batch, KEY)
    program = lowered.compile(compiler_options=QUICKLY)
    memory, costs = program.memory_analysis(), program.cost_analysis()
    taken = memory.argument_size_in_bytes + memory.output_size_in_bytes
    taken += memory.temp_size_in_bytes - memory.alias_size_in_bytes
    step, draw, batch = prepare(with_batch(recipe, options.timed_batch), SPECS[name])
    state, _ = jax.block_until_ready(step(draw(KEY), batch, KEY))
    clock, processors = [], []
    for _ in range(options.steps):
        began, used = time.perf_counter(), time.process_time()
        state, _ = jax.block_until_ready(step(state, batch, KEY))
        clock.append(time.perf_counter() - began)
        processors.append(time.process_time() - used)
    cells = [f"`{name}`", recipe.batch_size, recipe.examples_per_step, f"{taken / 1e9:.3g}"]
    cells += [f"{costs['flops'] / 1e12:.3g}", f"{min(clock):.3g}", f"{min(processors):.3g}"]
    return "| " + " | ".join(map(str, cells)) + " |"


def main(options: Options) -> None:
    """Measures each recipe, and prints a table."""
    titles = ["recipe", "batch", "real examples in a step", "memory, GB", "TFLOP"]
    titles += [f"seconds with a batch of {options.timed_batch}", "of all processors"]
    print("| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles))
    for name in options.recipes:
        print(measure(name, options), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
