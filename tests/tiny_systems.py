"""The systems with few units on small pictures, and a GAN of no system at all."""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from jaxgan import latents, losses
from jaxgan.core.gan import GAN, init
from jaxgan.core.networks import linen
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update
from jaxgan.nn.layers import batch_norm
from jaxgan.recipes import Recipe, find_recipe
from jaxgan.types import DataSpec

FIELDS: dict[str, dict[str, Any]] = {
    "gaussians_ring8": {  # gaussians_grid25 differs in its data alone
        "batch_size": 8,
        "generator_widths": (5, 4),
        "discriminator_widths": (4, 3),
        "pieces": 2,
        "init_deviation": 0.5,  # 0.02 would leave scores of few units near 0
    },
    "mnist_conv": {
        "batch_size": 8,
        "latent_size": 3,
        "generator_width": 4,
        "generator_channels": (3, 2),
        "discriminator_channels": (2, 3),
        "discriminator_width": 4,
    },
    "mnist_dcgan": {
        "batch_size": 8,
        "latent_size": 3,
        "generator_channels": (4, 3, 2),
        "discriminator_channels": (2, 3),
    },
    "mnist_dcgan_bn": {
        "batch_size": 4,
        "latent_size": 3,
        "generator_width": 4,
        "generator_channels": (3, 2),
        "discriminator_channels": (1, 2),
        "discriminator_width": 4,
    },
    "mnist_mlp": {
        "batch_size": 8,
        "latent_size": 3,
        "generator_widths": (4, 5),
        "discriminator_widths": (4, 3),
    },
    "pattern_1010": {"batch_size": 4},
}
TINY_GAT: dict[str, Any] = {
    "batch_size": 4,
    "depth": 4,
    "width": 8,
    "heads": 2,
    "patch": 4,
    "latent_size": 3,
    "code_size": 5,
    "representation_weight": 0.0,
}
SHAPES = {
    "gaussians_ring8": (2,),
    "mnist_conv": (16, 16, 1),
    "mnist_dcgan": (8, 8, 1),
    "mnist_dcgan_bn": (16, 16, 1),
    "mnist_mlp": (3, 2, 1),
    "pattern_1010": (4,),
}
NAMES = list(FIELDS)


def make_recipe(name: str, **fields: Any) -> Recipe:
    """A recipe by name, with its defaults where no other values are given."""
    kind: Any = find_recipe(name)
    return kind(**fields)


class System(NamedTuple):
    """A recipe at a tiny size, in float64."""

    recipe: Recipe
    gan: GAN
    update: Update
    state: GANState
    batches: dict[str, jax.Array]  # of three steps


def to_float64(tree):
    """Makes all floating-point leaves float64; within `jax.enable_x64(True)`."""

    def convert(x):
        floating = jnp.issubdtype(x.dtype, jnp.floating)
        return jnp.asarray(np.asarray(x), jnp.float64) if floating else jnp.array(x)

    return jax.tree.map(convert, tree)


@cache
def system(name: str) -> System:
    recipe = make_recipe(name, **FIELDS[name])
    gan = recipe.gan(DataSpec(SHAPES[name]))
    images = np.random.default_rng(0).uniform(-1, 1, (3, recipe.examples_per_step, *SHAPES[name]))
    state = jax.jit(lambda key: init(gan, key, {"image": images[0]}))(jax.random.key(0))
    with jax.enable_x64(True):
        batches = {"image": jnp.asarray(images)}
        return System(recipe, gan, recipe.update(gan), to_float64(state), batches)


class Generator(nn.Module):
    """One hidden layer with batch norm."""

    @nn.compact
    def __call__(self, inputs, train: bool):
        x = nn.Dense(4)(inputs)
        x = jnp.tanh(batch_norm(0.7, 1e-3, train)()(x))
        return nn.Dense(3)(x)


class Discriminator(nn.Module):
    """One hidden layer with batch norm; a logit."""

    @nn.compact
    def __call__(self, inputs, train: bool):
        x = nn.Dense(4)(inputs)
        x = jnp.tanh(batch_norm(0.6, 1e-3, train)()(x))
        return nn.Dense(1)(x)[:, 0]


class Plain(nn.Module):
    """Two dense layers: `[B, n]` to `[B, outputs]`, or to scores `[B]`."""

    outputs: int = 0

    @nn.compact
    def __call__(self, inputs, train: bool):
        x = nn.Dense(max(1, self.outputs))(jnp.tanh(nn.Dense(5)(inputs)))
        return x if self.outputs else x[:, 0]


def small_gan(**changes: Any) -> GAN:
    """A GAN of vectors `[B, 3]` that compiles quickly."""
    fields: dict[str, Any] = {
        "generator": linen(Generator()),
        "discriminator": linen(Discriminator()),
        "generator_optimizer": optax.adam(0.01),
        "discriminator_optimizer": optax.adam(0.02, 0.5),
        "loss": losses.non_saturating,
        "inputs": latents.normal(2),
    }
    return GAN(**fields | changes)
