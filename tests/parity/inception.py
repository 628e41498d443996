"""InceptionV3 as the Frechet Inception distance uses it, in PyTorch.

Written from the paper's figures 5 to 7 and table 1 and from what is said of the graph of
2015-12-05, with the names of the widely used port; NCHW. It shares nothing with jaxgan's network,
which is compared with it.
"""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)


def maximum(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 1, padding=1)


def halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2)


def unit(inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, pad=True):
    """Convolution, batch norm and ReLU; padded to keep the size, unless it is halved."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (height // 2, width // 2) if pad and stride == 1 else 0
    conv = nn.Conv2d(inputs, outputs, (height, width), stride, padding, bias=False)
    return nn.Sequential(
        OrderedDict(conv=conv, bn=nn.BatchNorm2d(outputs, eps=0.001), relu=nn.ReLU())
    )


class Mixed(nn.Module):
    """Branches side by side, the last of them pooling and, if `pooled` says so, a 1x1 unit.

    A stage of a branch is output channels, kernel (one number for a square) and stride (1 if left
    out); a dict of such stages forks, and its ends are joined.
    """

    def __init__(
        self, inputs: int, pool: Callable[[Tensor], Tensor], pooled: int | None, **branches: list
    ):
        super().__init__()
        self.pool = pool
        self.branches: list[list[list[str]]] = []  # names: of branches, their stages, their forks
        for name, stages in branches.items():
            channels, branch = inputs, []
            for number, stage in enumerate(stages, 1):
                place = name if len(stages) == 1 else f"{name}_{number}"
                forks = stage if isinstance(stage, dict) else {"": stage}
                for fork, spec in forks.items():
                    self.add_module(place + fork, unit(channels, *spec))
                branch.append([place + fork for fork in forks])
                channels = sum(spec[0] for spec in forks.values())
            self.branches.append(branch)
        self.branch_pool = unit(inputs, pooled, 1) if pooled else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for branch in self.branches:
            y = x
            for forks in branch:
                y = torch.cat([self.get_submodule(name)(y) for name in forks], 1)
            outputs.append(y)
        return torch.cat([*outputs, self.branch_pool(self.pool(x))], 1)


def block_5(inputs: int, pooled: int) -> Mixed:
    return Mixed(
        inputs,
        average,
        pooled,
        branch1x1=[(64, 1)],
        branch5x5=[(48, 1), (64, 5)],
        branch3x3dbl=[(64, 1), (96, 3), (96, 3)],
    )


def block_6(narrow: int) -> Mixed:
    row, column = (narrow, (1, 7)), (narrow, (7, 1))
    return Mixed(
        768,
        average,
        192,
        branch1x1=[(192, 1)],
        branch7x7=[(narrow, 1), row, (192, (7, 1))],
        branch7x7dbl=[(narrow, 1), column, row, column, (192, (1, 7))],
    )


def block_7(inputs: int, pool: Callable[[Tensor], Tensor]) -> Mixed:
    forks = {"a": (384, (1, 3)), "b": (384, (3, 1))}
    return Mixed(
        inputs,
        pool,
        192,
        branch1x1=[(320, 1)],
        branch3x3=[(384, 1), forks],
        branch3x3dbl=[(448, 1), (384, 3), forks],
    )


class FidInception(nn.Sequential):
    """From images [B, 3, 299, 299] in [-1, 1) to features [B, 2048] and logits [B, 1008]."""

    def __init__(self):
        reduction_6 = Mixed(
            288,
            halve,
            None,
            branch3x3=[(384, 3, 2)],
            branch3x3dbl=[(64, 1), (96, 3), (96, 3, 2)],
        )
        reduction_7 = Mixed(
            768,
            halve,
            None,
            branch3x3=[(192, 1), (320, 3, 2)],
            branch7x7x3=[(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)],
        )
        super().__init__(
            OrderedDict(
                Conv2d_1a_3x3=unit(3, 32, 3, 2),
                Conv2d_2a_3x3=unit(32, 32, 3, pad=False),
                Conv2d_2b_3x3=unit(32, 64, 3),
                pool_1=nn.MaxPool2d(3, 2),
                Conv2d_3b_1x1=unit(64, 80, 1),
                Conv2d_4a_3x3=unit(80, 192, 3, pad=False),
                pool_2=nn.MaxPool2d(3, 2),
                Mixed_5b=block_5(192, 32),
                Mixed_5c=block_5(256, 64),
                Mixed_5d=block_5(288, 64),
                Mixed_6a=reduction_6,
                Mixed_6b=block_6(128),
                Mixed_6c=block_6(160),
                Mixed_6d=block_6(160),
                Mixed_6e=block_6(192),
                Mixed_7a=reduction_7,
                Mixed_7b=block_7(1280, average),
                Mixed_7c=block_7(2048, maximum),
                pool_3=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                fc=nn.Linear(2048, 1008),
            )
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        *trunk, last = self
        for layer in trunk:
            x = layer(x)
        return x, last(x)


def random_state_dict(seed: int) -> dict[str, Tensor]:
    """Weights that keep signals of size 1, with batch statistics that are not 0 and 1."""
    random = np.random.default_rng(seed)
    with torch.device("meta"):
        shapes = {name: tuple(x.shape) for name, x in FidInception().state_dict().items()}

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name.endswith("num_batches_tracked"):
            return np.array(7)
        if name.endswith("running_var"):
            return random.uniform(0.5, 2, shape)
        if name.endswith("bn.weight"):
            return random.uniform(0.5, 1.5, shape)
        if len(shape) == 1:
            return random.normal(0, 0.3, shape)
        return random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)

    return {
        name: torch.tensor(draw(name, shape), dtype=torch.float32) for name, shape in shapes.items()
    }


def tensorflow_resize(images: np.ndarray) -> np.ndarray:
    """Bilinear to 299x299, pixel i being taken at i * size / 299; float64 [B, H, W, C]."""
    for axis in (1, 2):
        size = images.shape[axis]
        places = np.arange(299) * size / 299
        images = np.apply_along_axis(
            lambda line, size=size, places=places: np.interp(places, np.arange(size), line),
            axis,
            images,
        )
    return images
