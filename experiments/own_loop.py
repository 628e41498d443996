"""A training loop of one's own: data, step, checkpoint and picture, and no runner.

    python experiments/own_loop.py [--steps 4000] [--out own_loop.png] [--saved own_loop]

Saves the state ten times on the way. Stop it and start it again: it goes on from the newest
checkpoint to the same numbers. The picture has a row for each checkpoint, of the same latents.

Expect noise in the first row, strokes from the second on and digits in the last. The whole run
takes 5 minutes of processor time (2 cores of an AMD EPYC, AVX2, shared).

The networks are small ones of the kind that `jaxgan train mnist_dcgan` trains.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import tyro

import jaxgan
from jaxgan import data, latents, losses
from jaxgan.keys import stream
from jaxgan.models import dcgan
from jaxgan.report import save_grid
from jaxgan.rundir import Checkpoints

ROWS = 10  # of the picture


def main(
    steps: int = 4000,
    batch_size: int = 64,
    seed: int = 0,
    out: Path = Path("own_loop.png"),
    saved: Path = Path("own_loop"),
) -> jaxgan.GANState:
    """Trains, or goes on; prints metrics and draws ten digits of each checkpoint."""
    gan = jaxgan.GAN(
        generator=jaxgan.linen(dcgan.Generator((28, 28, 1), channels=(64, 32, 16))),
        discriminator=jaxgan.linen(dcgan.Discriminator(channels=(32, 64), dropout=0.0)),
        generator_optimizer=optax.adam(5e-4, b1=0.5),
        discriminator_optimizer=optax.adam(5e-4, b1=0.5),
        loss=losses.non_saturating,
        inputs=latents.normal(64),
    )
    update = jaxgan.chain(jaxgan.update_both(gan), jaxgan.update_average(jaxgan.half_life(100.0)))
    step = jax.jit(jaxgan.make_step(update), donate_argnums=0)
    key = jax.random.key(seed)
    feed = data.load("mnist", batch_size=batch_size, seed=seed)
    state = jaxgan.init(gan, stream(key, "init"), next(data.batches(feed, key, 0, 1)), update)
    draw = jax.jit(lambda state: jaxgan.sample(gan, state, stream(key, "sample"), 10))
    with Checkpoints(saved, like=state, keep=list) as checkpoints:  # keeps them all
        if checkpoints.steps():
            state = checkpoints.restore()
        first = int(state.step)
        for number, batch in enumerate(data.batches(feed, key, first, steps), first + 1):
            state, metrics = step(state, batch, key)
            if number % max(1, steps // ROWS) == 0:
                checkpoints.save(state)
                shown = {name: round(float(value), 3) for name, value in metrics.items()}
                print(f"step {number}: {shown}")
        checkpoints.wait()
        images = [draw(checkpoints.restore(number)) for number in checkpoints.steps()]
    save_grid(jnp.concatenate(images), out, columns=10)
    return state


if __name__ == "__main__":
    tyro.cli(main)
