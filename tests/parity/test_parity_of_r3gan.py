"""R3GAN's networks against PyTorch's layers: outputs, gradients, and those of R1."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_parity, draw_like, torch_with_slopes, with_slopes
from filters import downsample, nchw, nhwc, oihw, upsample
from torch import Tensor

from jaxgan.models.r3gan import Discriminator, Generator

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
