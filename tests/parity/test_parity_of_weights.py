"""Networks with embeddings and spectral normalization, carried to PyTorch and back."""

from copy import deepcopy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from filters import nchw, nhwc
from flax import linen
from tiny_systems import to_float64
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from jaxgan.core.networks import Network
from jaxgan.core.networks import linen as network_of
from jaxgan.core.state import TrainState
from jaxgan.interop import from_torch_state_dict, layer_names, to_torch_state_dict
from jaxgan.models import conv, resnet, sagan
from jaxgan.nn import heads
from jaxgan.nn.layers import ConvTranspose
from jaxgan.nn.spectral import SpectralNorm

KEY = jax.random.key(0)
CLASSES, LATENT = 4, 5
RANDOM = np.random.default_rng(0)
LABELS = np.array([2, 0, 3])


class ByLabel(nn.Module):
    """Conditional batch norm."""

    def __init__(self, features: int, epsilon: float):
        super().__init__()
        self.gain, self.bias = (nn.Embedding(CLASSES, features) for _ in range(2))
        self.norm = nn.BatchNorm1d(features, epsilon, affine=False)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        gain, bias = (table(labels)[..., None] for table in (self.gain, self.bias))
        flat = x.reshape(*x.shape[:2], -1)
        return (gain * self.norm(flat) + bias).reshape(x.shape)


class SnganGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(LATENT, 2 * 3 * 4)
        self.blocks = nn.ModuleList()
        for inputs, outputs in ((4, 4), (4, 3)):
            block: Any = nn.Module()
            block.norm_0 = ByLabel(inputs, 2e-5)
            block.conv_0 = nn.Conv2d(inputs, outputs, 3, padding=1)
            block.norm_1 = ByLabel(outputs, 2e-5)
            block.conv_1 = nn.Conv2d(outputs, outputs, 3, padding=1)
            block.shortcut = nn.Linear(inputs, outputs)
            self.blocks.append(block)
        self.norm = nn.BatchNorm2d(3, 2e-5)
        self.colors = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = self.dense(z).reshape(-1, 4, 2, 3)
        block: Any
        for block in self.blocks:
            h = F.interpolate(F.relu(block.norm_0(x, labels)), scale_factor=2)
            h = block.conv_1(F.relu(block.norm_1(block.conv_0(h), labels)))
            x = h + F.interpolate(linear(block.shortcut, x), scale_factor=2)
        return torch.tanh(self.colors(F.relu(self.norm(x))))


class Attention(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(()))
        self.query, self.key, self.value, self.output = (
            spectral_norm(nn.Linear(inputs, outputs, bias=False))
            for inputs, outputs in (
                *((channels, channels // 8), (channels, channels // 8)),
                *((channels, channels // 2), (channels // 2, channels)),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        queries = linear(self.query, x).flatten(2)
        keys, values = (
            F.max_pool2d(linear(layer, x), 2).flatten(2) for layer in (self.key, self.value)
        )
        weights = (queries.transpose(1, 2) @ keys).softmax(-1)
        attended = (values @ weights.transpose(1, 2)).reshape(len(x), -1, *x.shape[2:])
        return x + self.gamma * linear(self.output, attended)


class SnganDiscriminator(nn.Module):
    def __init__(self, width: int = 4):
        super().__init__()
        self.blocks = nn.ModuleList()
        for inputs, outputs in ((2, width), (width, 3)):
            block: Any = nn.Module()
            block.conv_0 = spectral_norm(nn.Conv2d(inputs, width, 3, padding=1))
            block.conv_1 = spectral_norm(nn.Conv2d(width, outputs, 3, padding=1))
            block.shortcut = spectral_norm(nn.Linear(inputs, outputs))
            block.attention = self.attention(outputs)
            self.blocks.append(block)
        self.labels = spectral_norm(nn.Embedding(CLASSES, 3))
        self.score = spectral_norm(nn.Linear(3, 1))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        block: Any
        for block, first in zip(self.blocks, (True, False), strict=True):
            h = block.conv_1(F.relu(block.conv_0(x if first else F.relu(x))))
            x = h + linear(block.shortcut, x)
            x = block.attention(F.avg_pool2d(x, 2) if first else x)
        h = F.relu(x).sum((2, 3))
        return self.score(h)[:, 0] + (self.labels(labels) * h).sum(1)

    def attention(self, channels: int) -> nn.Module:
        return nn.Identity()


class SaganDiscriminator(SnganDiscriminator):
    def __init__(self):
        super().__init__(8)

    def attention(self, channels: int) -> nn.Module:
        return Attention(channels) if channels == 8 else nn.Identity()


class CganGenerator(nn.Module):
    """Conditional batch norm of units, also of those that become a map."""

    def __init__(self):
        super().__init__()
        self.dense_0 = nn.Linear(LATENT, 6)
        self.norm_0 = ByLabel(6, 1e-3)
        self.dense_1 = nn.Linear(6, 2 * 3 * 4)
        self.norm_1 = ByLabel(2 * 3 * 4, 1e-3)
        self.up_0 = nn.ConvTranspose2d(4, 3, 4, 2, 1)
        self.norm_2 = ByLabel(3, 1e-3)
        self.up_1 = nn.ConvTranspose2d(3, 1, 4, 2, 1)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = self.norm_0(F.relu(self.dense_0(z)), labels)
        x = self.norm_1(F.relu(self.dense_1(x)), labels).reshape(-1, 4, 2, 3)
        return torch.tanh(self.up_1(self.norm_2(F.relu(self.up_0(x)), labels)))


class CganDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_0, self.conv_1 = nn.Conv2d(1, 2, 5), nn.Conv2d(2, 3, 5)
        self.dense, self.score = nn.Linear(6, 7), nn.Linear(7, 1)
        self.labels = nn.Embedding(CLASSES, 7)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        for layer in (self.conv_0, self.conv_1):
            x = F.max_pool2d(F.leaky_relu(layer(x), 0.01), 2)
        x = F.leaky_relu(self.dense(x.flatten(1)), 0.01)
        return self.score(x)[:, 0] + (x * self.labels(labels)).sum(-1)


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    """A dense layer of the channels of images."""
    return nchw(layer(nhwc(x)))


PAIRS = {
    "SNGAN's G": (resnet.Generator((8, 12, 2), (4, 4, 3), CLASSES), SnganGenerator, (LATENT,)),
    "SNGAN's D": (
        resnet.Discriminator((4, 3), 1, heads.Projection(CLASSES)), SnganDiscriminator, (8, 12, 2),
    ),
    "SAGAN's D": (
        sagan.Discriminator((8, 3), 1, heads.Projection(CLASSES)), SaganDiscriminator, (8, 12, 2),
    ),
    "cGAN's G": (
        conv.Generator((8, 12, 1), 6, (4, 3), classes=CLASSES), CganGenerator, (LATENT,),
    ),
    "cGAN's D": (
        conv.Discriminator((2, 3), 7, classes=CLASSES), CganDiscriminator, (16, 20, 1),
    ),
}  # fmt: skip


def draw(network: Network, inputs) -> TrainState:
    """Parameters of which none is at its simple first value; running averages likewise."""
    params, collections = jax.tree.map(
        lambda x: x + 0.3 * RANDOM.normal(size=x.shape),
        to_float64(jax.jit(network.init)(KEY, inputs)),
    )
    return TrainState(params, jax.tree.map(jnp.abs, collections), opt_state=())


@pytest.mark.parametrize("name", PAIRS)
def test_networks_compute_the_same_in_pytorch_and_come_back_bit_for_bit(name):
    module, theirs, shape = PAIRS[name]
    network, twin = network_of(module), theirs().double().eval()
    x, labels = RANDOM.normal(size=(3, *shape)), LABELS
    with jax.enable_x64(True):
        inputs = jnp.asarray(x), jnp.asarray(labels)
        settings: Any = {"inputs": inputs, "layers": layer_names(twin.state_dict())}
        net = draw(network, inputs)
        weights = to_torch_state_dict(network, net, **settings)
        twin.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        outputs, _ = network.apply(net.params, net.collections, inputs, KEY, False)
        images = nchw(torch.from_numpy(x)) if x.ndim == 4 else torch.from_numpy(x)
        with torch.no_grad():
            expected = twin(images, torch.from_numpy(labels))
        if expected.ndim == 4:
            expected = nhwc(expected)
        np.testing.assert_allclose(outputs, expected.numpy(), rtol=1e-11, atol=1e-12)
        assert np.ptp(outputs) > 0.1
        blank = jax.tree.map(np.zeros_like, net)
        back = from_torch_state_dict(network, blank, twin.state_dict(), **settings)
    jax.tree.map(np.testing.assert_array_equal, back, net)


class Normalized(linen.Module):
    """A transposed convolution, whose outputs are flattened, and a dense layer."""

    @linen.compact
    def __call__(self, x, train: bool):
        x = SpectralNorm(ConvTranspose(3, 4, 2), train, axis=-2)(x)
        return SpectralNorm(linen.Dense(5), train)(x.reshape(len(x), -1))


def test_what_pytorch_has_normalized_comes_here():
    twin = nn.Sequential(
        spectral_norm(nn.ConvTranspose2d(2, 3, 4, 2, 1)),
        nn.Flatten(),
        spectral_norm(nn.Linear(2 * 4 * 3, 5)),
    ).double()
    images = RANDOM.normal(size=(3, 1, 2, 2))
    x = nchw(torch.from_numpy(images))
    with torch.no_grad():
        for _ in range(200):  # steps of the power iteration
            twin(x)
        expected = twin.eval()(x).numpy()
    network = network_of(Normalized())
    with jax.enable_x64(True):
        inputs = jnp.asarray(images)
        settings: Any = {"inputs": inputs, "layers": layer_names(twin.state_dict())}
        net = from_torch_state_dict(network, draw(network, inputs), twin.state_dict(), **settings)
        outputs, _ = network.apply(net.params, net.collections, inputs, KEY, False)
        weights = to_torch_state_dict(network, net, **settings)
    np.testing.assert_allclose(outputs, expected, rtol=1e-9)
    assert weights.keys() == twin.state_dict().keys()
    for name, array in twin.state_dict().items():
        np.testing.assert_allclose(weights[name], array, rtol=1e-6, err_msg=name)


def test_pytorchs_training_does_not_depend_on_the_lengths_of_its_vectors():
    layer = spectral_norm(nn.Linear(4, 3))
    other: Any = deepcopy(layer)
    other.parametrizations.weight[0]._v *= 3
    x = torch.randn(2, 4)
    torch.testing.assert_close(layer(x), other(x))
