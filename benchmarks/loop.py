"""What `jaxgan train` costs beside the bare steps, and what data cost, resident and streamed.

    python benchmarks/loop.py mnist_mlp

Three ways take turns of some seconds: the bare loop over steps, its batches at hand on the device;
`jaxgan train`'s loop with its data and digests; and the same with the data set streamed, as one
that is larger than the memory allowed to it. After them whole runs of `jaxgan train`'s function,
short and long in turns, pictures, checkpoints, report and all: the difference of their times tells
what a step costs. Prints milliseconds a step: medians, least and most.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import tyro

from jaxgan.core.steps import make_step, run_steps
from jaxgan.data import load
from jaxgan.data.sources import open_source
from jaxgan.devices import startup
from jaxgan.recipes import ImageRecipe, find_recipe
from jaxgan.recipes import recipe as recipe_module
from jaxgan.training.chunks import SECONDS, compiled, train_in_chunks
from jaxgan.training.experiment import Experiment, set_up
from jaxgan.training.loop import train

LONG = 2**31 - 1  # steps: more than can be waited for


@dataclass(frozen=True)
class Options:
    """What `jaxgan train` costs beside the bare steps, and what data cost."""

    recipe: Annotated[str, tyro.conf.Positional]
    rounds: int = 5  # turns of each
    seconds: float = 6.0  # of a turn
    run_seconds: float = 30.0  # of steps by which the long runs are longer than the short ones


def bare(recipe: Any, seconds_per_step: float) -> Iterator[int]:
    """Does steps on batches at hand; gives how many in each call."""
    experiment = set_up(recipe)
    count = min(experiment.longest, max(1, int(SECONDS / seconds_per_step)))
    feed, key = recipe.feed(0), experiment.key
    rows = feed.rows(0, count)
    batches = jax.jit(jax.vmap(lambda row: feed.batch(feed.arrays, row, key)))(rows)
    step = make_step(recipe.update(recipe.gan(experiment.spec)))
    state = experiment.draw_first()
    program = jax.jit(partial(run_steps, step), donate_argnums=0)
    program = compiled(program.lower(state, batches, key, jnp.int32(1)), experiment.mesh)
    while True:
        state, metrics = program(state, batches, key, jnp.int32(count))
        jax.block_until_ready(metrics)
        yield count


def trained(experiment: Experiment) -> Iterator[int]:
    """Does steps as `jaxgan train` does them."""
    before = 0
    for chunk in train_in_chunks(experiment, experiment.draw_first()):
        yield chunk.step - before
        before = chunk.step


def milliseconds_to_read(recipe: Any) -> float:
    """What one core needs to read a batch, of pictures here and there in the data set."""
    source = open_source(
        recipe.data, image_size=recipe.image_size, default_size=recipe.default_size, data_dir=None
    )
    spent = []
    for start in range(20):
        began = time.perf_counter()
        source.read([(start + i * 37) % len(source) for i in range(recipe.examples_per_step)])
        spent.append(1e3 * (time.perf_counter() - began))
    return statistics.median(spent)


def turn(steps: Iterator[int], seconds: float) -> float:
    """Milliseconds a step, over some seconds."""
    began, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        done += next(steps)
    return 1e3 * passed / done


def whole_run(recipe: Any) -> float:
    """Seconds of `jaxgan train`."""
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        train(recipe, Path(directory) / "run")
        return time.perf_counter() - began


def in_turns(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    return found


def main(options: Options) -> None:
    startup.cache_compilations()
    startup.compile_small_loops_whole()
    kind: Any = find_recipe(options.recipe)
    recipe: Any = kind(steps=LONG)
    plain = trained(set_up(recipe))
    for _ in range(4):  # until the chunks have their length
        next(plain)
    seconds_per_step = turn(plain, options.seconds) / 1e3
    ways = {"bare steps": bare(recipe, seconds_per_step), "with data and digests": plain}
    if kind.feed is ImageRecipe.feed:
        with patch.object(recipe_module, "load", partial(load, resident_bytes=0)):
            ways["with streamed data"] = trained(set_up(recipe))
    for steps in ways.values():
        turn(steps, 4 * SECONDS)
    turns = {name: partial(turn, steps, options.seconds) for name, steps in ways.items()}
    found = in_turns(turns, options.rounds)

    more = math.ceil(options.run_seconds / seconds_per_step)
    few = max(1, more // 8)
    runs = {"short": replace(recipe, steps=few), "long": replace(recipe, steps=few + more)}
    seconds = in_turns({name: partial(whole_run, run) for name, run in runs.items()}, 3)
    found["jaxgan train"] = [
        1e3 * (long - short) / more
        for short, long in zip(seconds["short"], seconds["long"], strict=True)
    ]
    least = statistics.median(found["bare steps"])
    print("| way | ms a step | beside bare steps |")
    print("|---|---|---|")
    for name, times in found.items():
        median = statistics.median(times)
        spread = f"{median:.4g} ({min(times):.4g} to {max(times):.4g})"
        print(f"| {name} | {spread} | {median / least:.3f} |")
    if "with streamed data" in ways:
        reading = milliseconds_to_read(recipe)
        workers = math.ceil(reading / least)
        print(f"reading a batch takes a core {reading:.3g} ms: {workers} beside those that train")


if __name__ == "__main__":
    main(tyro.cli(Options))
