"""CycleGAN on points: a ring of eight blobs and two moons, each translated into the other.

    python experiments/cyclegan_points.py [--steps 10000] [--out cyclegan.png]

Two generators are one player, two discriminators the other. The discriminators learn from a pool of
earlier fakes, which lives in the state and which an update of its own moves. The picture shows each
set, its translation and its way there and back; colors tell blobs, and places along a moon.

Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks" (2017), equation 3 with lambda 10, least squares and the pool of section 4, from which
half of the fakes come. It holds 50 pictures there, at batches of 1; here 50 batches. One pool of
pairs stands for one of each set: no discriminator sees both halves of a pair.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import tyro
from flax import linen as nn
from jax import Array, lax
from matplotlib.figure import Figure

import jaxgan
from jaxgan import GANState, Update, axes, losses
from jaxgan.keys import stream
from jaxgan.types import Batch, Metrics, PRNGKey

Pool = tuple[Batch, Array]  # fakes of both sets, [P, 2], and how many of them are there


def network(outputs: int, name: str) -> nn.Module:
    """Two hidden layers."""
    layers = [nn.Dense(128), nn.relu, nn.Dense(128), nn.relu, nn.Dense(outputs)]
    return nn.Sequential(layers, name=name)


class Generators(nn.Module):
    """The way from either set of points to the other."""

    @nn.compact
    def __call__(self, a: Array, b: Array, train: bool) -> dict[str, Array]:
        """Translates points `[B, 2]` of both sets, and back again."""
        to_a, to_b = network(2, "to_a"), network(2, "to_b")
        fake_a, fake_b = to_a(b), to_b(a)
        return {"a": fake_a, "b": fake_b, "cycle_a": to_a(fake_b), "cycle_b": to_b(fake_a)}


class Discriminators(nn.Module):
    """A judge of each set."""

    @nn.compact
    def __call__(self, a: Array, b: Array, train: bool) -> dict[str, Array]:
        """Maps points `[B, 2]` to scores `[B]`."""
        return {"a": network(1, "of_a")(a)[:, 0], "b": network(1, "of_b")(b)[:, 0]}


def cycle(play: jaxgan.Play) -> Array:
    """How far points end from where they began, `[B]`."""
    a, b = play.inputs
    back = jnp.abs(play.fake["cycle_a"] - a) + jnp.abs(play.fake["cycle_b"] - b)
    return 10 * back.mean(1)


def update_discriminators(gan: jaxgan.GAN, batches: int = 50) -> Update:
    """Makes the update of D on fakes out of a pool of so many batches."""

    def init(state: GANState, batch: Batch, key: PRNGKey) -> GANState:
        empty = {name: jnp.zeros((batches * len(batch[name]), 2)) for name in "ab"}
        return state.with_extra(pool=(empty, jnp.zeros((), jnp.int32)))

    def apply(state: GANState, batch: Batch, key: PRNGKey) -> tuple[GANState, Metrics]:
        fake = axes.whole(jaxgan.generate(gan, state, (batch["a"], batch["b"])))
        pool, shown = exchange(
            state.extra["pool"], {name: fake[name] for name in "ab"}, stream(key, "pool")
        )
        update = jaxgan.update_discriminator(gan, fake=axes.share(shown))
        state, metrics = update.apply(state, batch, key)
        return state.with_extra(pool=pool), metrics

    return Update(init, apply)


def exchange(pool: Pool, fakes: Batch, key: PRNGKey) -> tuple[Pool, Batch]:
    """Shows each fake, or with probability 1/2 one of the full pool, whose place it takes."""

    def one(pool: Pool, item: tuple[Batch, PRNGKey]) -> tuple[Pool, Batch]:
        (stored, count), (fake, key) = pool, item
        size = len(stored["a"])
        full = count == size
        use_old = full & jax.random.bernoulli(stream(key, "use_old"))
        place = jnp.where(full, jax.random.randint(stream(key, "place"), (), 0, size), count)
        old = {name: points[place] for name, points in stored.items()}
        keep = {name: jnp.where(full & ~use_old, old[name], fake[name]) for name in fake}
        stored = {name: points.at[place].set(keep[name]) for name, points in stored.items()}
        shown = {name: jnp.where(use_old, old[name], fake[name]) for name in fake}
        return (stored, jnp.minimum(count + 1, size)), shown

    return lax.scan(one, pool, (fakes, jax.random.split(key, len(fakes["a"]))))


def system(steps: int) -> tuple[jaxgan.GAN, Update]:
    """Makes the GAN and what one of its `steps` does."""
    adam = optax.adam(optax.linear_schedule(1e-3, 0.0, steps), b1=0.5)
    gan = jaxgan.GAN(
        generator=jaxgan.linen(Generators()),
        discriminator=jaxgan.linen(Discriminators()),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        loss=losses.separable(
            real=lambda scores: (scores["a"] - 1) ** 2 + (scores["b"] - 1) ** 2,
            fake=lambda scores: scores["a"] ** 2 + scores["b"] ** 2,
            generator=lambda scores: (scores["a"] - 1) ** 2 + (scores["b"] - 1) ** 2,
        ),
        inputs=lambda key, n, batch: (batch["a"], batch["b"]),
        real=lambda batch: batch,
        view=lambda example, batch, key, state: (example["a"], example["b"]),
        generator_terms=cycle,
    )
    return gan, jaxgan.chain(update_discriminators(gan), jaxgan.update_generator(gan))


def draw(key: PRNGKey, n: int) -> tuple[Batch, Batch]:
    """Draws n points of each set, which are no pairs, and their colors."""
    blob = jax.random.randint(stream(key, "blob"), (n,), 0, 8)
    along = jax.random.uniform(stream(key, "along"), (n,), minval=-1.0)  # below 0: the lower moon
    side, angle, arc = jnp.sign(along), blob * jnp.pi / 4, jnp.pi * jnp.abs(along)
    ring = jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1)
    moons = jnp.stack([jnp.cos(arc) - side / 2, side * (jnp.sin(arc) - 0.25)], 1)
    noise = 0.05 * jax.random.normal(stream(key, "noise"), (2, n, 2))
    return {"a": ring + noise[0], "b": moons + noise[1]}, {"a": blob, "b": along}


def plot(gan: jaxgan.GAN, state: GANState, key: PRNGKey, out: Path) -> None:
    """Draws points of both sets, where they go, and where they come back to."""
    batch, colors = draw(key, 2000)
    fake = jaxgan.generate(gan, state, (batch["a"], batch["b"]))
    figure = Figure(figsize=(9, 5), layout="constrained")
    rows = figure.subplots(2, 3, sharex=True, sharey=True)
    for row, name, other in zip(rows, "ab", "ba", strict=True):
        points = {name: batch[name], f"{name} to {other}": fake[other]}
        points[f"{name} to {other} to {name}"] = fake[f"cycle_{name}"]
        for ax, (title, cloud) in zip(row, points.items(), strict=True):
            ax.scatter(*cloud.T, s=4, c=colors[name], cmap="hsv")
            ax.set(title=title, aspect="equal")
    figure.savefig(out, dpi=80)


def main(
    steps: int = 10_000, batch_size: int = 128, seed: int = 0, out: Path = Path("cyclegan.png")
) -> GANState:
    """Trains in one program, prints metrics and draws both sets, translated and back."""
    gan, update = system(steps)
    step, key = jaxgan.make_step(update), jax.random.key(seed)

    def drawn(state: GANState, number: Array, key: PRNGKey) -> tuple[GANState, Metrics]:
        batch, _ = draw(stream(jax.random.fold_in(key, number), "data"), batch_size)
        return step(state, batch, key)

    state = jaxgan.init(gan, stream(key, "init"), draw(key, batch_size)[0], update)
    train = jax.jit(lambda state: jaxgan.run_steps(drawn, state, jnp.arange(steps), key))
    state, history = train(state)
    for number in range(0, steps, max(1, steps // 10)):
        print(f"step {number + 1}:", {k: round(float(x[number]), 3) for k, x in history.items()})
    plot(gan, state, stream(key, "sample"), out)
    return state


if __name__ == "__main__":
    tyro.cli(main)
