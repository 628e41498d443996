"""FreezeD: a trained GAN learns a few new images, with the first layers of D frozen.

    jaxgan train mnist_conv --steps 1000 --out runs/digits
    python experiments/freeze_d.py runs/digits --data folder:photos --frozen Conv_0

The GAN is that of the run, with the losses and updates of its recipe; `--frozen` names layers at
the top of D's parameters. Without it, all of D learns, for comparison. The picture shows ten
latents, a column each: first as the run drew them, then as training goes on.

Source: Mo et al., "Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs" (2020).
"""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import tyro

import jaxgan
from jaxgan import data as sets
from jaxgan import interop, rundir
from jaxgan.recipes import ImageRecipe
from jaxgan.regularizers import freeze
from jaxgan.report import save_grid

ROWS = 5  # of the picture, below that of the run


def main(
    run: tyro.conf.Positional[Path],
    data: str,
    frozen: tuple[str, ...] = (),
    steps: int = 500,
    seed: int = 0,
    out: Path = Path("freeze_d.png"),
) -> jaxgan.GANState:
    """Trains on, prints metrics, and draws how the images change.

    Args:
        run: of the GAN to start from.
        data: the new images: mnist, openmoji, tfds:NAME or folder:PATH; @SPLIT may follow.
        frozen: layers of D that stay as they are.
        steps: how many.
        seed: of the order of the images, and of the latents.
        out: where the picture goes.
    """
    trained = rundir.load(run)
    if not isinstance(trained.recipe, ImageRecipe):
        raise SystemExit(f"{run} is not of images")
    recipe = replace(trained.recipe, data=data, image_size=trained.spec.shape[0])
    optimizer = freeze(trained.gan.discriminator_optimizer, frozen)
    gan = replace(trained.gan, discriminator_optimizer=optimizer)
    update = recipe.update(gan)
    step = jax.jit(jaxgan.make_step(update), donate_argnums=0)

    key, feed = jax.random.key(seed), recipe.feed(seed)
    state = jaxgan.init(gan, key, next(sets.batches(feed, key, 0, 1)), update)
    state = interop.from_arrays(state, interop.to_arrays(trained.state))
    rows = []
    for number, batch in enumerate(sets.batches(feed, key, 0, steps)):
        if number % max(1, steps // ROWS) == 0:
            rows.append(rundir.draw(trained._replace(gan=gan, state=state), 10, key))
        state, metrics = step(state, batch, key)
    print({name: round(float(x), 3) for name, x in metrics.items()})
    rows.append(rundir.draw(trained._replace(gan=gan, state=state), 10, key))
    save_grid(np.concatenate(rows) / 127.5 - 1, out, columns=10)
    return state


if __name__ == "__main__":
    tyro.cli(main)
