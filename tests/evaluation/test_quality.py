"""A quality gate: the Frechet distance after a short run must lie within measured bounds.

Measured by `python tests/evaluation/test_quality.py 0 3`, after 1, 500, 1000 and 2000 steps:

    seed 0: 94.5 77.5 78.1 60.2
    seed 1: 94.5 76.5 74.6 59.1
    seed 2: 94.5 77.6 80.3 59.4

With the sign of G's loss flipped: 172, 172, 174 after 500, 1000 and 2000 steps.
"""

import sys

import jax
import numpy as np
import pytest

from jaxgan import data, init, make_step, sample
from jaxgan.features import digits, extract
from jaxgan.keys import from_seed, stream
from jaxgan.metrics import frechet_distance
from jaxgan.recipes.mnist_mlp import MnistMlp
from jaxgan.types import DataSpec

RECIPE = MnistMlp(
    data="mnist@train[:8000]",
    batch_size=32,
    generator_widths=(128, 256),
    discriminator_widths=(128,),
    learning_rate=1e-3,
)
STEPS = 2000
SAMPLES = 2000


def distances(seed: int, steps: list[int], data_dir: str | None = None) -> list[float]:
    """Trains, and returns the Frechet distance of digit features after some numbers of steps."""
    feed = RECIPE.feed(seed, data_dir)
    gan = RECIPE.gan(DataSpec(feed.shape, feed.classes))
    one_step = make_step(RECIPE.update(gan))

    def step(state, row, arrays, key):
        return one_step(state, feed.batch(arrays, row, key), key)[0]

    key = from_seed(seed)
    rows = feed.rows(0, steps[-1])
    example = feed.batch(feed.arrays, rows[0], key)
    state = init(gan, stream(key, "init"), example, RECIPE.update(gan))
    step = jax.jit(step, donate_argnums=0)
    draw = jax.jit(lambda state: sample(gan, state, stream(key, "samples"), SAMPLES))
    real = extract(digits.load(), np.asarray(feed.arrays["image"])[-SAMPLES:])
    found = []
    for index, row in enumerate(rows, 1):
        state = step(state, row, feed.arrays, key)
        if index in steps:
            images = np.asarray(data.unscale(draw(state), *RECIPE.value_range))
            found.append(frechet_distance(real, extract(digits.load(), images)))
    return found


@pytest.mark.slow
def test_a_short_run_comes_as_close_to_digits_as_measured(whole_mnist_dir):
    (distance,) = distances(0, [STEPS], whole_mnist_dir)
    assert 52 < distance < 68


if __name__ == "__main__":
    for seed in range(*map(int, sys.argv[1:3])):
        print(seed, distances(seed, [1, 500, 1000, STEPS]), flush=True)
