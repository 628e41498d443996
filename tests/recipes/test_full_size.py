"""A few steps of each published recipe, as `benchmarks/full_size.py` measures it."""

import runpy
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_systems import make_recipe

KEY = jax.random.key(0)
BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "full_size.py"))
# The published batches, of 64 to 512, take minutes a step on a CPU (docs/performance.md).
BATCH = 8


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARK["SPECS"])
def test_three_steps_at_full_size_move_both_players_to_finite_numbers(name):
    recipe = BENCHMARK["with_batch"](make_recipe(name), BATCH)
    step, draw, batch = BENCHMARK["prepare"](recipe, BENCHMARK["SPECS"][name])
    state = draw(KEY)
    before = jax.device_get((state.generator.params, state.discriminator.params))
    for _ in range(3):
        state, metrics = step(state, batch, KEY)
        assert {"loss_d", "loss_g"} <= metrics.keys()
        assert all(np.isfinite(x) for x in metrics.values())
    after = state.generator.params, state.discriminator.params
    for old, new in zip(before, after, strict=True):
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(new))
        assert not all(jax.tree.leaves(jax.tree.map(np.array_equal, old, new)))
