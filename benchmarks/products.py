"""The matrix products of a training step, each alone in a loop: what a step of nothing else takes.

    python benchmarks/products.py mnist_mlp

Takes the products from the program of the step itself, as it is written. Prints milliseconds and
GFLOP/s of each, of all together, and of a product of two 2048 x 2048 matrices, the best of some
turns each. Meant for `mnist_mlp`: convolutions, and products within loops, are not counted right.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, NamedTuple

import jax
import tyro
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr
from looped import REPEATS, looped
from turns import SIZE

from jaxgan.recipes import find_recipe
from jaxgan.training.experiment import set_up


@dataclass(frozen=True)
class Options:
    """The matrix products of a training step, each alone in a loop."""

    recipe: Annotated[str, tyro.conf.Positional] = "mnist_mlp"
    turns: int = 7


class Product(NamedTuple):
    left: tuple[int, ...]
    right: tuple[int, ...]
    dimensions: Any  # of `lax.dot_general`

    @property
    def operations(self) -> float:
        (contracted, _), _ = self.dimensions
        depth = prod(self.left[axis] for axis in contracted)
        inputs = (jax.ShapeDtypeStruct(shape, "float32") for shape in (self.left, self.right))
        return 2 * depth * prod(jax.eval_shape(self.compute, *inputs).shape)

    def inputs(self) -> tuple[Array, Array]:
        keys = jax.random.split(jax.random.key(0))
        return jax.random.normal(keys[0], self.left), jax.random.normal(keys[1], self.right)

    def compute(self, left: Array, right: Array) -> Array:
        return lax.dot_general(left, right, self.dimensions)


def products(program: Jaxpr) -> Iterator[Product]:
    """Finds the products in a program and in all that it calls."""
    for equation in program.eqns:
        if equation.primitive.name == "dot_general":
            avals: list[Any] = [variable.aval for variable in equation.invars]
            left, right = (tuple(aval.shape) for aval in avals)
            yield Product(left, right, equation.params["dimension_numbers"])
        for part in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(part):
                yield from products(part.jaxpr if isinstance(part, ClosedJaxpr) else part)


def _is_program(part: object) -> bool:
    return isinstance(part, ClosedJaxpr | Jaxpr)


def main(options: Options) -> None:
    kind: Any = find_recipe(options.recipe)
    experiment = set_up(kind())
    state = experiment.draw_first()
    row = jax.tree.map(lambda x: x[0], experiment.rows(0, 1))
    step = jax.make_jaxpr(experiment.step)(state, experiment.key, row, experiment.arrays)
    counted = Counter(products(step.jaxpr))
    scale = Product((SIZE, SIZE), (SIZE, SIZE), (((1,), (0,)), ((), ())))
    programs = {
        product: jax.jit(looped(product.compute)).lower(*product.inputs()).compile()
        for product in [*counted, scale]
    }
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(options.turns):
        for product, program in programs.items():
            inputs = product.inputs()
            program(*inputs).block_until_ready()
            began = time.perf_counter()
            program(*inputs).block_until_ready()
            best[product] = min(best[product], (time.perf_counter() - began) / REPEATS)
    print("| product | in a step | ms | GFLOP/s |")
    print("|---|---|---|---|")
    for product, count in sorted(counted.items(), key=lambda item: -item[0].operations):
        (left, right), _ = product.dimensions
        name = f"{product.left} over {left}, {product.right} over {right}"
        rate = product.operations / best[product] / 1e9
        print(f"| {name} | {count} | {1e3 * best[product]:.3f} | {rate:.0f} |")
    seconds = sum(best[product] * count for product, count in counted.items())
    operations = sum(product.operations * count for product, count in counted.items())
    print(f"| all | {counted.total()} | {1e3 * seconds:.2f} | {operations / seconds / 1e9:.0f} |")
    rate = scale.operations / best[scale] / 1e9
    print(f"| {scale.left}, {scale.right} | | {1e3 * best[scale]:.1f} | {rate:.0f} |")


if __name__ == "__main__":
    main(tyro.cli(Options))
