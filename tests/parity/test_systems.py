"""Twenty-five iterations of every system, in jaxgan and in PyTorch, compared after each."""

from collections import defaultdict

import jax
import numpy as np
import pytest
from pair import Difference, Pair
from systems import SYSTEMS

ITERATIONS = 25


def train(pair: Pair) -> dict[str, list[Difference]]:
    """Trains and compares; the worst difference after each iteration, by kind."""
    history = defaultdict(list)
    for _ in range(ITERATIONS):
        differences = pair.train()
        for kind in {d.kind for d in differences}:
            worst = max((d for d in differences if d.kind == kind), key=lambda d: d.relative)
            history[kind].append(worst)
    history["output"] = [max(pair.outputs(), key=lambda d: d.relative)]
    print(f"\n{pair.name} in {np.dtype(pair.dtype).name}, largest relative differences")
    for kind, worst in sorted(history.items()):
        drift = " ".join(f"{d.relative:.0e}" for d in worst)
        print(f"  {kind:9} {max(d.relative for d in worst):.1e} ({worst[-1].name} last): {drift}")
    return history


@pytest.mark.parametrize("name", SYSTEMS)
def test_float64(name):
    with jax.enable_x64(True):
        history = train(Pair(name, np.float64))
    silent = history.pop("silent", [])


@pytest.mark.parametrize("name", SYSTEMS)
def test_float32(name):
    history = train(Pair(name, np.float32))
