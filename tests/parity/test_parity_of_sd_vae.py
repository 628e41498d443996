"""The autoencoder of Stable Diffusion against PyTorch's layers, of weights from a file."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_parity
from filters import nchw, nhwc
from safetensors.torch import save_file
from torch import Tensor, nn

from jaxgan.interop import load_sd_vae
from jaxgan.models.sd_vae import Decoder, Encoder

GROUPS = 2
pytestmark = pytest.mark.usefixtures("attention_in_float64")


# PyTorch's network, with the names of diffusers.


class Resnet(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, inputs, 1e-6)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, outputs, 1e-6)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Identity()
        if inputs != outputs:
            self.conv_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        inside = self.conv1(F.silu(self.norm1(x)))
        return self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(inside)))


class Attention(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.group_norm = nn.GroupNorm(GROUPS, channels, 1e-6)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        places = self.group_norm(x).flatten(2).transpose(1, 2)
        products = self.to_q(places) @ self.to_k(places).transpose(1, 2)
        weights = (products / x.shape[1] ** 0.5).softmax(2)
        gathered = self.to_out[0](weights @ self.to_v(places))
        return x + gathered.transpose(1, 2).reshape(x.shape)


class Middle(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(channels, channels) for _ in range(2)])
        self.attentions = nn.ModuleList([Attention(channels)])

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Halving(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))  # a column at the right, a row at the bottom


class Doubling(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    def __init__(self, inputs: int, outputs: int, blocks: int, **resizing: nn.Module):
        super().__init__()
        widths = [inputs, *[outputs] * blocks]
        self.resnets = nn.Sequential(*map(Resnet, widths[:-1], widths[1:]))
        for name, layer in resizing.items():
            self.add_module(name, nn.Sequential(layer))

    def forward(self, x: Tensor) -> Tensor:
        for part in self.children():
            x = part(x)
        return x


def levels(widths: tuple[int, ...], blocks: int, name: str, resize: Any) -> nn.Sequential:
    """Levels of these widths, each but the last with a layer that resizes."""
    before = (widths[0], *widths[:-1])
    *others, last = (
        (inputs, outputs, blocks) for inputs, outputs in zip(before, widths, strict=True)
    )
    return nn.Sequential(*(Level(*x, **{name: resize(x[1])}) for x in others), Level(*last))


class Half(nn.Module):
    """What encoder and decoder have in common."""

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, ...], middle: int):
        super().__init__()
        self.conv_in = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.mid_block = Middle(middle)
        self.conv_norm_out = nn.GroupNorm(GROUPS, widths[-1], 1e-6)
        self.conv_out = nn.Conv2d(widths[-1], outputs, 3, padding=1)

    def out(self, x: Tensor) -> Tensor:
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class Down(Half):
    def __init__(self, outputs: int, widths: tuple[int, ...], blocks: int):
        super().__init__(3, outputs, widths, widths[-1])
        self.down_blocks = levels(widths, blocks, "downsamplers", Halving)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.mid_block(self.down_blocks(self.conv_in(x))))


class Up(Half):
    def __init__(self, inputs: int, widths: tuple[int, ...], blocks: int):
        super().__init__(inputs, 3, widths, widths[0])
        self.up_blocks = levels(widths, blocks, "upsamplers", Doubling)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.up_blocks(self.mid_block(self.conv_in(x))))


class Autoencoder(nn.Module):
    def __init__(self, latents: int, widths: tuple[int, ...], blocks: int):
        super().__init__()
        self.encoder = Down(2 * latents, widths, blocks)
        self.quant_conv = nn.Conv2d(2 * latents, 2 * latents, 1)
        self.post_quant_conv = nn.Conv2d(latents, latents, 1)
        self.decoder = Up(latents, widths[::-1], blocks + 1)

    def forward(self, player: str, x: Tensor) -> Tensor:
        if player == "encoder":
            mean, _ = self.quant_conv(self.encoder(x)).chunk(2, 1)
            return mean * 0.18215
        return self.decoder(self.post_quant_conv(x / 0.18215))


NAMES = {"kernel": "weight", "scale": "weight", "bias": "bias"}


def as_theirs(theirs: nn.Module, player: str, params: Any) -> Iterator[tuple[str, Tensor]]:
    """Parameters of ours, as tensors, by their names and in their order of axes in PyTorch."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        *layers, own = (entry.key for entry in path)
        owner = [] if "quant_conv" in layers[0] else [player]
        name = ".".join([*owner, *layers, NAMES[own]])
        leaf = leaf.permute(3, 2, 0, 1) if leaf.ndim == 4 else leaf.T if leaf.ndim == 2 else leaf
        yield name, leaf.reshape(theirs.get_parameter(name).shape)


@pytest.mark.parametrize(
    "widths, blocks, size",
    [((4,), 1, (3, 4)), ((4, 6), 2, (6, 6)), ((4, 6, 6, 8), 1, (16, 24))],
)
def test_both_halves_with_all_gradients(tmp_path, widths, blocks, size):
    latents = 2
    torch.manual_seed(0)
    theirs = Autoencoder(latents, widths, blocks)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, parameter.ndim == 1, 0.3)
    save_file(theirs.state_dict(), tmp_path / "vae.safetensors")
    encoder = Encoder(latents, widths, blocks, GROUPS)
    decoder = Decoder(3, widths, blocks + 1, GROUPS)
    loaded = load_sd_vae(tmp_path / "vae.safetensors", encoder, decoder)

    random = np.random.default_rng(0)
    small = tuple(side // 2 ** (len(widths) - 1) for side in size)
    read = {}
    for player, module, variables, shape in (
        ("encoder", encoder, loaded[0], (2, *size, 3)),
        ("decoder", decoder, loaded[1], (2, *small, latents)),
    ):
        params = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
        read |= dict(as_theirs(theirs, player, jax.tree.map(torch.tensor, params)))

        def ours(params, images, module=module):
            return module.apply({"params": params}, images, train=False)

        def run_theirs(params, images, player=player):
            weights = dict(as_theirs(theirs, player, params))
            found = torch.func.functional_call(theirs, weights, (player, nchw(images)))
            return nhwc(found)

        assert_parity(ours, run_theirs, params, random.normal(size=shape))
    written = theirs.state_dict()
    assert read.keys() == written.keys()
    assert all(torch.equal(read[name], written[name].double()) for name in read)
