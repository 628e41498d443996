"""Whole iterations of SNGAN in PyTorch: its own layers, spectral norm, batch norm and Adam."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import torch.nn.functional as F
from filters import nchw, nhwc
from pair import biased_variance, count_values
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from jaxgan import losses
from jaxgan.core.combinators import chain, on_part, repeat
from jaxgan.core.gan import GAN, init
from jaxgan.core.networks import linen
from jaxgan.core.steps import make_step
from jaxgan.core.updates import update_discriminator, update_generator
from jaxgan.models import resnet
from jaxgan.nn import heads

CLASSES, PARTS, BATCH, LATENT = 3, 2, 4, 5
ITERATIONS = 5
RATE, BETAS = 1e-3, (0.0, 0.9)
# In both libraries. With 1e-8, Adam would make whole steps of the rounding that the gradients of
# biases before batch norm consist of.
EPSILON = 1e-4

PLAYERS = ("generator", "discriminator")
BUFFERS = {"mean": "running_mean", "kernel_u": "weight_u", "embedding_u": "weight_u"}
Layers = dict[str, Any]  # PyTorch's, by the paths of our parameters


def system() -> GAN:
    adam = optax.adam(RATE, *BETAS, eps=EPSILON)
    return GAN(
        generator=linen(resnet.Generator((8, 8, 2), (4, 4, 3), CLASSES)),
        discriminator=linen(resnet.Discriminator((4, 3), 1, heads.Projection(CLASSES))),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        loss=losses.hinge,
        inputs=lambda key, n, batch: (batch["latent"], batch["label"]),
        view=lambda example, batch, key, state: (example, batch["label"]),
    )


def paths(tree: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each layer of a tree of parameters or statistics: its path, and its arrays."""
    if not all(isinstance(value, dict) for value in tree.values()):
        yield prefix.removesuffix("/"), tree
        return
    for name, value in tree.items():
        yield from paths(value, f"{prefix}{name}/")


def kernel_of(array: np.ndarray) -> Tensor:
    """In PyTorch's order: outputs first."""
    return torch.tensor(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T)


def make_layers(net: Any) -> Layers:
    """PyTorch's layers with the values of a network of ours."""
    layers: Layers = {}
    stats = dict(paths(net.collections.get("batch_stats", {})))
    for path, arrays in paths(net.params):
        if "scale" in arrays:
            layer, values = norm_like(arrays["scale"], True), dict(arrays)
            values["weight"] = values.pop("scale")
        elif "embedding" in arrays:
            layer = nn.Embedding(*arrays["embedding"].shape)
            values = {"weight": arrays["embedding"]}
        else:
            *size, inputs, outputs = arrays["kernel"].shape
            layer = nn.Conv2d(inputs, outputs, 3, padding=1) if size else nn.Linear(inputs, outputs)
            values = {"weight": kernel_of(arrays["kernel"]), "bias": arrays["bias"]}
        layer = layer.double()
        layer.load_state_dict({k: torch.tensor(np.asarray(v)) for k, v in values.items()}, False)
        (u,) = [v for k, v in stats.get(path, {}).items() if k.endswith("_u")] or [None]
        if u is not None:
            layer = spectral_norm(layer, dim=1 if "embedding" in arrays else 0)
            layer.get_buffer("weight_u").copy_(torch.tensor(np.asarray(u)))
        layers[path] = layer
    for path, arrays in stats.items():  # those without parameters
        if "mean" in arrays and path not in layers:
            layers[path] = norm_like(arrays["mean"], False).double()
    for layer in layers.values():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_pre_hook(count_values)
    return layers


def norm_like(array: np.ndarray, affine: bool) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(len(array), eps=2e-5, momentum=0.1, affine=affine)


def generate(layers: Layers, z: Tensor, y: Tensor) -> Tensor:
    def norm(path: str, x: Tensor) -> Tensor:
        gain, bias = (layers[f"{path}/Embed_{i}"](y)[..., None, None] for i in (0, 1))
        return gain * layers[f"{path}/BatchNorm_0"](x) + bias

    x = nchw(layers["Synthesis_0/Dense_0"](z).reshape(-1, 2, 2, 4))
    for index in (0, 1):
        block = f"Synthesis_0/GeneratorBlock_{index}"
        h = F.relu(norm(f"{block}/ConditionalBatchNorm_0", x))
        h = layers[f"{block}/Conv_0"](F.interpolate(h, scale_factor=2))
        h = F.relu(norm(f"{block}/ConditionalBatchNorm_1", h))
        shortcut = nchw(layers[f"{block}/Dense_0"](nhwc(F.interpolate(x, scale_factor=2))))
        x = layers[f"{block}/Conv_1"](h) + shortcut
    x = F.relu(layers["Synthesis_0/BatchNorm_0"](x))
    return torch.tanh(layers["Synthesis_0/Conv_0"](x))


def judge(layers: Layers, x: Tensor, y: Tensor) -> Tensor:
    for index, first in enumerate((True, False)):
        block = f"DiscriminatorBlock_{index}"
        h = layers[f"{block}/Conv_0"](x if first else F.relu(x))
        h = layers[f"{block}/Conv_1"](F.relu(h))
        if first:
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        x = h + nchw(layers[f"{block}/Dense_0"](nhwc(x)))
    h = F.relu(x).sum((2, 3))
    return layers["head/Dense_0"](h)[:, 0] + (layers["head/Embed_0"](y) * h).sum(1)


@contextmanager
def kept(layers: Layers) -> Iterator[None]:
    """Running averages and vectors of power iterations are afterwards what they were before."""
    before = [{name: x.clone() for name, x in m.named_buffers()} for m in layers.values()]
    yield
    for layer, buffers in zip(layers.values(), before, strict=True):
        layer.load_state_dict(buffers, strict=False)


class Theirs:
    """The same GAN, and its iterations, in PyTorch."""

    def __init__(self, state: Any):
        self.nets = {name: make_layers(getattr(state, name)) for name in PLAYERS}
        self.optimizers = {
            name: torch.optim.Adam(
                nn.ModuleList(layers.values()).parameters(), RATE, BETAS, EPSILON
            )
            for name, layers in self.nets.items()
        }

    def step(self, player: str, loss: Tensor) -> float:
        self.optimizers[player].zero_grad()
        loss.backward()
        self.optimizers[player].step()
        return loss.item()

    def iterate(self, batch: dict[str, np.ndarray]) -> dict[str, float]:
        g, d = (self.nets[name] for name in PLAYERS)
        parts = [
            [torch.tensor(batch[name][part::PARTS]) for name in ("image", "latent", "label")]
            for part in range(PARTS)
        ]
        loss_d = np.nan
        for images, z, y in parts:
            with torch.no_grad(), kept(g):
                fakes = generate(g, z, y)
            loss = F.relu(1 - judge(d, nchw(images), y)).mean()
            loss_d = self.step("discriminator", loss + F.relu(1 + judge(d, fakes, y)).mean())
        _, z, y = parts[0]
        with kept(d):
            loss_g = self.step("generator", -judge(d, generate(g, z, y), y).mean())
        return {"loss_d": loss_d, "loss_g": loss_g}


def arrays_of(net: Any, layers: Layers) -> Iterator[tuple[str, np.ndarray, Tensor]]:
    """All parameters and statistics of a network: name, ours, theirs."""
    for path, arrays in paths(net.params):
        layer = layers[path]
        for name, array in arrays.items():
            if name == "bias":
                yield f"{path} bias", array, layer.bias
            else:
                weight = getattr(layer, "weight_orig", layer.weight)
                ours = kernel_of(np.asarray(array)) if name == "kernel" else array
                yield f"{path} {name}", np.asarray(ours), weight
    for path, arrays in paths(net.collections.get("batch_stats", {})):
        layer = layers[path]
        for name, array in arrays.items():
            if name == "var":
                yield f"{path} var", array, biased_variance(layer)
            else:
                yield f"{path} {name}", array, layer.get_buffer(BUFFERS[name])


@pytest.mark.slow
def test_five_iterations_agree_in_float64():
    random = np.random.default_rng(0)
    gan = system()
    update = chain(
        repeat(update_discriminator(gan), PARTS), on_part(update_generator(gan), 0, PARTS)
    )

    def draw() -> dict[str, np.ndarray]:
        n = PARTS * BATCH
        return {
            "image": random.uniform(-1, 1, (n, 8, 8, 2)),
            "latent": random.normal(size=(n, LATENT)),
            "label": random.integers(0, CLASSES, n),
        }

    with jax.enable_x64(True):
        state = jax.jit(lambda key: init(gan, key, draw(), update))(jax.random.key(0))
        state = jax.tree.map(
            lambda x: x.astype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
        )
        # Tables of ones and zeros would say nothing of labels.
        state = state.replace(
            **{
                name: (net := getattr(state, name)).replace(
                    params=jax.tree.map(lambda x: x + 0.2 * random.normal(size=x.shape), net.params)
                )
                for name in PLAYERS
            }
        )
        theirs = Theirs(state)
        step = jax.jit(make_step(update))
        for _ in range(ITERATIONS):
            batch = draw()
            state, metrics = step(state, batch, jax.random.key(1))
            expected = theirs.iterate(batch)
            for name, value in expected.items():
                np.testing.assert_allclose(metrics[name], value, rtol=1e-11, err_msg=name)
            for player in PLAYERS:
                for name, ours, wanted in arrays_of(getattr(state, player), theirs.nets[player]):
                    wanted = wanted.detach().numpy()
                    assert ours.dtype == wanted.dtype == np.float64
                    atol = 1e-11 * np.abs(wanted).max()
                    np.testing.assert_allclose(ours, wanted, 0, atol, err_msg=f"{player} {name}")
