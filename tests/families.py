"""A tiny GAN of every family of generators, with weights of which none is idle."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from tiny_systems import FIELDS, make_recipe

from jaxgan.core.gan import GAN, init
from jaxgan.core.networks import Network, linen
from jaxgan.core.state import TrainState
from jaxgan.recipes.mnist_cgan import MnistCgan
from jaxgan.rundir import Trained
from jaxgan.types import Batch, DataSpec, PRNGKey

BLOCKS = {"batch_size": 4, "generator_widths": (8, 8), "discriminator_widths": (8, 8)}
ATTENTION = BLOCKS | {"latent_size": 4, "generator_attention": (1,)}
STYLES = {"batch_size": 4, "group": 2, "widths": (4, 4), "latent_size": 3, "style_size": 3}
GROUPS = {"batch_size": 4, "widths": (4, 4), "group_size": 4, "latent_size": 3}
CODES = {"latent_size": 3, "generator_width": 8, "generator_channels": (4, 3)}
TOKENS = {"batch_size": 4, "latent_size": 3, "width": 8, "heads": 2, "patch": 4, "code_size": 4}
FACES = {"generator_width": 2, "discriminator_width": 2, "discriminator_layers": 1}


class Family(NamedTuple):
    """A recipe with few units, and what its examples look like."""

    shape: tuple[int, ...]
    fields: Mapping[str, Any]
    classes: int | None = None
    source: tuple[int, ...] | None = None


FAMILIES = {
    "pattern_1010": Family((4,), FIELDS["pattern_1010"]),
    "gaussians_ring8": Family((2,), FIELDS["gaussians_ring8"]),  # maxout in D
    "mnist_mlp": Family((4, 4, 1), FIELDS["mnist_mlp"]),
    "mnist_dcgan": Family((8, 8, 1), FIELDS["mnist_dcgan"]),
    "mnist_dcgan_bn": Family((16, 16, 1), FIELDS["mnist_dcgan_bn"]),
    "mnist_cgan": Family((16, 16, 1), CODES, classes=10),  # batch norm by label
    "mnist_infogan": Family((8, 8, 1), CODES),
    "cifar10_sngan": Family((8, 8, 3), BLOCKS),
    "cifar10_projection": Family((8, 8, 3), BLOCKS, classes=10),
    "cifar10_sagan": Family((8, 8, 3), ATTENTION, classes=10),
    "cifar10_biggan": Family((8, 8, 3), ATTENTION, classes=10),
    "mnist_r3gan": Family((8, 8, 1), GROUPS),
    "cifar10_r3gan": Family((8, 8, 3), GROUPS | {"in_bfloat16": 1}, classes=10),
    "mnist_stylegan2": Family((8, 8, 1), STYLES),
    "cifar10_stylegan2": Family((8, 8, 3), STYLES, classes=10),
    "mnist_gat": Family((8, 8, 1), TOKENS | {"representation_weight": 0.0}, classes=10),
    "pix2pix": Family((16, 16, 3), FACES | {"data": "faces-pairs"}, source=(16, 16, 3)),
    "cyclegan": Family((16, 16, 3), FACES | {"blocks": 1}, source=(16, 16, 3)),
}


def tiny(name: str, family: Family | None = None) -> Trained:
    """A GAN whose weights and statistics are all at work, as training leaves them."""
    shape, fields, classes, source = family or FAMILIES[name]
    recipe, spec = make_recipe(name, **fields), DataSpec(shape, classes, source)
    gan = recipe.gan(spec)
    n = recipe.examples_per_step
    batch = {"image": jax.ShapeDtypeStruct((n, *shape), jnp.float32)}
    if classes is not None:
        batch["label"] = jax.ShapeDtypeStruct((n,), jnp.int32)
    if source is not None:
        batch["source"] = jax.ShapeDtypeStruct((n, *source), jnp.float32)
    update = recipe.update(gan)
    like = jax.eval_shape(lambda key: init(gan, key, batch, update), jax.random.key(0))
    rng = np.random.default_rng(0)

    def draw(path: Any, x: jax.ShapeDtypeStruct) -> jax.Array:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return jnp.zeros(x.shape, x.dtype)
        if x.ndim < 2:  # biases and scales, and variances, which are above 0
            return jnp.asarray(rng.uniform(0.2, 1, x.shape), x.dtype)
        # StyleGAN2 divides those of its mapping by 100.
        scale = 100 if "mapping" in jax.tree_util.keystr(path) else 1
        deviation = scale / np.sqrt(x.size / x.shape[-1])
        return jnp.asarray(rng.normal(0, deviation, x.shape), x.dtype)

    return Trained(recipe, spec, gan, jax.tree.map_with_path(draw, like))


def beside(trained: Trained) -> Trained:
    """The same GAN, but for a G that returns a dictionary, in which its recipe finds the images."""

    def apply(*args: Any) -> Any:
        made, collections = trained.gan.generator.apply(*args)
        return {"made": made, "bright": made.mean((1, 2, 3))}, collections

    kind: Any = type(trained.recipe)

    class Beside(kind):
        name = f"{trained.recipe.name}_beside"

        def example(self, made: Any) -> Any:
            return made["made"]

    def view(example: Any, batch: Any, key: Any, state: Any) -> Any:
        seen = example["made"] if isinstance(example, dict) else example
        return trained.gan.view(seen, batch, key, state)

    gan = replace(trained.gan, generator=Network(trained.gan.generator.init, apply), view=view)
    return trained._replace(recipe=Beside(**asdict(trained.recipe)), gan=gan)


class OneHot(nn.Module):
    """A conditional G of pictures of 16 x 16 pixels that knows nothing of weights of classes."""

    @nn.compact
    def __call__(self, latents: jax.Array, weights: jax.Array, train: bool) -> jax.Array:
        """Makes pictures of latents `[B, Z]` and one-hot labels `[B, K]`."""
        x = jnp.concatenate([latents, weights], 1)
        return nn.tanh(nn.Dense(16 * 16)(x)).reshape(-1, 16, 16, 1)


@dataclass(frozen=True, kw_only=True)
class OneHotLabels(MnistCgan):
    """A GAN whose G is given labels as one-hot vectors, made by `jax.nn.one_hot`."""

    name: ClassVar[str] = "one_hot_labels"

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN."""

        def inputs(key: PRNGKey, n: int, batch: Batch) -> tuple[jax.Array, jax.Array]:
            return jax.random.normal(key, (n, 3)), jax.nn.one_hot(batch["label"], 10)

        return replace(super().gan(spec), generator=linen(OneHot()), inputs=inputs)


def one_hot_labels() -> Trained:
    """A GAN with one-hot labels whose G has weights."""
    trained = tiny("mnist_cgan")
    recipe = OneHotLabels(**asdict(trained.recipe))
    gan = recipe.gan(trained.spec)
    inputs = gan.inputs(jax.random.key(0), 1, {"label": jnp.zeros(1, jnp.int32)})
    params, collections = gan.generator.init(jax.random.key(1), inputs)
    generator = TrainState(params, collections, ())
    extra = {name: x for name, x in trained.state.extra.items() if name != "average"}
    state = trained.state.replace(generator=generator, extra=extra)
    return trained._replace(recipe=recipe, gan=gan, state=state)
