"""Times the metrics of an evaluation, beside those of another checkout that takes turns.

    python benchmarks/metrics.py --before ../jaxgan-before

Of 10,000 training digits as samples and 10,000 others as reference, each metric by itself on
features that are there already; the median of the rounds after a first one, which compiles. On a
busy machine, compare processor time, of all threads together.
"""

import argparse
import gzip
import os
import statistics
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

NUM = 10_000
NAMES = ("features", "frechet", "kernel", "prdc", "swd", "ms_ssim")


def work() -> None:
    """Measures what it reads the names of, and writes the seconds."""
    import jax
    import numpy as np

    from jaxgan import metrics
    from jaxgan.devices import startup
    from jaxgan.features import digits, extract

    startup.compile_small_loops_whole()
    packed = (files("jaxgan.data.mnist") / "train-images-idx3-ubyte.gz").read_bytes()
    images = np.frombuffer(gzip.decompress(packed), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    real, fake = images[:NUM], images[NUM : 2 * NUM]
    a, b = (extract(digits.load(), x) for x in (real, fake))
    x, y, key = real.astype(np.float32), fake.astype(np.float32), jax.random.key(0)
    measure = {
        "features": lambda: extract(digits.load(), fake),
        "frechet": lambda: metrics.frechet_distance(a, b),
        "kernel": lambda: metrics.kernel_distance(a, b, key),
        "prdc": lambda: metrics.prdc(a, b),
        "swd": lambda: metrics.pyramid_distances(x, y, key, patches=4, directions=128),
        "ms_ssim": lambda: np.asarray(metrics.pair_similarities(y, key, data_range=255)),
    }
    for line in sys.stdin:
        began, worked = time.perf_counter(), time.process_time()
        measure[line.strip()]()
        print(time.perf_counter() - began, time.process_time() - worked, flush=True)


def start(checkout: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, __file__, "--work"],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def seconds(process: subprocess.Popen, name: str) -> tuple[float, float]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{name}\n")
    process.stdin.flush()
    passed, worked = map(float, process.stdout.readline().split())
    return passed, worked


def main() -> None:
    parser = argparse.ArgumentParser(description="times the metrics of an evaluation")
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--metrics", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work()
    here = Path(__file__).resolve().parent.parent
    checkouts = {"now": here} | ({} if options.before is None else {"before": options.before})
    processes = {name: start(path) for name, path in checkouts.items()}
    for metric in options.metrics:
        turns: dict[str, list[tuple[float, float]]] = {name: [] for name in processes}
        for _ in range(options.rounds + 1):
            for name, process in processes.items():
                turns[name].append(seconds(process, metric))
        told = []
        for name, each in turns.items():
            passed, worked = map(statistics.median, zip(*each[1:], strict=True))
            told.append(f"{name} {passed:.2f} s ({worked:.2f} s of processor time)")
        print(f"{metric}: {', '.join(told)}", flush=True)
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    main()
