"""What a GAN is (static), what training moves (arrays), and how to draw images from it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import struct
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxgan.keys import stream
from jaxgan.losses import Loss
from jaxgan.penalties import Penalty
from jaxgan.types import Images, Latents, PRNGKey, PyTree

SAMPLE_BATCH = 128  # images that `sample` makes at a time


@dataclass(frozen=True)
class GAN:
    """The static part of a GAN: everything but its arrays. Close over it; never put it in a state.

    Both modules are called as `module(inputs, train, axis_name)`. They may keep batch statistics
    and draw from a "dropout" key.
    """

    generator: nn.Module  # latents [B, Z] -> images [B, ...]
    discriminator: nn.Module  # images [B, ...] -> scores [B]; packs of them (see `pack`) if packing
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    loss: Loss  # of the scores
    latents: Callable[[PRNGKey, int], Latents]  # draws this many latents, [n, Z]
    average_decay: float | None = None  # of G's moving average; None keeps no average
    sample_in_batches: bool = False  # sampling uses batch statistics, not the running averages
    penalty: Penalty | None = None  # that D pays besides its loss
    packing: int = 1  # examples that D judges at once
    dtype: DTypeLike | None = None  # that the networks compute in; None: that of their parameters
    microbatch: int | None = None  # examples that a network trains on at a time; None: the batch


@no_type_check  # at run time: JAX and Orbax fill trees with all kinds of leaves
class TrainState(struct.PyTreeNode):
    """What training moves of one network. Arrays only, so that equal states have equal trees."""

    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree


@no_type_check  # as above
class GANState(struct.PyTreeNode):
    """What training moves of a GAN."""

    step: Array  # int32 []: training steps done
    generator: TrainState
    discriminator: TrainState
    average: TrainState | None  # moving average of G, without optimizer state


def init(gan: GAN, key: PRNGKey, batch: Mapping[str, Any]) -> GANState:
    """Draws the first state of a GAN.

    Args:
        gan: the GAN.
        key: a typed key.
        batch: an example batch, or its shapes; only the shape of one image `batch["image"][0]` is
            used.

    Returns:
        The state at step 0.
    """
    latents = gan.latents(stream(key, "init_latents"), 1)
    image = pack(jnp.zeros((gan.packing, *batch["image"].shape[1:])), gan.packing)

    def train_state(module: nn.Module, optimizer: optax.GradientTransformation, inputs, name: str):
        variables = module.init(stream(key, name), inputs, train=False)
        params: Any = variables.get("params", {})
        return TrainState(params, variables.get("batch_stats", {}), optimizer.init(params))

    generator = train_state(gan.generator, gan.generator_optimizer, latents, "generator")
    discriminator = train_state(
        gan.discriminator, gan.discriminator_optimizer, image, "discriminator"
    )
    average = None
    if gan.average_decay is not None:
        # A copy: a state that holds the same buffer twice could not be donated.
        average = jax.tree.map(jnp.copy, generator.replace(opt_state=()))
    return GANState(jnp.zeros((), jnp.int32), generator, discriminator, average)


def steps_done(state: GANState) -> int:
    """Tells how many training steps a state, or the states of a population, has behind it."""
    return int(np.ravel(state.step)[0])


def pack(images: Images, size: int) -> Float[Array, "P ..."]:
    """Makes packs of images that follow one another, each as one image of more channels.

    A discriminator that judges several examples at once sees when they are too much alike, and so
    punishes a generator that makes only a part of what there is. Images that follow one another, so
    that packs are the same however a batch is spread over devices.

    Source: Lin et al., "PacGAN: The Power of Two Samples in Generative Adversarial Networks"
    (2018), section 2.

    Args:
        images: `[B, ..., C]`; vectors `[B, D]`.
        size: of a pack; 1 leaves the images as they are.

    Returns:
        `[B / size, ..., size * C]`; vectors `[B / size, size * D]`.

    Raises:
        ValueError: if `size` does not divide B.
    """
    if size == 1:
        return images
    if len(images) % size:
        raise ValueError(f"packs of {size} do not divide a batch of {len(images)}")
    packs = jnp.moveaxis(images.reshape(-1, size, *images.shape[1:]), 1, -2)
    return packs.reshape(*packs.shape[:-2], -1)


def apply(
    module: nn.Module,
    params: PyTree,
    batch_stats: PyTree,
    inputs: Array,
    *,
    train: bool,
    key: PRNGKey | None = None,
    axis_name: str | None = None,
    dtype: DTypeLike | None = None,
    microbatch: int | None = None,
) -> tuple[Array, PyTree]:
    """Runs one of a GAN's networks.

    With a `dtype` of few bits, such as bfloat16, parameters and inputs are rounded to it on the way
    in, and the network computes in it, but for batch norm's statistics. All that comes out is
    float32, as the parameters themselves are and so their gradients.

    With a `microbatch`, the network sees so many of the inputs at a time, and for the gradient
    computes them once more, so that a large batch fits a small memory. The outputs are the same but
    for batch norm, whose statistics are those of a part then (the running averages take the mean of
    them), and for dropout, which draws other masks.

    Args:
        module: the generator or the discriminator.
        params: its parameters.
        batch_stats: its running averages.
        inputs: latents `[B, Z]` or images `[B, ...]`.
        train: whether batch norm uses the batch's statistics and dropout drops.
        key: the dropout key; needed by a module with dropout in training.
        axis_name: the mapped device axis over which the batch is spread, or None.
        dtype: that the network computes in; None for that of its parameters.
        microbatch: inputs to compute at a time; None, or B or more, for all.

    Returns:
        The outputs, images `[B, ...]` or scores `[B]`, and the moved running averages.

    Raises:
        ValueError: if `microbatch` does not divide B.
    """
    if dtype is not None:
        params, inputs = jax.tree.map(lambda x: x.astype(dtype), (params, inputs))

    def run(inputs: Array, key: PRNGKey | None) -> tuple[Array, PyTree]:
        outputs, moved = module.apply(
            {"params": params, "batch_stats": batch_stats},
            inputs,
            train=train,
            axis_name=axis_name,
            rngs=None if key is None else {"dropout": key},
            mutable=["batch_stats"],
        )
        return outputs, moved.get("batch_stats", batch_stats)

    if microbatch is None or microbatch >= len(inputs):
        outputs, moved = run(inputs, key)
    else:
        if len(inputs) % microbatch:
            raise ValueError(f"microbatches of {microbatch} do not divide {len(inputs)} inputs")
        parts = inputs.reshape(-1, microbatch, *inputs.shape[1:])
        keys = None if key is None else jax.random.split(key, len(parts))
        outputs, moved = lax.map(jax.checkpoint(lambda part: run(*part)), (parts, keys))
        outputs = outputs.reshape(-1, *outputs.shape[2:])
        moved = jax.tree.map(lambda x: x.mean(0), moved)
    if dtype is not None:
        outputs = outputs.astype(jnp.float32)
    return outputs, moved


def generate(gan: GAN, state: GANState, latents: Latents) -> Images:
    """Turns latents into images, by the moving average of G where there is one.

    Differentiable by the latents.

    Args:
        gan: the GAN.
        state: its state.
        latents: `[B, Z]`.

    Returns:
        Images `[B, ...]` in the range of the generator's outputs.
    """
    net = state.generator if state.average is None else state.average
    images, _ = apply(
        gan.generator,
        net.params,
        net.batch_stats,
        latents,
        train=gan.sample_in_batches,
        dtype=gan.dtype,
    )
    return images


def sample(gan: GAN, state: GANState, key: PRNGKey, n: int) -> Images:
    """Draws images. The first of them are the same whatever `n` is.

    Args:
        gan: the GAN.
        state: its state.
        key: a typed key.
        n: how many images.

    Returns:
        Images `[n, ...]` in the range of the generator's outputs.
    """
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(math.ceil(n / SAMPLE_BATCH)))
    batches = lax.map(lambda k: generate(gan, state, gan.latents(k, SAMPLE_BATCH)), keys)
    return batches.reshape(-1, *batches.shape[2:])[:n]
