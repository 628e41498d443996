"""The check that precedes the 1-0-1-0 GAN: can its discriminator tell patterns from noise?

    python experiments/pattern_1010_discriminator.py [--seed N] [--steps N] [--out FILE]

The discriminator alone learns to answer 1 for real patterns and 0 for four numbers from U(0, 1).
Its squared error starts at 0.25, the cost of always answering 0.5, and falls to 0.06 on average
over the last 1,000 of 10,000 steps (seed 0), within seconds. Draws the loss curve.

The generator is the identity, so that its latents are the noise.

Source: the PyTorch tutorial after T. Rashid, "Make Your First GAN with PyTorch" (2020), chapter 2.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import tyro

import jaxgan
from jaxgan import losses
from jaxgan.keys import stream
from jaxgan.models import sigmoid_mlp
from jaxgan.recipes.pattern_1010 import draw_real
from jaxgan.report import plots
from jaxgan.util.files import write_atomically

# A generator that has nothing to learn: it returns its latents as they are.
IDENTITY = jaxgan.Network(
    init=lambda key, inputs: ({}, {}),
    apply=lambda params, collections, inputs, key, train: (inputs, collections),
)


def train_discriminator(seed: int, steps: int) -> dict[str, jax.Array]:
    """Trains the discriminator alone.

    Args:
        seed: the seed of the first parameters and of all examples.
        steps: the number of steps, each on one real pattern and then on one of noise.

    Returns:
        Metrics `[steps]`: `loss_d_real`, `loss_d_fake`, `score_real` and `score_fake`.
    """
    gan = jaxgan.GAN(
        generator=IDENTITY,
        discriminator=jaxgan.linen(sigmoid_mlp.Discriminator()),
        generator_optimizer=optax.identity(),
        discriminator_optimizer=optax.sgd(0.01),
        loss=losses.from_logits(losses.least_squares),
        inputs=lambda key, n, batch: jax.random.uniform(key, (n, 4)),
    )
    step = jaxgan.make_step(
        jaxgan.chain(
            jaxgan.update_discriminator(gan, on="real"),
            jaxgan.update_discriminator(gan, on="fake"),
        )
    )
    key = jax.random.key(seed)

    @jax.jit
    def run(key):
        real = draw_real(stream(key, "data"), steps)[:, None]
        state = jaxgan.init(gan, stream(key, "init"), {"image": real[0]})
        return jaxgan.run_steps(step, state, {"image": real}, key)[1]

    return run(key)


def main(seed: int = 0, steps: int = 10_000, out: Path = Path("discriminator.png")) -> None:
    """Trains the discriminator of pattern_1010 alone and draws its loss."""
    metrics = train_discriminator(seed, steps)
    loss = (metrics["loss_d_real"] + metrics["loss_d_fake"]) / 2
    records = [{"step": step + 1, "loss_d": float(loss[step])} for step in range(9, steps, 10)]
    write_atomically(out, plots.png(plots.curves(plots.panels(records))))
    print(f"loss {jnp.mean(loss[:100]):.3f} at first, {jnp.mean(loss[-1000:]):.3f} at last: {out}")


if __name__ == "__main__":
    tyro.cli(main)
