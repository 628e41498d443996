"""Training steps of the five systems, in jaxgan and in PyTorch, side by side.

    python benchmarks/speed.py                                    # all of them
    python benchmarks/speed.py --systems mnist_mlp --rounds 10
    python benchmarks/speed.py --dtype bfloat16                   # on a GPU, say

Each way to train has a process of its own. They take turns of some seconds, A B C A B C, so that
whatever else the machine does slows all of them; while one works, the others wait. A round also
measures the machine's own rate of multiplying matrices. Prints medians and writes them, with all
single figures, as JSON. Needs PyTorch: pip install 'jaxgan[parity]'.

On a GPU, where JAX and PyTorch find one, the same: what is timed is the device, for many steps are
started before one is waited for.
"""

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import tyro

HERE = Path(__file__).parent
SYSTEMS = ("pattern_1010", "mnist_mlp", "mnist_conv", "mnist_dcgan", "mnist_dcgan_bn")
WAYS = {
    "jaxgan": ["jax_worker.py"],
    "eager": ["torch_worker.py", "eager"],
    "compiled": ["torch_worker.py", "compiled"],
}


@dataclass(frozen=True)
class Options:
    """Training steps of the five systems, in jaxgan and in PyTorch, side by side."""

    systems: tuple[str, ...] = SYSTEMS
    dtype: Literal["float32", "bfloat16"] = "float32"  # that the networks compute in
    rounds: int = 7  # turns of each
    seconds: float = 3.0  # of a turn
    out: Path = Path("speed.json")  # where the figures go


class Worker:
    """A process that trains when it is told to."""

    def __init__(self, words: list[str], system: str, dtype: str):
        command = [sys.executable, str(HERE / words[0]), system, dtype, *words[1:]]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # A GPU's memory is shared by the workers.
            env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        )

    def ask(self, *words: object) -> dict[str, Any] | None:
        """Has it do something, and waits for the answer; None if it has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            print(*words, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            return None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def measure(system: str, options: Options) -> dict:
    """Lets the workers of a system take turns."""
    workers = {way: Worker(words, system, options.dtype) for way, words in WAYS.items()}
    ready = {way: worker.ask("prepare") for way, worker in workers.items()}
    working = {way: worker for way, worker in workers.items() if ready[way]}
    turns: dict[str, list[float]] = {way: [] for way in working}
    products: list[float] = []
    for _ in range(options.rounds):
        for way, worker in working.items():
            time.sleep(0.3)  # until the threads of the one before sleep
            answer = worker.ask("train", options.seconds)
            assert answer is not None, f"{way} of {system} has ended"
            turns[way].append(answer["seconds_per_step"])
            time.sleep(0.3)
            answer = worker.ask("multiply", options.seconds / 6)
            assert answer is not None
            products.append(answer["flops_per_second"])
    for worker in workers.values():
        worker.close()
    told = ready["jaxgan"]
    assert told is not None, "jaxgan's worker has ended"
    return {"turns": turns, "products": products} | told


def summarize(system: str, found: dict) -> str:
    """One line of the table: medians, and of jaxgan also the least and the most."""
    medians = {way: statistics.median(turns) for way, turns in found["turns"].items()}
    own = found["turns"]["jaxgan"]
    peers = {way: median for way, median in medians.items() if way != "jaxgan"}
    # The ratio is taken round by round, so that both had the same machine.
    ratios = [
        min(of) / mine for mine, *of in zip(own, *(found["turns"][p] for p in peers), strict=True)
    ]
    peak = statistics.median(sorted(found["products"])[-max(1, len(found["products"]) // 4) :])
    rate = found["flops_per_step"] / medians["jaxgan"]
    cells = [
        system,
        f"{1e3 * medians['jaxgan']:.3g} ({1e3 * min(own):.3g} to {1e3 * max(own):.3g})",
        *(f"{1e3 * peers[way]:.3g}" if way in peers else "did not run" for way in list(WAYS)[1:]),
        f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{rate / 1e9:.3g}",
        f"{100 * rate / peak:.0f}% of {peak / 1e9:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main(options: Options) -> None:
    packages = ("jaxgan", "jax", "jaxlib", "flax", "torch", "numpy")
    about = {
        "date": date.today().isoformat(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "options": {
            "dtype": options.dtype,
            "rounds": options.rounds,
            "seconds": options.seconds,
        },
    }
    print(json.dumps(about))
    titles = ["system", "jaxgan, ms a step", "eager, ms", "compiled, ms", "times as fast"]
    titles += ["GFLOP/s", "share of the matrix product's"]
    print("| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles))
    figures = {}
    for system in options.systems:
        figures[system] = measure(system, options)
        print(summarize(system, figures[system]), flush=True)
        options.out.write_text(json.dumps({"about": about, "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
