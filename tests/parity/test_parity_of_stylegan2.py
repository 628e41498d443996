"""StyleGAN2's networks against PyTorch: outputs, gradients, and those of R1 and of path lengths."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_parity, draw_like, torch_with_slopes, with_slopes
from filters import blur, downsample, enlarged, nchw, nhwc, oihw, upsample
from torch import Tensor

from jaxgan.models.stylegan2 import Block, Discriminator, Generator, ResidualBlock

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(1)
WIDTHS = (4, 3)  # of 4 x 4 and of 8 x 8
LABELS = np.array([2, 0, 1, 2], np.int32)
cases = pytest.mark.parametrize("labels", [(), (LABELS,)], ids=["unconditional", "conditional"])


def leaky(x: Tensor, bound: float = torch.inf) -> Tensor:
    return (F.leaky_relu(x, 0.2) * 2**0.5).clamp(-bound, bound)


def dense(layer: dict[str, Tensor], x: Tensor, multiplier: float = 1.0) -> Tensor:
    """Of vectors, or of the channels of images in PyTorch's layout."""
    kernel = layer["kernel"] * multiplier / len(layer["kernel"]) ** 0.5
    y = torch.einsum("bc...,cf->bf...", x, kernel)
    bias = layer.get("bias", torch.zeros(1, dtype=x.dtype)) * multiplier
    return y + bias.reshape(1, -1, *[1] * (y.ndim - 2))


def normalized(x: Tensor) -> Tensor:
    return x / ((x**2).mean(1, keepdim=True) + 1e-8).sqrt()


def mapping(params, latents: Tensor | None, labels: tuple[Tensor, ...]) -> Tensor:
    codes = [] if latents is None else [normalized(latents)]
    if labels:
        one_hot = F.one_hot(labels[0].long(), 3).double()
        codes.append(normalized(dense(params["labels"], one_hot)))
    x = torch.cat(codes, 1)
    for index in range(sum(name.startswith("EqualizedDense") for name in params)):
        x = leaky(dense(params[f"EqualizedDense_{index}"], x, 0.01))
    return x


def layer(params, x: Tensor, style: Tensor, noise: Tensor, up: bool) -> Tensor:
    """Every example with a kernel of its own, in one convolution in groups."""
    modulated = params["ModulatedConv_0"]
    scales = dense(modulated["affine"], style)
    weight = oihw(modulated["kernel"]) * scales[:, None, :, None, None]
    weight = weight / ((weight**2).sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    if up:
        x, weight = enlarged(x), weight.flip(3, 4)
    else:
        x = F.pad(x, (1, 1, 1, 1))
    batch, features = weight.shape[:2]
    x = F.conv2d(x.flatten(0, 1)[None], weight.flatten(0, 1), groups=batch)
    x = x[0].unflatten(0, (batch, features)) + params["noise_strength"] * nchw(noise)
    return leaky(x + params["bias"].reshape(1, -1, 1, 1), 256)


def colors(params, x: Tensor, style: Tensor) -> Tensor:
    scales = dense(params["affine"], style)[..., None, None]
    return dense(params["colors"], x * scales).clamp(-256, 256)


def synthesis(params, styles: Tensor, noise: list[Tensor]) -> Tensor:
    first, second, third, fourth = styles.unbind(1)
    x = nchw(params["constant"]).expand(len(styles), -1, -1, -1)
    x = layer(params["Layer_0"], x, first, noise[0], False)
    image = colors(params["ToColors_0"], x, second)
    x = layer(params["Layer_1"], x, second, noise[1], True)
    x = layer(params["Layer_2"], x, third, noise[2], False)
    return nhwc(upsample(image) + colors(params["ToColors_1"], x, fourth))


def block(params, x: Tensor) -> Tensor:
    first, second = params["EqualizedConv_0"], params["EqualizedConv_1"]
    gain = (9 * x.shape[1]) ** -0.5
    x = leaky(F.conv2d(x, oihw(first["kernel"]) * gain, first["bias"], padding=1), 256)
    x = F.conv2d(blur(x, 2, 2), oihw(second["kernel"]) * gain, second["bias"], stride=2)
    return leaky(x, 256)


def residual_block(params, x: Tensor) -> Tensor:
    shortcut = dense(params["EqualizedDense_0"], downsample(x))
    return (shortcut + block(params["Block_0"], x)) / 2**0.5


def discriminator(params, body, images: Tensor, labels: tuple[Tensor, ...]) -> Tensor:
    x = leaky(dense(params["EqualizedDense_0"], nchw(images)), 256)
    x = body(x)
    groups = x.unflatten(0, (2, 2))
    deviations = (groups.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3)).repeat(2)
    x = torch.cat([x, deviations.reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4)], 1)
    last = params["EqualizedConv_0"]
    weight = oihw(last["kernel"]) / (9 * x.shape[1]) ** 0.5
    x = leaky(F.conv2d(x, weight, last["bias"], padding=1), 256)
    x = leaky(dense(params["EqualizedDense_1"], nhwc(x).flatten(1)))
    x = dense(params["EqualizedDense_2"], x)
    if not labels:
        return x[:, 0]
    wanted = mapping(params["Mapping_0"], None, labels)
    return (x * wanted).sum(1) / x.shape[1] ** 0.5


def draw(module, *inputs) -> Any:
    """Parameters far from the first ones, which leave noise and biases out."""
    shapes = jax.eval_shape(lambda *inputs: module.init(KEY, *inputs, train=False), *inputs)
    return draw_like(shapes)


@cases
def test_generator(labels):
    module = Generator(
        WIDTHS, 2, 3 if labels else None, style_size=5, mapping_depth=2, truncation=0.6
    )
    latents = RANDOM.normal(size=(4, 6))
    noise = [RANDOM.normal(size=(4, side, side, 1)) for side in (4, 8, 8)]
    variables = draw(module, latents, *labels)
    # Of a hundredth of the rate, parameters are a hundred times larger.
    mapped = variables["params"]["mapping"]
    for name in mapped:
        if name != "labels":
            mapped[name] = jax.tree.map(lambda leaf: 100 * leaf, mapped[name])

    def ours(variables, latents, noise, *labels) -> Any:
        styles: Any = module.apply(variables, latents, *labels, train=False, method="to_styles")
        return module.apply(variables, styles, noise, method="to_images")

    def theirs(variables, latents, noise, *labels):
        params = variables["params"]
        styles = mapping(params["mapping"], latents, labels)
        average = variables["batch_stats"]["average"]
        styles = average + 0.6 * (styles - average)
        return synthesis(params["synthesis"], styles[:, None].expand(-1, 4, -1), noise)

    assert_parity(ours, theirs, variables, latents, noise, *labels)


def test_path_lengths():
    """How far images move along a direction, when styles do: gradients of the second order."""
    module = Generator(WIDTHS, 2, style_size=5, mapping_depth=2)
    styles, direction = RANDOM.normal(size=(2, 4, 5)), RANDOM.normal(size=(2, 8, 8, 2))
    noise = [RANDOM.normal(size=(2, side, side, 1)) for side in (4, 8, 8)]
    params = draw(module, styles[:, 0])["params"]["synthesis"]
    rest = {"batch_stats": {"average": jnp.zeros(5)}}

    def ours(params, styles, noise, direction):
        variables = {"params": {"synthesis": params}} | rest

        def along(styles):
            images: Any = module.apply(variables, styles, noise, method="to_images")
            return (images * direction).sum()

        return jnp.sqrt((jax.grad(along)(styles) ** 2).sum(2).mean(1))

    def theirs(params, styles, noise, direction):
        along = (synthesis(params, styles, noise) * direction).sum()
        (gradient,) = torch.autograd.grad(along, styles, create_graph=True)
        return (gradient**2).sum(2).mean(1).sqrt()

    assert_parity(ours, theirs, params, styles, noise, direction)


@pytest.mark.parametrize(
    "body, labels",
    [(Block, ()), (ResidualBlock, (LABELS,))],
    ids=["plain", "residual_conditional"],
)
def test_discriminator_and_its_slopes(body, labels):
    module = Discriminator(WIDTHS, body, 2, 3 if labels else None)
    images = RANDOM.normal(size=(4, 8, 8, 2))
    variables = draw(module, images, *labels)

    def ours(variables, images, *labels):
        def critic(images) -> Any:
            return module.apply(variables, images, *labels, train=True)

        return with_slopes(critic, images)

    def theirs(variables, images, *labels):
        params = variables["params"]
        parts = {Block: ("Block_0", block), ResidualBlock: ("ResidualBlock_0", residual_block)}
        name, own = parts[body]

        def critic(images):
            return discriminator(params, lambda x: own(params[name], x), images, labels)

        return torch_with_slopes(critic, images)

    assert_parity(ours, theirs, variables, images, *labels)
