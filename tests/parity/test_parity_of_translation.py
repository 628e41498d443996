"""Pix2Pix and CycleGAN against PyTorch's layers: networks with all their gradients, whole steps."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import torch.nn.functional as F
from compare import assert_parity, draw_like
from filters import nchw, nhwc
from torch import Tensor, nn

import jaxgan
from jaxgan import losses
from jaxgan.models import cyclegan, patchgan, unet
from jaxgan.nn import norms

KEY = jax.random.key(0)
WIDTH = 3
# Ours, PyTorch's, and whether PyTorch's networks have biases before it.
NORMS: dict[str, tuple[norms.Norm, Any, bool]] = {
    "batch": (norms.batch, nn.BatchNorm2d, False),
    "instance": (norms.instance, nn.InstanceNorm2d, True),
}
by_norm = pytest.mark.parametrize("norm", NORMS)


# PyTorch's networks. Layers with arrays have the names of ours.


class Named(nn.Sequential):
    """A sequence of named layers."""

    def __init__(self, *layers: tuple[str, nn.Module]):
        super().__init__()
        for name, layer in layers:
            self.add_module(name, layer)


class Unet(nn.Module):
    """Levels within levels: a layer down, the levels inside, a layer up."""

    def __init__(self, downs: int, colors: int, out: int, norm: str):
        super().__init__()
        _, make, biases = NORMS[norm]
        self.downs = downs
        widths = [colors, *(WIDTH * min(2**i, 8) for i in range(downs))]
        for i, (outside, inside) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            down = nn.Conv2d(outside, inside, 4, 2, 1, bias=biases)
            joined = inside if i == downs - 1 else 2 * inside
            made = outside if i else out
            up = nn.ConvTranspose2d(joined, made, 4, 2, 1, bias=biases or i == 0)
            self.add_module(f"Conv_{i}", down)
            self.add_module(f"ConvTranspose_{downs - 1 - i}", up)
        for i, features in enumerate([*widths[2:-1], *widths[-2:0:-1]]):  # down, then up
            self.add_module(f"BatchNorm_{i}", make(features))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.level(0, x))

    def level(self, i: int, x: Tensor) -> Tensor:
        number = self.downs - 1 - i  # of levels inside
        x = self.get_submodule(f"Conv_{i}")(F.leaky_relu(x, 0.2) if i else x)
        if i and number:
            x = self.get_submodule(f"BatchNorm_{i - 1}")(x)
        if number:
            x = torch.cat([x, self.level(i + 1, x)], 1)
        x = self.get_submodule(f"ConvTranspose_{number}")(F.relu(x))
        return self.get_submodule(f"BatchNorm_{self.downs - 2 + number}")(x) if i else x


class Patches(Named):
    def __init__(self, layers: int, colors: int, norm: str):
        _, make, biases = NORMS[norm]
        size, pad = (4, 1) if layers else (1, 0)
        widths = [colors, *(WIDTH * min(2**i, 8) for i in range(max(layers, 1) + 1))]
        *_, last = widths
        named: list[tuple[str, nn.Module]] = []
        for i, (inputs, outputs) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            stride = 2 if i < layers else 1
            conv = nn.Conv2d(inputs, outputs, size, stride, pad, bias=biases or i == 0)
            named += [(f"Conv_{i}", conv)]
            named += [(f"BatchNorm_{i - 1}", make(outputs))] if i else []
            named += [(f"activation_{i}", nn.LeakyReLU(0.2))]
        conv = nn.Conv2d(last, 1, size, 1, pad, bias=biases or layers > 0)
        super().__init__(*named, (f"Conv_{len(widths) - 1}", conv))

    def forward(self, *images: Tensor) -> Tensor:
        return super().forward(torch.cat(images, 1))[:, 0]


class Residual(Named):
    def __init__(self, features: int):
        super().__init__(
            ("pad", nn.ReflectionPad2d(1)),
            *then_norm("Conv_0", nn.Conv2d(features, features, 3)),
            ("pad_inside", nn.ReflectionPad2d(1)),
            ("Conv_1", nn.Conv2d(features, features, 3)),
            ("norm", nn.InstanceNorm2d(features)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Resnet(Named):
    def __init__(self, colors: int, out: int, blocks: int):
        w = WIDTH
        super().__init__(
            ("pad", nn.ReflectionPad2d(3)),
            *then_norm("Conv_0", nn.Conv2d(colors, w, 7)),
            *then_norm("Conv_1", nn.Conv2d(w, 2 * w, 3, 2, 1)),
            *then_norm("Conv_2", nn.Conv2d(2 * w, 4 * w, 3, 2, 1)),
            *((f"Block_{i}", Residual(4 * w)) for i in range(blocks)),
            *then_norm("ConvTranspose_0", nn.ConvTranspose2d(4 * w, 2 * w, 3, 2, 1, 1)),
            *then_norm("ConvTranspose_1", nn.ConvTranspose2d(2 * w, w, 3, 2, 1, 1)),
            ("pad_out", nn.ReflectionPad2d(3)),
            ("Conv_3", nn.Conv2d(w, out, 7)),
            ("tanh", nn.Tanh()),
        )


def then_norm(name: str, layer: Any) -> list[tuple[str, nn.Module]]:
    norm = nn.InstanceNorm2d(layer.out_channels)
    return [(name, layer), (f"{name}_norm", norm), (f"{name}_relu", nn.ReLU())]


NAMES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def as_torch(tree: Any) -> Iterator[tuple[str, Any]]:
    """Arrays of ours, or tensors, by their names and in their order of axes in PyTorch."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        *layers, name = (str(entry.key) for entry in path)
        leaf = leaf if isinstance(leaf, Tensor) else torch.tensor(leaf)
        if leaf.ndim == 4:  # the same for transposed ones, which ours keep as the adjoint's
            leaf = leaf.permute(3, 2, 0, 1).contiguous()
        yield ".".join([*layers, NAMES.get(name, name)]), leaf


def check(module: Any, theirs: nn.Module, *images: np.ndarray, train: bool = True) -> None:
    """Compares outputs, and gradients by parameters and images."""
    shapes = jax.eval_shape(lambda *images: module.init(KEY, *images, train=True), *images)
    params = draw_like(shapes["params"], 0.5)
    stats = jax.tree.map(lambda x: np.abs(x) + 0.5, draw_like(shapes.get("batch_stats", {})))
    theirs.double().train(train)
    for name, value in as_torch(stats):
        theirs.get_buffer(name).copy_(value)

    def run(params, *images):
        variables = {"params": params, "batch_stats": stats}
        return module.apply(variables, *images, train=train, mutable=["batch_stats"])[0]

    def run_theirs(params, *images):
        weights, inputs = dict(as_torch(params)), tuple(map(nchw, images))
        outputs = torch.func.functional_call(theirs, weights, inputs)
        return nhwc(outputs) if outputs.ndim == 4 else outputs

    assert_parity(run, run_theirs, params, *images)


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


@by_norm
@pytest.mark.parametrize("downs, size", [(1, (2, 6)), (2, (4, 12)), (4, (16, 32))])
def test_unet(norm, downs, size):
    module = unet.Generator(4, downs, WIDTH, NORMS[norm][0], dropouts=0)
    check(module, Unet(downs, 2, 4, norm), draw(2, *size, 2))


@by_norm
@pytest.mark.parametrize("layers, size", [(0, (6, 8)), (1, (9, 12)), (2, (16, 20))])
def test_patchgan(norm, layers, size):
    module = patchgan.Discriminator(layers, WIDTH, NORMS[norm][0])
    check(module, Patches(layers, 5, norm), draw(2, *size, 2), draw(2, *size, 3))


@pytest.mark.slow
def test_networks_with_batch_norm_after_training():
    check(unet.Generator(2, 3, WIDTH), Unet(3, 2, 2, "batch"), draw(2, 8, 16, 2), train=False)
    module = patchgan.Discriminator(1, WIDTH)
    check(module, Patches(1, 2, "batch"), draw(2, 8, 9, 2), train=False)


@pytest.mark.parametrize("blocks, size", [(0, (8, 8)), (2, (8, 20))])
def test_cyclegans_generator(blocks, size):
    module = cyclegan.Generator(4, blocks, WIDTH)
    check(module, Resnet(2, 4, blocks), draw(2, *size, 2))


# Whole training steps, from the same parameters.

RATE, BETAS = 2e-4, (0.5, 0.999)
# In both libraries. With 1e-8, Adam would make steps of the rounding that the gradients of biases
# before instance norm consist of.
EPSILON = 1e-4
PLAYERS = ("generator", "discriminator")


class Theirs:
    """Two players in PyTorch, each with its optimizer."""

    def __init__(self, state: Any, generator: nn.Module, discriminator: nn.Module):
        self.nets = {"generator": generator.double(), "discriminator": discriminator.double()}
        for name, net in self.nets.items():
            net.load_state_dict(dict(as_torch(getattr(state, name).params)), strict=False)
        self.adam = {
            name: torch.optim.Adam(net.parameters(), RATE, BETAS, EPSILON)
            for name, net in self.nets.items()
        }

    def descend(self, player: str, loss: Tensor) -> None:
        self.adam[player].zero_grad()
        loss.backward()
        self.adam[player].step()


class Pix2Pix(Theirs):
    """G through D as it is after its step; D's loss is halved."""

    def __init__(self, state: Any):
        super().__init__(state, Unet(3, 2, 3, "batch"), Patches(1, 5, "batch"))

    def iterate(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        a, b = batch["source"], batch["image"]
        generate, judge = (self.nets[name] for name in PLAYERS)
        fake = generate(a)
        loss_d = (cross_entropy(judge(a, b), 1) + cross_entropy(judge(a, fake.detach()), 0)) / 2
        self.descend("discriminator", loss_d)
        loss_g, terms_g = cross_entropy(judge(a, fake), 1), 100 * F.l1_loss(fake, b)
        self.descend("generator", loss_g + terms_g)
        return {"loss_d": 2 * loss_d, "loss_g": loss_g, "terms_g": terms_g}


class CycleGAN(Theirs):
    """Both generators, then both discriminators on fakes that were made before."""

    def __init__(self, state: Any):
        super().__init__(
            state,
            nn.ModuleDict({"to_a": Resnet(2, 2, 1), "to_b": Resnet(2, 2, 1)}),
            nn.ModuleDict({x: Patches(1, 2, "instance") for x in ("of_a", "of_b")}),
        )

    def iterate(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        a, b = batch["a"], batch["b"]
        (to_a, to_b), (of_a, of_b) = (self.nets[name].children() for name in PLAYERS)
        fake_a, fake_b = to_a(b), to_b(a)
        loss_g = squares(of_a(fake_a), 1) + squares(of_b(fake_b), 1)
        cycle = F.l1_loss(to_a(fake_b), a) + F.l1_loss(to_b(fake_a), b)
        identity = F.l1_loss(to_a(a), a) + F.l1_loss(to_b(b), b)
        terms_g = 10 * cycle + 0.5 * 10 * identity
        self.descend("generator", loss_g + terms_g)
        loss_a = (squares(of_a(a), 1) + squares(of_a(fake_a.detach()), 0)) / 2
        loss_b = (squares(of_b(b), 1) + squares(of_b(fake_b.detach()), 0)) / 2
        self.descend("discriminator", loss_a + loss_b)
        return {"loss_d": loss_a + loss_b, "loss_g": loss_g / 2, "terms_g": terms_g / 2}


def cross_entropy(scores: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label))


def squares(scores: Tensor, label: float) -> Tensor:
    return ((scores - label) ** 2).mean()


def pix2pix() -> tuple[jaxgan.GAN, jaxgan.Update]:
    adam = optax.adam(RATE, *BETAS, eps=EPSILON)
    gan = jaxgan.GAN(
        generator=jaxgan.linen(unet.Generator(3, 3, WIDTH, dropouts=0)),
        discriminator=jaxgan.linen(patchgan.Discriminator(1, WIDTH)),
        generator_optimizer=adam,
        discriminator_optimizer=optax.chain(optax.scale(0.5), adam),
        loss=losses.non_saturating,
        inputs=lambda key, n, batch: batch["source"],
        view=lambda example, batch, key, state: (batch["source"], example),
        generator_terms=lambda play: 100 * jnp.abs(play.fake - play.real).mean((1, 2, 3)),
    )
    return gan, jaxgan.update_both(gan)


def cycle_gan() -> tuple[jaxgan.GAN, jaxgan.Update]:
    def cycle_and_identity(play: jaxgan.Play) -> jax.Array:
        def apart(pictures):
            errors = jax.tree.map(lambda x, y: jnp.abs(x - y).mean((1, 2, 3)), pictures, play.real)
            return (errors["a"] + errors["b"]) / 2

        swapped = {"a": play.real["b"], "b": play.real["a"]}
        return 10 * apart(play.generate(play.fake)) + 5 * apart(play.generate(swapped))

    generator, judge = (
        cyclegan.Generator(2, 1, WIDTH), patchgan.Discriminator(1, WIDTH, norms.instance),
    )  # fmt: skip
    adam = optax.adam(RATE, *BETAS, eps=EPSILON)
    gan = jaxgan.GAN(
        generator=jaxgan.linen(cyclegan.Generators(generator, generator.clone())),
        discriminator=jaxgan.linen(cyclegan.Discriminators(judge, judge.clone())),
        generator_optimizer=optax.chain(optax.scale(2.0), adam),  # theirs is the sum of both
        discriminator_optimizer=adam,
        loss=losses.least_squares,
        inputs=lambda key, n, batch: dict(batch),
        real=dict,
        generator_terms=cycle_and_identity,
    )

    def on_fakes_from_before(state, batch, key):
        g, pictures = state.generator, jaxgan.draw_inputs(gan, batch, key)
        fake, _ = gan.generator.apply(g.params, g.collections, pictures, key, True)
        update = jaxgan.chain(
            jaxgan.update_generator(gan), jaxgan.update_discriminator(gan, fake=fake)
        )
        return update.apply(state, batch, key)

    return gan, jaxgan.stateless(on_fakes_from_before)


SYSTEMS: dict[str, Any] = {
    "pix2pix": (pix2pix, Pix2Pix, {"source": (2, 8, 16, 2), "image": (2, 8, 16, 3)}),
    "cyclegan": (cycle_gan, CycleGAN, {"a": (2, 8, 12, 2), "b": (2, 8, 12, 2)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_five_steps_agree_in_float64(name):
    make, make_theirs, shapes = SYSTEMS[name]
    random = np.random.default_rng(0)
    gan, update = make()

    def draw_batch() -> dict[str, np.ndarray]:
        return {name: random.uniform(-1, 1, shape) for name, shape in shapes.items()}

    with jax.enable_x64(True):
        state = jax.jit(lambda key: jaxgan.init(gan, key, draw_batch(), update))(KEY)
        state = jax.tree.map(
            lambda x: x.astype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
        )
        # Networks as they start make nearly nothing of pictures.
        state = state.replace(**{
            player: (net := getattr(state, player)).replace(
                params=jax.tree.map(lambda x: x + 0.3 * random.normal(size=x.shape), net.params)
            )
            for player in PLAYERS
        })  # fmt: skip
        theirs = make_theirs(jax.device_get(state))
        step = jax.jit(jaxgan.make_step(update))
        for _ in range(5):
            batch = draw_batch()
            state, metrics = step(state, batch, KEY)
            expected = theirs.iterate({key: nchw(torch.tensor(x)) for key, x in batch.items()})
            for key, value in expected.items():
                np.testing.assert_allclose(metrics[key], value.item(), rtol=1e-10, err_msg=key)
            for player in PLAYERS:
                wanted = dict(theirs.nets[player].named_parameters())
                found = dict(as_torch(jax.device_get(getattr(state, player).params)))
                assert found.keys() == wanted.keys()
                for key, ours in found.items():
                    expected_array = wanted[key].detach()
                    assert ours.dtype == torch.float64
                    atol = 1e-10 * expected_array.abs().max()
                    np.testing.assert_allclose(ours, expected_array, 0, atol, err_msg=key)
        stats = state.generator.collections.get("batch_stats", {})
        for key, mean in as_torch({k: {"mean": v["mean"]} for k, v in stats.items()}):
            expected_mean = theirs.nets["generator"].get_buffer(key)
            np.testing.assert_allclose(mean, expected_mean, rtol=1e-9, atol=1e-12)
