"""The vision transformers of DINOv2 and of CLIP in PyTorch, NCHW.

Written from what the papers and model cards say, of PyTorch's own attention, with the names of the
published weights. They share nothing with jaxgan's functions, which are compared with them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Scale(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


class DinoAttention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, 2)
        )
        found = F.scaled_dot_product_attention(queries, keys, values)
        return self.proj(found.transpose(1, 2).flatten(2))


class DinoMlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class DinoBlock(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = DinoAttention(width, heads)
        self.ls1 = Scale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = DinoMlp(width)
        self.ls2 = Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Dino(nn.Module):
    def __init__(self, width: int, depth: int, heads: int, patch: int, grid: int):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid**2, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.Sequential(*(DinoBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.grid = grid

    def positions(self, count: int) -> Tensor:
        """For `count` patches along a side, unless the parameter is."""
        if count == self.grid:
            return self.pos_embed
        first, others = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        square = others.unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        factor = (count + 0.1) / self.grid
        found = F.interpolate(square, scale_factor=(factor, factor), mode="bicubic")
        return torch.cat([first, found.flatten(2).transpose(1, 2)], 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.patch_embed["proj"](images)
        x = torch.cat(
            [self.cls_token.expand(len(images), -1, -1), maps.flatten(2).transpose(1, 2)], 1
        )
        return self.norm(self.blocks(x + self.positions(maps.shape[-1])))


class QuickGelu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class ClipBlock(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", QuickGelu())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.ln_1(x)
        x = x + self.attn(seen, seen, seen, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Clip(nn.Module):
    """The image tower; its features are not yet brought to length 1."""

    def __init__(self, width: int, depth: int, heads: int, patch: int, grid: int, features: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(1 + grid**2, width))
        self.ln_pre = nn.LayerNorm(width)
        blocks = nn.Sequential(*(ClipBlock(width, heads) for _ in range(depth)))
        self.transformer = nn.ModuleDict({"resblocks": blocks})
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, features))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(images), 1, -1)
        x = self.ln_pre(torch.cat([first, tokens], 1) + self.positional_embedding)
        return self.ln_post(self.transformer["resblocks"](x)[:, 0]) @ self.proj


def randomize(network: nn.Module, seed: int) -> None:
    """Draws all parameters; those of norms and scales near 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            near = 1.0 if name.endswith(("norm.weight", "gamma")) or "ln_" in name else 0.0
            drawn = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.copy_(near + 0.2 * drawn)
