"""A conditional GAN on MNIST: labels, a projection discriminator, spectral norm.

    python experiments/conditional.py [--steps 3000] [--out conditional.png]

Labels reach G as part of its inputs, and D as part of what it is shown. The picture has a row for
each class and the same latents in each column.

Expect digits of the class of their row, slant and stroke alike within a column. The whole run takes
a minute on an NVIDIA H100, beside six others.

Sources: Miyato and Koyama, "cGANs with Projection Discriminator" (2018), equation 3 and G's
conditional batch norm; Miyato et al., "Spectral Normalization for Generative Adversarial Networks"
(2018); the hinge loss of both. The networks are small ones of our own.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import tyro
from flax import linen as nn
from jax import Array

import jaxgan
from jaxgan import axes, data, latents, losses
from jaxgan.keys import stream
from jaxgan.report import save_grid

CLASSES = 10
LATENT = 64


class Generator(nn.Module):
    """A dense layer and two transposed convolutions; the label scales and shifts all between."""

    @nn.compact
    def __call__(self, latent: Array, label: Array, train: bool) -> Array:
        """Maps latents `[B, Z]` and labels `[B]` to images `[B, 28, 28, 1]`."""
        x = nn.Dense(7 * 7 * 64)(latent).reshape(-1, 7, 7, 64)
        x = nn.ConvTranspose(32, (4, 4), (2, 2))(self.norm(x, label, train))
        return jnp.tanh(nn.ConvTranspose(1, (4, 4), (2, 2))(self.norm(x, label, train)))

    def norm(self, x: Array, label: Array, train: bool) -> Array:
        """Conditional batch norm, then a ReLU."""
        norm = nn.BatchNorm(not train, use_scale=False, use_bias=False, axis_name=axes.axis_name())
        ones = nn.initializers.ones
        scale = nn.Embed(CLASSES, x.shape[-1], embedding_init=ones)(label)[:, None, None]
        shift = nn.Embed(CLASSES, x.shape[-1], embedding_init=nn.initializers.zeros)(label)
        return nn.relu(norm(x) * scale + shift[:, None, None])


class Discriminator(nn.Module):
    """Convolutions, a score of what they found, and its product with the label's vector."""

    @nn.compact
    def __call__(self, image: Array, label: Array, train: bool) -> Array:
        """Maps images `[B, 28, 28, 1]` and labels `[B]` to scores `[B]`."""

        def normalized(layer: nn.Module, x: Array) -> Array:
            return nn.SpectralNorm(layer)(x, update_stats=train)

        x = image
        for channels in (32, 64):
            x = nn.leaky_relu(normalized(nn.Conv(channels, (4, 4), (2, 2)), x), 0.1)
        x = nn.relu(normalized(nn.Dense(128), x.reshape(len(x), -1)))
        projection = (x * normalized(nn.Embed(CLASSES, 128), label)).sum(1)
        return normalized(nn.Dense(1), x)[:, 0] + projection


def system() -> jaxgan.GAN:
    """Makes the GAN."""
    normal = latents.normal(LATENT)
    return jaxgan.GAN(
        generator=jaxgan.linen(Generator()),
        discriminator=jaxgan.linen(Discriminator()),
        generator_optimizer=optax.adam(1e-3, b1=0.5),
        discriminator_optimizer=optax.adam(1e-3, b1=0.5),
        loss=losses.hinge,
        inputs=lambda key, n, batch: (normal(key, n), batch["label"]),
        view=lambda example, batch, key, state: (example, batch["label"]),
    )


def main(
    steps: int = 3000, batch_size: int = 64, seed: int = 0, out: Path = Path("conditional.png")
) -> jaxgan.GANState:
    """Trains, prints metrics and draws ten digits of each class."""
    gan = system()
    update = jaxgan.chain(jaxgan.update_both(gan), jaxgan.update_average(jaxgan.half_life(100.0)))
    step = jax.jit(jaxgan.make_step(update), donate_argnums=0)
    key = jax.random.key(seed)
    feed = data.load("mnist", batch_size=batch_size, seed=seed)
    batches = data.batches(feed, key, 0, steps)
    state = jaxgan.init(gan, stream(key, "init"), next(data.batches(feed, key, 0, 1)), update)
    for number, batch in enumerate(batches, start=1):
        state, metrics = step(state, batch, key)
        if number % 100 == 0 or number == steps:
            print(f"step {number}:", {name: round(float(x), 3) for name, x in metrics.items()})
    latent = latents.normal(LATENT)(stream(key, "sample"), 10)
    inputs = (jnp.tile(latent, (CLASSES, 1)), jnp.arange(CLASSES).repeat(10))
    save_grid(jaxgan.generate(gan, state, inputs), out, columns=10)
    return state


if __name__ == "__main__":
    tyro.cli(main)
