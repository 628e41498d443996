"""How many modes of a mixture of Gaussians a GAN finds, by method, over many seeds.

    python experiments/mode_coverage.py                                      # all of it
    python experiments/mode_coverage.py --sets grid --methods plain packing4 --seeds 8

Trains the recipes gaussians_ring8 and gaussians_grid25 with the losses, penalties and packing of
several papers, all seeds of a method as one population, and prints mean and standard deviation over
the seeds beside the figures of the PacGAN paper. Writes every single figure as JSON.

Protocol: 2,500 points of each trained generator. A point is of high quality if it lies within three
deviations of the middle of the nearest mode; a mode is found if it is the nearest of such a point.
Found modes alone say little where the quality is low: points all over the square find every mode of
the grid, and 2% of them are of high quality.

This is not the paper's training. It takes 400,000 steps of four layers of 400 units and three of
200 with 5 pieces, on batches of 100; here, to have 32 seeds in minutes, both networks have three
layers of 64 units (2 pieces in D), batches are of 32, and the learning rate falls linearly to zero
over 10,000 steps (ring) or 30,000 (grid). r3gan_resnet has residual networks of its own without
batch norm, batches of 128, R1 and R2 that fade as the learning rate does, and a moving average of
G; in r3gan_fourier G is twice as wide, and D half as wide but sees Fourier features of the points.

Source of the published figures: Lin et al., "PacGAN: The Power of Two Samples in Generative
Adversarial Networks" (2018), table 1.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import linen as nn
from jax import Array, lax

import jaxgan
from jaxgan import GAN, Update, losses, penalties, population, terms
from jaxgan.data import Drawn
from jaxgan.keys import stream
from jaxgan.metrics.modes import Coverage
from jaxgan.nn.spectral import SpectralNorm
from jaxgan.penalties import Penalty
from jaxgan.recipes.gaussians import Gaussians, mixture
from jaxgan.recipes.gaussians_grid25 import GaussiansGrid25
from jaxgan.recipes.gaussians_ring8 import GaussiansRing8
from jaxgan.regularizers import track_scores
from jaxgan.schedules import cosine
from jaxgan.types import DataSpec
from jaxgan.util.files import write_atomically

POINTS = 2500
FAR = 1e6
SETS = {"ring": (GaussiansRing8, 10_000), "grid": (GaussiansGrid25, 30_000)}  # steps
SMALL: dict[str, Any] = {
    "generator_widths": (64, 64, 64),
    "discriminator_widths": (64, 64, 64),
    "pieces": 2,
    "init_deviation": 0.1,
    "learning_rate": 2e-3,
}
PUBLISHED = {  # modes found, and share of high quality
    ("ring", "plain"): ("6.3", ""),
    ("ring", "packing4"): ("7.8", ""),
    ("grid", "plain"): ("17.3", "94.8"),
    ("grid", "packing4"): ("24.8", "93.6"),
}


@dataclass(frozen=True)
class Options:
    """Compares methods by the modes that they find."""

    sets: tuple[str, ...] = tuple(SETS)
    methods: tuple[str, ...] = (
        *("plain", "packing2", "packing3", "packing4"),
        *("least_squares", "hinge", "spectral_norm", "ragan", "lecam"),
        *("wgan_gp", "r3gan", "r3gan_resnet", "r3gan_fourier"),
    )
    seeds: int = 32  # GANs of each method
    first_seed: int = 0
    batch_size: int = 32  # packs of points in an update
    steps: int | None = None  # of D; as in SETS if not given
    out: Path = Path("mode_coverage.json")  # where every single figure goes


class Residual(nn.Module):
    """R3GAN's design for points: residual blocks that begin as identities, no normalization."""

    outputs: int  # 1 for scores
    width: int = 64
    blocks: int = 3

    @nn.compact
    def __call__(self, inputs: Array, train: bool) -> Array:
        """Maps vectors `[B, N]` to vectors `[B, outputs]`, or to scores `[B]`."""
        x = nn.Dense(self.width)(inputs)
        for _ in range(self.blocks):
            y = nn.Dense(self.width)(nn.leaky_relu(x, 0.2))
            x += nn.Dense(self.width, kernel_init=nn.initializers.zeros)(nn.leaky_relu(y, 0.2))
        x = nn.Dense(self.outputs)(nn.leaky_relu(x, 0.2))
        return x[:, 0] if self.outputs == 1 else x


class Fourier(nn.Module):
    """A network that also sees random sines and cosines of its inputs, so that it tells details.

    Source: Tancik et al., "Fourier Features Let Networks Learn High Frequency Functions in Low
    Dimensional Domains" (2020).
    """

    network: nn.Module
    frequency: float  # standard deviation of the frequencies
    waves: int = 32

    @nn.compact
    def __call__(self, inputs: Array, train: bool) -> Array:
        """Maps vectors `[B, N]` to what the network makes of `[B, N + 2 * waves]`."""
        draw = nn.initializers.normal(self.frequency)
        frequencies = self.param("frequencies", draw, (inputs.shape[1], self.waves))
        phases = inputs @ lax.stop_gradient(frequencies)
        seen = jnp.concatenate([inputs, jnp.sin(phases), jnp.cos(phases)], axis=1)
        return self.network(seen, train)


class Spectral(nn.Module):
    """A discriminator of dense layers with spectral normalization."""

    width: int = 64
    layers: int = 3

    @nn.compact
    def __call__(self, points: Array, train: bool) -> Array:
        """Maps points `[B, 2]` to scores `[B]`."""
        x = points
        for _ in range(self.layers):
            x = nn.leaky_relu(SpectralNorm(nn.Dense(self.width), train)(x), 0.2)
        return SpectralNorm(nn.Dense(1), train)(x)[:, 0]


def alternate(gan: GAN, steps: int, times: int = 1) -> Update:
    """D's steps, each on a batch of its own, and then one of G."""
    return jaxgan.chain(
        jaxgan.repeat(jaxgan.update_discriminator(gan), times),
        jaxgan.on_part(jaxgan.update_generator(gan), 0, times),
    )


class Method(NamedTuple):
    """What one trains with: changes of a recipe, and of its GAN."""

    parts: Mapping[str, Any] = {}  # of the GAN
    fields: Mapping[str, Any] = {}  # of the recipe
    update: Callable[[GAN, int], Update] = alternate  # of the GAN and the number of steps
    critic_steps: int = 1  # that an update makes


def methods(scale: float) -> dict[str, Method]:
    """The methods, for points as far from the middle as `scale`.

    R1 and R2 are squares of a score by a length, so their weight goes with the square of the scale.
    Weights, beta1, the networks' sizes, batch size and learning rate were chosen among two to four
    values each, by 4 or 8 seeds from 1000 on; those of r3gan_resnet and r3gan_fourier by 1 to 8.
    """

    def steepness(weight: Any) -> Penalty:
        weight *= scale**2
        return penalties.total(penalties.r1(weight), penalties.r2(weight))

    def lecam(play: jaxgan.Play) -> Array:
        averages = play.state.extra["scores"]
        return 0.3 * terms.lecam(play.real_outputs, play.fake_outputs, **averages)

    def annealed(gan: GAN, steps: int, first: float, last: float = 1e-5) -> Update:
        weight = cosine(first, last, steps)

        def penalized(step: Array) -> Update:
            return jaxgan.update_both(replace(gan, penalty=steepness(weight(step))))

        return jaxgan.chain(jaxgan.scheduled(penalized), jaxgan.update_average(0.995))

    resnet = Method(
        {
            "loss": losses.relativistic,
            "generator": jaxgan.linen(Residual(2)),
            "discriminator": jaxgan.linen(Residual(1)),
        },
        {"batch_size": 128, "learning_rate": 3e-3, "beta1": 0.0, "beta2": 0.99},
        partial(annealed, first=1e-2),
    )
    fourier = Method(
        {
            **resnet.parts,
            "generator": jaxgan.linen(Residual(2, 128)),
            "discriminator": jaxgan.linen(Fourier(Residual(1, 32), 3 / scale)),
        },
        {**resnet.fields, "beta1": 0.5},
        partial(annealed, first=2.5e-2, last=1e-4),
    )

    return {
        "plain": Method(),
        "packing2": Method(fields={"packing": 2}),
        "packing3": Method(fields={"packing": 3}),
        "packing4": Method(fields={"packing": 4}),
        "least_squares": Method({"loss": losses.least_squares}),
        "hinge": Method({"loss": losses.hinge}),
        "spectral_norm": Method(
            {"loss": losses.hinge, "discriminator": jaxgan.linen(Spectral())}, {"beta1": 0.5}
        ),
        "ragan": Method({"loss": losses.relativistic_average(losses.non_saturating)}),
        "lecam": Method(
            {"discriminator_terms": lecam},
            update=lambda gan, steps: track_scores(alternate(gan, steps)),
        ),
        "wgan_gp": Method(
            {"loss": losses.wasserstein, "penalty": penalties.gradient_penalty(0.1)},
            {"beta1": 0.5},
            partial(alternate, times=5),
            critic_steps=5,
        ),
        "r3gan": Method({"loss": losses.relativistic, "penalty": steepness(0.01)}, {"beta1": 0.5}),
        "r3gan_resnet": resnet,
        "r3gan_fourier": fourier,
    }


def train(recipe: Gaussians, method: Method, seeds: Array, steps: int) -> Array:
    """Trains one GAN for each seed, all in one program.

    Args:
        recipe: what to learn, and with which networks.
        method: how.
        seeds: `[M]`.
        steps: of D; where it takes several for one of G, G takes so many less.

    Returns:
        Points of the trained generators, `[M, POINTS, 2]`.
    """

    def adam(steps: int) -> optax.GradientTransformation:
        rate = optax.linear_schedule(recipe.learning_rate, 0.0, steps)
        return optax.adam(rate, recipe.beta1, recipe.beta2)

    times = method.critic_steps
    gan = replace(
        recipe.gan(DataSpec((2,))),
        generator_optimizer=adam(steps // times),
        discriminator_optimizer=adam(steps),
        **method.parts,
    )
    update = method.update(gan, steps)
    feed = Drawn(mixture(recipe.means, recipe.deviation), (2,), times * recipe.examples_per_step)
    step_on_batches = population.make_step(lambda: update)
    keys = jax.vmap(jax.random.key)(seeds)

    def step(states, index, keys):
        data = jax.vmap(lambda key: jax.random.fold_in(stream(key, "data"), index))(keys)
        return step_on_batches(states, jax.vmap(partial(feed.batch, (), ()))(data), keys)

    @jax.jit
    def run(keys):
        example = {"image": jnp.zeros((recipe.batch_size, 2))}
        first = jax.vmap(lambda key: stream(key, "init"))(keys)
        states = population.init(gan, first, example, update)
        states, _ = jaxgan.run_steps(step, states, jnp.arange(steps // times), keys)
        keys = jax.vmap(lambda key: stream(key, "sample"))(keys)
        return jax.vmap(lambda state, key: jaxgan.sample(gan, state, key, POINTS))(states, keys)

    return run(keys)


def row(name: str, method: str, found: list[Coverage], seconds: float) -> str:
    """One line of the table."""
    cells = [f"{name}, {method}"]
    numbers = np.array(found) * (1, 100, 1)
    for mean, deviation, digits in zip(numbers.mean(0), numbers.std(0), (1, 1, 2), strict=True):
        cells.append(f"{mean:.{digits}f} ± {deviation:.{digits}f}")
    modes, share = PUBLISHED.get((name, method), ("", ""))
    return "| " + " | ".join([*cells, modes, share, f"{seconds:.0f}"]) + " |"


def main(options: Options) -> None:
    """Trains, judges, prints a line of each method, and writes the figures down."""
    unknown = (set(options.sets) - set(SETS)) | (set(options.methods) - set(methods(1.0)))
    if unknown:
        known = f"{', '.join(SETS)}; {', '.join(methods(1.0))}"
        raise SystemExit(f"no {', '.join(sorted(unknown))}: choose from {known}")
    seeds = jnp.arange(options.first_seed, options.first_seed + options.seeds)
    titles = ["set and method", "modes found", "high quality, %", "reverse KL"]
    titles += ["published modes", "published quality, %", "seconds"]
    print("| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles))
    figures: list[dict[str, Any]] = []
    for name in options.sets:
        kind, steps = SETS[name]
        steps = options.steps or steps
        for choice in options.methods:
            method = methods(np.abs(kind.means).max())[choice]
            recipe = kind(**{"batch_size": options.batch_size, **SMALL, **method.fields})
            began = time.perf_counter()
            clouds = np.asarray(train(recipe, method, seeds, steps))
            seconds = time.perf_counter() - began
            # Points of a GAN that diverged are of no mode.
            clouds = np.nan_to_num(clouds, nan=FAR, posinf=FAR, neginf=-FAR)
            found = [recipe.coverage(cloud) for cloud in clouds]
            print(row(name, choice, found, seconds), flush=True)
            columns = dict(zip(Coverage._fields, np.array(found).T.tolist(), strict=True))
            figures.append(
                {"set": name, "method": choice, "steps": steps, "seconds": seconds} | columns
            )
            fields = {"batch_size": options.batch_size, **SMALL}
            about = {"seeds": seeds.tolist(), "points": POINTS, "fields": fields}
            text = json.dumps({"about": about, "figures": figures}, indent=1) + "\n"
            write_atomically(options.out, text.encode())


if __name__ == "__main__":
    main(tyro.cli(Options))
