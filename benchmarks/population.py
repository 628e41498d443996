"""Time of a training step per member, by how many members there are and go at once.

    python benchmarks/population.py pattern_1010 --members 1 64 1024
    python benchmarks/population.py mnist_dcgan --members 4 --at-once 1 4 --batch-size 32

All populations take turns of some seconds, as `jaxgan population` trains them, data and all;
prints medians, least and most.
"""

import statistics
import time
from dataclasses import dataclass, replace
from typing import Annotated, Any

import tyro

from jaxgan.devices import startup
from jaxgan.recipes import find_recipe
from jaxgan.rundir.sweep import Members
from jaxgan.training.chunks import train_in_chunks
from jaxgan.training.experiment import set_up


@dataclass(frozen=True)
class Options:
    """Time of a training step per member, by how many members there are and go at once."""

    recipe: Annotated[str, tyro.conf.Positional]
    members: tuple[int, ...] = (1, 4)
    at_once: tuple[int, ...] = ()  # members computed together; left to jaxgan if not given
    batch_size: int | None = None  # the recipe's own if not given
    rounds: int = 5  # turns of each
    seconds: float = 2.0  # of a turn


def main(options: Options) -> None:
    startup.compile_small_loops_whole()
    kind: Any = find_recipe(options.recipe)
    recipe = kind(steps=2**31 - 1, log_every=1000)
    if options.batch_size is not None:
        recipe = replace(recipe, batch_size=options.batch_size)
    trained, spent = {}, {}
    for count in options.members:
        for together in options.at_once or (None,):
            experiment = set_up(recipe, members=Members(count, {}, together))
            chunks = train_in_chunks(experiment, experiment.draw_first())
            for _ in range(4):  # until the chunks have their length
                done = next(chunks).step
            trained[count, together], spent[count, together] = (chunks, done), []
    for _ in range(options.rounds):
        for which, (chunks, before) in trained.items():
            began, step = time.perf_counter(), before
            while (passed := time.perf_counter() - began) < options.seconds:
                step = next(chunks).step
            trained[which] = chunks, step
            spent[which].append(1e3 * passed / (step - before) / which[0])
    print("| members | at once | ms a member and step |")
    print("|---|---|---|")
    for (count, together), times in spent.items():
        most = f"{statistics.median(times):.3g} ({min(times):.3g} to {max(times):.3g})"
        print(f"| {count} | {together or 'as jaxgan does'} | {most} |")


if __name__ == "__main__":
    main(tyro.cli(Options))
