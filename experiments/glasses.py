"""How well a CycleGAN, trained without pairs, puts glasses on faces and takes them off.

    jaxgan train cyclegan
    python experiments/glasses.py runs/cyclegan-seed0 [--out faces.png]

It translates the 100 held-out faces both ways. A logistic regression of pixels, trained on the
faces that the run learned from, tells on how many it finds glasses. The data set has each face
without and with glasses, so what taking them off should lead to is known; what is put on is not,
but it has its place. The picture has six rows: faces, with glasses put on, and with the glasses
that they have; faces with glasses, with them taken off, and as they are without.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from jax import Array, lax

from jaxgan.evaluation import translating
from jaxgan.report.pictures import grid, save_png
from jaxgan.rundir import load

BOX = np.s_[:, 4:9, 2:14]  # where faces with and without glasses differ
COLUMNS = 16  # of the picture
DECAY = 1e-3  # of the classifier's weights
ITERATIONS = 200  # of L-BFGS


class Scores(NamedTuple):
    """What is printed; distances are mean L1 of values from -1 to 1."""

    on: float  # share of the faces on which glasses were put that have some
    off: float  # share of those from which they were taken that have none
    removed: float  # distance to the same faces without glasses
    beside: tuple[float, float]  # of those put on and taken off, distance outside their place


def fit(without: np.ndarray, glasses: np.ndarray) -> Array:
    """Trains a logistic regression to tell faces with glasses, uint8 `[N, H, W, C]`."""
    x = features(np.concatenate([without, glasses]))
    y = jnp.repeat(jnp.array([0.0, 1.0]), len(without))

    def loss(weights: Array) -> Array:
        errors = optax.sigmoid_binary_cross_entropy(x @ weights, y)
        return errors.mean() + DECAY * (weights[:-1] ** 2).sum()

    optimizer, evaluate = optax.lbfgs(), optax.value_and_grad_from_state(loss)

    def step(carry, _):
        weights, state = carry
        value, grad = evaluate(weights, state=state)
        updates, state = optimizer.update(
            grad, state, weights, value=value, grad=grad, value_fn=loss
        )
        return (optax.apply_updates(weights, updates), state), None

    start = jnp.zeros(x.shape[1])
    (weights, _), _ = lax.scan(step, (start, optimizer.init(start)), length=ITERATIONS)
    return jnp.asarray(weights)


def features(images: np.ndarray) -> Array:
    """Returns pixels in [-1, 1] and a one, `[N, H * W * C + 1]`."""
    flat = jnp.asarray(images / 127.5 - 1, jnp.float32).reshape(len(images), -1)
    return jnp.pad(flat, ((0, 0), (0, 1)), constant_values=1.0)


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the distances of pixels, `[N, H, W, C]`."""
    return np.abs(one / 127.5 - other / 127.5)


def main(
    run: tyro.conf.Positional[Path], out: Path = Path("faces.png"), data_dir: str | None = None
) -> Scores:
    """Scores a run of `cyclegan` on faces.

    Args:
        run: its directory.
        out: path of the picture.
        data_dir: TFDS's data directory.
    """
    trained = load(run)

    def pairs(split: str) -> tuple[np.ndarray, np.ndarray, translating.Pictures]:
        """Reads faces without and with glasses, and those with them as G takes them."""
        found = translating.read(f"data:faces-pairs@{split}", trained, "a", data_dir=data_dir)
        assert found.truth is not None
        return found.truth, np.asarray((found.images + 1) * 127.5).round().astype(np.uint8), found

    classifier = fit(*pairs("train")[:2])
    faces, glasses, to_take_off = pairs("test")
    to_put_on = to_take_off._replace(images=jnp.asarray(faces / 127.5 - 1, jnp.float32))
    key = jax.random.key(0)
    put_on = translating.translate(trained, to_put_on, key, "b")
    taken_off = translating.translate(trained, to_take_off, key, "a")
    outside = np.ones(faces.shape, bool)
    outside[BOX] = False
    beside = (distance(put_on, faces)[outside].mean(), distance(taken_off, faces)[outside].mean())
    scores = Scores(
        on=float((features(put_on) @ classifier > 0).mean()),
        off=float((features(taken_off) @ classifier < 0).mean()),
        removed=float(distance(taken_off, faces).mean()),
        beside=(float(beside[0]), float(beside[1])),
    )
    real = (float((features(x) @ classifier > 0).mean()) for x in (glasses, faces))
    print("glasses found on {:.0%} of held-out faces with glasses, {:.0%} without".format(*real))
    print(f"glasses put on: found on {scores.on:.0%}, L1 beside them {scores.beside[0]:.4f}")
    print(
        f"glasses taken off: none found on {scores.off:.0%}, L1 to the truth {scores.removed:.4f} "
        f"(nothing done: {distance(glasses, faces).mean():.4f}), beside them {scores.beside[1]:.4f}"
    )
    rows = [faces, put_on, glasses, glasses, taken_off, faces]
    save_png(grid(np.concatenate([x[:COLUMNS] for x in rows]), len(rows), COLUMNS), out)
    return scores


if __name__ == "__main__":
    tyro.cli(main)
