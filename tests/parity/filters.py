"""Images in PyTorch's layout, and the filter (1, 3, 3, 1) by the definition: zeros, then a sum."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def oihw(kernel: Tensor) -> Tensor:
    return kernel.permute(3, 2, 0, 1)


def blur(x: Tensor, before: int, after: int) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype)
    kernel = torch.outer(taps, taps) / 64
    channels = x.shape[1]
    padded = F.pad(x, (before, after, before, after))
    return F.conv2d(padded, kernel.expand(channels, 1, 4, 4), groups=channels)


def with_zeros(x: Tensor) -> Tensor:
    """Puts a zero after each row and column."""
    batch, channels, height, width = x.shape
    columns = torch.stack([x, torch.zeros_like(x)], -1).reshape(batch, channels, height, -1)
    rows = torch.stack([columns, torch.zeros_like(columns)], 3)
    return rows.reshape(batch, channels, 2 * height, 2 * width)


def upsample(x: Tensor) -> Tensor:
    return 4 * blur(with_zeros(x), 2, 1)


def downsample(x: Tensor) -> Tensor:
    return blur(x, 1, 1)[:, :, ::2, ::2]


def enlarged(x: Tensor) -> Tensor:
    """`upsample`, with one more row and column around, for an unpadded convolution of 3 x 3."""
    return 4 * blur(with_zeros(x), 3, 2)
