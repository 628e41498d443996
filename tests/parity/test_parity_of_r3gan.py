"""R3GAN against PyTorch: outputs and gradients of its networks, those of R1, and whole steps."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_parity, draw_like, to_torch, torch_with_slopes, with_slopes
from filters import downsample, nchw, nhwc, oihw, upsample
from steps import assert_same_weights, disturbed
from torch import Tensor

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.models.r3gan import Discriminator, Generator
from jaxgan.recipes.mnist_r3gan import MnistR3gan
from jaxgan.types import DataSpec

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(1)
WIDTHS = (4, 6)  # of 4 x 4 and of 8 x 8
LABELS = np.array([2, 0], np.int32)
cases = pytest.mark.parametrize("labels", [(), (LABELS,)], ids=["unconditional", "conditional"])


class Parameters:
    """Takes layers by kind, in the order of their numbers."""

    def __init__(self, params: dict[str, Any]):
        self.params = dict(params)

    def take(self, kind: str) -> Any:
        return self.params.pop(min(name for name in self.params if name.startswith(kind)))

    def pointwise(self, x: Tensor) -> Tensor:
        layer = self.take("Dense")
        return F.conv2d(x, oihw(layer["kernel"][None, None]), layer.get("bias"))

    def block(self, x: Tensor) -> Tensor:
        own = Parameters(self.take("Block"))
        y = F.leaky_relu(own.pointwise(x), 0.2)
        layer = own.take("GroupedConv")
        groups = y.shape[1] // 2
        y = F.conv2d(y, oihw(layer["kernel"]), layer["bias"], padding=1, groups=groups)
        return x + own.pointwise(F.leaky_relu(y, 0.2))

    def codes(self, labels: Tensor) -> Tensor:
        table = self.take("Embed")["embedding"]
        return F.one_hot(labels.long(), 3).double() @ table


def generator(variables, latents, *labels):
    layers = Parameters(variables["params"])
    if labels:
        latents = torch.cat([latents, layers.codes(*labels)], 1)
    scales = latents @ layers.take("Dense")["kernel"]
    x = nchw(layers.take("basis")) * scales[..., None, None]
    x = layers.block(x)
    x = upsample(layers.pointwise(x))
    x = layers.block(x)
    return nhwc(layers.pointwise(x))


def discriminator(variables, images, *labels):
    layers = Parameters(variables["params"])
    x = layers.pointwise(nchw(images))
    x = layers.block(x)
    x = layers.pointwise(downsample(x))
    x = layers.block(x)
    kernel = layers.take("basis").permute(3, 0, 1, 2)
    x = F.conv2d(x, kernel, groups=4).flatten(1) @ layers.take("Dense")["kernel"]
    return (x * layers.codes(*labels)).sum(1) if labels else x[:, 0]


def network(make, labels) -> tuple[Any, Callable[..., Any]]:
    module = make(WIDTHS, classes=3 if labels else None, blocks=1, group_size=2)
    return module, lambda *args: module.apply(*args, train=True)


def draw(module, *inputs):
    shapes = jax.eval_shape(lambda *inputs: module.init(KEY, *inputs, train=True), *inputs)
    return draw_like(shapes, 0.5)


@cases
def test_generator(labels):
    module, ours = network(Generator, labels)
    latents = RANDOM.normal(size=(2, 5))
    assert_parity(ours, generator, draw(module, latents, *labels), latents, *labels)


@cases
def test_discriminator_and_its_slopes(labels):
    module, ours = network(Discriminator, labels)
    images = RANDOM.normal(size=(2, 8, 8, 3))
    assert_parity(
        lambda params, images, *labels: with_slopes(lambda x: ours(params, x, *labels), images),
        lambda params, images, *labels: torch_with_slopes(
            lambda x: discriminator(params, x, *labels), images
        ),
        draw(module, images, *labels),
        images,
        *labels,
    )


# Whole training steps: the recipe's own, with its schedules, from the same parameters and latents.

BATCH, LATENT = 4, 5
RECIPE = MnistR3gan(
    batch_size=BATCH,
    latent_size=LATENT,
    widths=WIDTHS,
    group_size=2,
    burn_in=4 * BATCH,  # four steps: the settings move, and then stay
    half_life=(0.0, 3.0 * BATCH),
)


class Theirs:
    """The same GAN and its steps in PyTorch: Adam, the losses and the average by their formulas."""

    def __init__(self, state: Any):
        self.d = jax.tree.map(to_torch, state.discriminator.params)
        self.g = jax.tree.map(to_torch, state.generator.params)
        self.average = [leaf.detach().clone() for leaf in jax.tree.leaves(self.g)]
        self.adam_d, self.adam_g = (
            torch.optim.Adam(jax.tree.leaves(net)) for net in (self.d, self.g)
        )

    def generate(self, z: Tensor) -> Tensor:
        return generator({"params": self.g}, z)

    def judge(self, images: Tensor) -> Tensor:
        return discriminator({"params": self.d}, images)

    def now(self, step: int, values: tuple[float, float]) -> float:
        share = (1 - math.cos(math.pi * min(step / 4, 1))) / 2
        return values[0] + (values[1] - values[0]) * share

    def move(self, adam: torch.optim.Adam, loss: Tensor, step: int) -> float:
        (group,) = adam.param_groups
        group["lr"] = self.now(step, RECIPE.learning_rate)
        group["betas"] = (RECIPE.beta1, self.now(step, RECIPE.beta2))
        adam.zero_grad()
        loss.backward(inputs=group["params"])
        adam.step()
        return loss.item()

    def iterate(self, step: int, batch: dict[str, np.ndarray]) -> dict[str, float]:
        images, latents = (torch.tensor(batch[name]) for name in ("image", "latent"))
        reals, fakes = images[0::2].requires_grad_(), self.generate(latents[0::2]).detach()
        fakes.requires_grad_()
        real, steep_real = torch_with_slopes(self.judge, reals)
        fake, steep_fake = torch_with_slopes(self.judge, fakes)
        gamma = self.now(step, RECIPE.gamma)
        loss = F.softplus(fake - real).mean()
        penalized = loss + gamma / 2 * (steep_real + steep_fake).mean()
        self.move(self.adam_d, penalized, step)
        fake, real = self.judge(self.generate(latents[1::2])), self.judge(images[1::2])
        loss_g = self.move(self.adam_g, F.softplus(real - fake).mean(), step)
        half_life = self.now(step, RECIPE.half_life) / BATCH
        decay = 0.5 ** (1 / half_life) if half_life else 0.0
        for kept, leaf in zip(self.average, jax.tree.leaves(self.g), strict=True):
            kept.lerp_(leaf.detach(), 1 - decay)
        return {"loss_d": loss.item(), "loss_g": loss_g}


@pytest.mark.slow
def test_five_steps_of_the_recipe_agree_in_float64():
    random = np.random.default_rng(0)
    gan = replace(RECIPE.gan(DataSpec((8, 8, 3))), inputs=lambda key, n, batch: batch["latent"])
    update = RECIPE.update(gan)

    def draw() -> dict[str, np.ndarray]:
        n = RECIPE.examples_per_step
        images, latents = random.uniform(-1, 1, (n, 8, 8, 3)), random.normal(size=(n, LATENT))
        return {"image": images, "latent": latents}

    with jax.enable_x64(True):
        state = jax.jit(lambda key: init(gan, key, draw(), update))(KEY)
        state = disturbed(state, random, 0.1)
        theirs = Theirs(jax.device_get(state))
        step = jax.jit(make_step(update))
        for index in range(5):
            batch = draw()
            state, metrics = step(state, batch, KEY)
            for name, value in theirs.iterate(index, batch).items():
                np.testing.assert_allclose(metrics[name], value, rtol=1e-9, err_msg=name)
            # The decay of the average is a float32.
            assert_same_weights(state, theirs, 1e-9, averaged=1e-6)
