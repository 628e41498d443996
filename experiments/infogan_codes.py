"""The codes of a trained InfoGAN: three pictures, in each of which one code changes along a row.

    jaxgan train mnist_infogan
    python experiments/infogan_codes.py runs/mnist_infogan-seed0 [--out codes.png]

Left, the category changes from column to column, and each row has a latent of its own. In the
others, each row has a category, and a continuous code goes from -2 to 2, beyond the (-1, 1) of
training, as in the figure of the source.

Source: Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing
Generative Adversarial Nets" (2016), figure 2.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax import Array

import jaxgan
from jaxgan.keys import stream
from jaxgan.recipes.mnist_infogan import MnistInfogan
from jaxgan.report import save_grid
from jaxgan.rundir import load
from jaxgan.types import PRNGKey

REACH = 2.0  # of a continuous code to either side
GAP = 2  # columns of pixels between two pictures


def inputs_of(recipe: MnistInfogan, code: int | None, key: PRNGKey) -> tuple[Array, Array, Array]:
    """Makes what G sees for a picture of `categories` rows and columns.

    Args:
        recipe: of the run.
        code: which continuous code changes along a row; None for the category.
        key: of the latents.

    Returns:
        Latents, categories and codes of all images, row by row.
    """
    n = recipe.categories
    row, column = (x.reshape(-1) for x in jnp.indices((n, n)))
    latents = jax.random.normal(stream(key, "latents"), (n, recipe.latent_size))[row]
    codes = jnp.zeros((n * n, recipe.codes))
    if code is None:
        return latents, column, codes
    return latents, row, codes.at[:, code].set(jnp.linspace(-REACH, REACH, n)[column])


def main(
    run: tyro.conf.Positional[Path], seed: int = 0, out: Path = Path("codes.png")
) -> np.ndarray:
    """Draws all codes of a run side by side.

    Args:
        run: directory of a run of `mnist_infogan`.
        seed: of the latents.
        out: path of the PNG.
    """
    trained = load(run)
    recipe, key = trained.recipe, jax.random.key(seed)
    assert isinstance(recipe, MnistInfogan), f"{run} is a run of {recipe.name}"
    n, make = recipe.categories, jax.jit(jaxgan.generate, static_argnums=0)
    pictures = []
    for code in (None, *range(recipe.codes)):
        images = make(trained.gan, trained.state, inputs_of(recipe, code, key))
        _, height, width, channels = images.shape
        rows = images.reshape(n, n, height, width, channels)
        gap = jnp.ones((n * height, GAP, channels))
        pictures += [rows.swapaxes(1, 2).reshape(n * height, n * width, channels), gap]
    whole = np.asarray(jnp.concatenate(pictures[:-1], 1))
    save_grid(whole[None], out, 1)
    return whole


if __name__ == "__main__":
    tyro.cli(main)
