"""StyleGAN2 against PyTorch: its networks, R1, path lengths, and whole training steps."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_parity, draw_like, to_torch, torch_with_slopes, with_slopes
from filters import blur, downsample, enlarged, nchw, nhwc, oihw, upsample
from flax import linen
from steps import assert_same_weights, disturbed
from torch import Tensor

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.models.stylegan2 import Block, Discriminator, Generator, Mapping, ResidualBlock
from jaxgan.recipes.mnist_stylegan2 import MnistStyleGan2
from jaxgan.types import DataSpec

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


# Whole training steps: the recipe's own, from the same parameters and draws.

BATCH = 4
RECIPE = MnistStyleGan2(
    batch_size=BATCH,
    group=2,
    widths=WIDTHS,
    latent_size=5,
    style_size=5,
    mixing=0.9,
    path_weight=2.0,
    half_life=2.0 * BATCH,
    ramp=0.3,
)


class Pass(NamedTuple):
    """What G drew in one pass, and the styles that it made of it."""

    latents: Tensor
    others: Tensor
    styles: Tensor
    noise: list[Tensor]


class Draws:
    """Writes down what G and the penalty of path lengths draw as they run."""

    def __init__(self):
        self.mapped: list[Tensor] = []
        self.noise: list[list[Tensor]] = []
        self.styles: list[Tensor] = []
        self.directions: list[Tensor] = []

    def note(self, name: str, values: Any) -> None:
        def append(values: Any) -> None:
            getattr(self, name).append(jax.tree.map(lambda x: torch.tensor(np.array(x)), values))

        jax.debug.callback(append, values, ordered=True)

    def listen(self, call, arguments, settings, context):
        """For `flax.linen.intercept_methods`."""
        outputs = call(*arguments, **settings)
        match context.module, context.method_name:
            case Mapping(), "__call__":
                self.note("mapped", arguments[0])
            case Generator(), "draw_noise":
                self.note("noise", outputs)
            case Generator(), "to_images":
                self.note("styles", arguments[0])
        return outputs

    def tap(self, images: jax.Array) -> jax.Array:
        """Returns images as they are, and notes what their gradient is."""

        @jax.custom_vjp
        def same(x):
            return x

        def backward(_, slopes):
            self.note("directions", slopes)
            return (slopes,)

        same.defvjp(lambda x: (x, None), backward)
        return same(images)

    def take(self) -> Pass:
        """The next pass of G."""
        latents, others = self.mapped.pop(0), self.mapped.pop(0)
        return Pass(latents, others, self.styles.pop(0), self.noise.pop(0))


class Theirs:
    """The same GAN and its steps in PyTorch: Adam, losses, penalties and averages as formulas."""

    def __init__(self, state: Any):
        self.d = jax.tree.map(to_torch, state.discriminator.params)
        self.g = jax.tree.map(to_torch, state.generator.params)
        self.average = [leaf.detach().clone() for leaf in jax.tree.leaves(self.g)]
        self.style = torch.tensor(state.generator.collections["batch_stats"]["average"])
        self.length = 0.0
        self.adam_g, self.adam_d = (
            torch.optim.Adam(
                jax.tree.leaves(net), rate * RECIPE.learning_rate, (0.0, RECIPE.beta2**rate)
            )
            for net, rate in ((self.g, 4 / 5), (self.d, 16 / 17))
        )

    def generate(self, draws: Pass, learn: bool = False) -> Tensor:
        own, others = (mapping(self.g["mapping"], z, ()) for z in (draws.latents, draws.others))
        if learn:
            self.style = 0.995 * self.style + 0.005 * own.detach().mean(0)
        first = sum(torch.equal(w, draws.styles[:, 0]) for w in draws.styles.unbind(1))
        styles = torch.stack([own] * first + [others] * (4 - first), 1)
        return synthesis(self.g["synthesis"], styles, draws.noise)

    def judge(self, images: Tensor) -> Tensor:
        def body(x):
            return residual_block(self.d["ResidualBlock_0"], x)

        return discriminator(self.d, body, images, ())

    def move(self, adam: torch.optim.Adam, loss: Tensor) -> float:
        adam.zero_grad(set_to_none=False)  # Adam counts steps of a gradient of 0, not of none
        loss.backward(inputs=adam.param_groups[0]["params"])
        adam.step()
        return loss.item()

    def iterate(self, step: int, images: Tensor, draws: Draws) -> dict[str, float]:
        fakes = self.generate(draws.take(), learn=True)
        loss_g = self.move(self.adam_g, F.softplus(-self.judge(fakes)).mean())
        if step % 4 == 0:
            now = draws.take()
            latents = now.latents.requires_grad_()
            fakes = self.generate(now)
            direction = next(x for x in draws.directions if len(x) == len(fakes))
            (slopes,) = torch.autograd.grad((fakes * direction).sum(), latents, create_graph=True)
            lengths = (slopes**2).sum(1).sqrt()
            average = 0.99 * self.length + 0.01 * lengths.mean()
            self.length = average.item()
            penalty = 4 * RECIPE.path_weight * ((lengths - average) ** 2).mean()
            self.move(self.adam_g, penalty)
        fakes = self.generate(draws.take()).detach()
        loss = F.softplus(self.judge(fakes)).mean() + F.softplus(-self.judge(images)).mean()
        loss_d = self.move(self.adam_d, loss)
        if step % 16 == 0:
            draws.take()  # penalties are given fakes too, which R1 leaves aside
            _, steep = torch_with_slopes(self.judge, images.requires_grad_())
            self.move(self.adam_d, 16 * RECIPE.gamma / 2 * steep.mean())
        memory = min(RECIPE.half_life / BATCH, RECIPE.ramp * step)
        decay = 0.5 ** (1 / memory) if memory else 0.0
        for kept, leaf in zip(self.average, jax.tree.leaves(self.g), strict=True):
            kept.lerp_(leaf.detach(), 1 - decay)
        draws.directions.clear()
        return {"loss_g": loss_g, "loss_d": loss_d}


@pytest.fixture
def float64():
    """Everywhere: `jax.enable_x64` knows nothing of the thread in which callbacks run."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_five_steps_of_the_recipe_agree_in_float64():
    random = np.random.default_rng(0)
    gan, draws = RECIPE.gan(DataSpec((8, 8, 1))), Draws()

    def apply(*arguments):
        images, collections = gan.generator.apply(*arguments)
        return draws.tap(images), collections

    network = gan.generator._replace(apply=apply)
    update = RECIPE.update(replace(gan, generator=network))

    def draw() -> np.ndarray:
        return random.uniform(-1, 1, (BATCH, 8, 8, 1))

    state = jax.jit(lambda key: init(gan, key, {"image": draw()}, update))(KEY)
    state = disturbed(state, random, 0.1)
    theirs = Theirs(jax.device_get(state))
    step = jax.jit(make_step(update))
    for index in range(5):
        images = draw()
        with linen.intercept_methods(draws.listen):
            state, metrics = step(state, {"image": images}, jax.random.key(1))
        jax.effects_barrier()
        for name, value in theirs.iterate(index, torch.tensor(images), draws).items():
            np.testing.assert_allclose(metrics[name], value, rtol=1e-8, err_msg=name)
        assert not draws.mapped and not draws.noise
        np.testing.assert_allclose(state.extra["path_length"], theirs.length, rtol=1e-8)
        style = state.generator.collections["batch_stats"]["average"]
        np.testing.assert_allclose(style, theirs.style, rtol=1e-8)
        # The decay of the average is a float32.
        assert_same_weights(state, theirs, 1e-8, averaged=1e-6)
