"""How long a recipe takes from the command to the metrics of its first step.

    python benchmarks/starting.py
    python benchmarks/starting.py --recipes mnist_mlp --later 5

Starts `jaxgan train RECIPE --steps 1` in a new process, with an empty cache of compiled programs,
and then as often as one likes with the cache that the first start left. The clock stops when the
step's line is in metrics.jsonl. Prints seconds: of the first start, and of the later ones the
median, least and most.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from speed import SYSTEMS

from jaxgan.rundir.log import METRICS

LOOK_EVERY = 0.01  # seconds


@dataclass(frozen=True)
class Options:
    """How long a recipe takes from the command to the metrics of its first step."""

    recipes: tuple[str, ...] = SYSTEMS
    later: int = 3  # starts with the cache filled


def seconds_to_start(recipe: str, run: Path, cache: Path) -> float:
    """Starts a run, and waits until it has written its first line and ended."""
    jaxgan = str(Path(sys.executable).with_name("jaxgan"))
    command = [jaxgan, "train", recipe, "--steps", "1", "--out", str(run)]
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    lines = run / METRICS
    while not (lines.exists() and lines.stat().st_size):
        if process.poll() is not None:
            raise SystemExit(f"{' '.join(command)} ended without a line of metrics")
        time.sleep(LOOK_EVERY)
    passed = time.perf_counter() - began
    process.wait()
    return passed


def main(options: Options) -> None:
    """Starts each recipe some times, and prints a table."""
    print("| recipe | first start, s | later starts, s |\n|---|---|---|")
    for recipe in options.recipes:
        with tempfile.TemporaryDirectory() as folder:
            times = [
                seconds_to_start(recipe, Path(folder) / f"run{index}", Path(folder) / "cache")
                for index in range(1 + options.later)
            ]
        first, *later = times
        ends = f"({min(later):.1f} to {max(later):.1f})"
        print(f"| `{recipe}` | {first:.1f} | {statistics.median(later):.1f} {ends} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
