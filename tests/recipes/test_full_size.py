"""A few steps of each published recipe, as `benchmarks/full_size.py` measures it."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_systems import make_recipe

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from full_size import KEY, SPECS, prepare, with_batch  # noqa: E402  (found through the line above)

# The published batches, of 64 to 512, take minutes a step on a CPU (docs/performance.md).
BATCH = 8


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_three_steps_at_full_size_move_both_players_to_finite_numbers(name):
    step, draw, batch = prepare(with_batch(make_recipe(name), BATCH), SPECS[name])
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
