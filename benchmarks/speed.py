"""Training steps of the five reference systems, in jaxgan and in PyTorch, side by side.

    python benchmarks/speed.py                                    # all of them
    python benchmarks/speed.py --systems mnist_mlp --rounds 10
    python benchmarks/speed.py --dtype bfloat16                   # on a GPU, say
    python benchmarks/speed.py --before ../jaxgan-0.1.0 --peers   # another version, no PyTorch

Each way to train has a process of its own. They take turns of a few seconds, A B C A B C, so that
whatever else the machine does slows all of them; while one works, the others wait. A round also
measures the machine's own rate of multiplying matrices. Prints medians, and writes them with every
single figure as JSON. Needs PyTorch: pip install 'jaxgan[parity]'.

On a machine with other work, compare with `--before` by the processor time of a step, which both
versions spend however often they have to wait (Linux only).

The same on a GPU, where JAX and PyTorch find one: many steps are started before one is waited for,
so that the device is timed.
"""

import importlib.metadata
import json
import math
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
Peer = Literal["eager", "compiled"]


@dataclass(frozen=True)
class Options:
    """Training steps of the five reference systems, in jaxgan and in PyTorch, side by side."""

    systems: tuple[str, ...] = SYSTEMS
    peers: tuple[Peer, ...] = ("eager", "compiled")  # ways of PyTorch's
    before: Path | None = None  # a checkout of another version of jaxgan that takes turns too
    dtype: Literal["float32", "bfloat16"] = "float32"  # that the networks compute in
    rounds: int = 7  # turns of each
    seconds: float = 3.0  # of a turn
    out: Path = Path("speed.json")  # where the figures go


class Worker:
    """A process that trains when it is told to."""

    def __init__(self, script: Path, *words: str):
        self._process = subprocess.Popen(
            [sys.executable, str(script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(  # first the checkout that the script is of
                    [str(script.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
                ),
                "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the workers share a GPU's memory
            },
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

    def processor_seconds(self) -> float:
        """Returns what it has used so far, in all of its threads; NaN where there is no /proc."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        if not stat.exists():
            return math.nan
        fields = stat.read_text().rpartition(")")[2].split()  # the name may contain anything
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def start_workers(system: str, options: Options) -> dict[str, Worker]:
    """Starts a worker for each way to train."""
    words = (system, options.dtype)
    workers = {"jaxgan": Worker(HERE / "jax_worker.py", *words)}
    for peer in options.peers:
        workers[peer] = Worker(HERE / "torch_worker.py", *words, peer)
    if options.before is not None:
        script = options.before.resolve() / "benchmarks" / "jax_worker.py"
        workers["before"] = Worker(script, *words)
    return workers


def measure(system: str, options: Options) -> dict[str, Any]:
    """Lets the workers of a system take turns."""
    workers = start_workers(system, options)
    ready = {way: worker.ask("prepare") for way, worker in workers.items()}
    working = {way: worker for way, worker in workers.items() if ready[way]}
    turns: dict[str, list[float]] = {way: [] for way in working}
    processor: dict[str, list[float]] = {way: [] for way in working}
    products: list[float] = []
    for _ in range(options.rounds):
        for way, worker in working.items():
            time.sleep(0.3)  # until the threads of the one before sleep
            began, used = time.perf_counter(), worker.processor_seconds()
            answer = worker.ask("train", options.seconds)
            assert answer is not None, f"{way} of {system} has ended"
            load = (worker.processor_seconds() - used) / (time.perf_counter() - began)
            turns[way].append(answer["seconds_per_step"])
            processor[way].append(load * answer["seconds_per_step"])
            time.sleep(0.3)
            answer = worker.ask("multiply", options.seconds / 6)
            assert answer is not None
            products.append(answer["flops_per_second"])
    for worker in workers.values():
        worker.close()
    told = ready["jaxgan"]
    assert told is not None, "jaxgan's worker has ended"
    return {"turns": turns, "processor": processor, "products": products} | told


def summarize(system: str, found: dict[str, Any], options: Options) -> str:
    """One line of the table: medians, in brackets the least and the most."""
    turns = found["turns"]
    own = turns["jaxgan"]
    cells = [system, _milliseconds(own)]
    cells += [_milliseconds(turns[peer]) if peer in turns else "-" for peer in options.peers]
    if peers := [turns[peer] for peer in options.peers if peer in turns]:
        cells.append(_times_as_fast(own, [min(times) for times in zip(*peers, strict=True)]))
    if "before" in turns:
        cells += [_milliseconds(turns["before"]), _times_as_fast(own, turns["before"])]
        processor = found["processor"]
        cells.append(_times_as_fast(processor["jaxgan"], processor["before"]))
    # Other work takes from most products, so that the best quarter tells of the machine.
    products = sorted(found["products"])
    peak = statistics.median(products[-max(1, len(products) // 4) :])
    rate = found["flops_per_step"] / statistics.median(own)
    cells += [f"{rate / 1e9:.3g}", f"{100 * rate / peak:.0f}% of {peak / 1e9:.0f}"]
    return "| " + " | ".join(cells) + " |"


def _milliseconds(seconds: list[float]) -> str:
    median, least, most = statistics.median(seconds), min(seconds), max(seconds)
    return f"{1e3 * median:.3g} ({1e3 * least:.3g} to {1e3 * most:.3g})"


def _times_as_fast(own: list[float], other: list[float]) -> str:
    """The ratio, taken round by round, so that both had the same machine."""
    ratios = [theirs / mine for mine, theirs in zip(own, other, strict=True)]
    return f"**{statistics.median(ratios):.3g}** ({min(ratios):.3g} to {max(ratios):.3g})"


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
    titles = ["system", "jaxgan, ms a step", *(f"{peer}, ms" for peer in options.peers)]
    titles += ["times as fast"] if options.peers else []
    if options.before is not None:
        titles += ["before, ms", "times as fast as before", "the same in processor time"]
    titles += ["GFLOP/s", "share of the matrix product's"]
    print("| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles))
    figures = {}
    for system in options.systems:
        figures[system] = measure(system, options)
        print(summarize(system, figures[system], options), flush=True)
        options.out.write_text(json.dumps({"about": about, "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
