"""InceptionV3 as the Frechet Inception distance uses it: TensorFlow's graph of 2015-12-05.

It differs from the paper's network, and from torchvision's: average pooling excludes the padding,
the last block uses max pooling, and there are 1,008 classes. The layers are named as in the widely
used PyTorch port.

Sources: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2015); Heusel
et al., "GANs Trained by a Two Time-Scale Update Rule" (2017), for the graph.
"""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

SIZE = 299  # height and width of the network's input
SHAPE = (SIZE, SIZE, 3)
CLASSES = 1008

Maps = Float[Array, "B _ _ _"]  # [B, H, W, C]


class Inception(nn.Module):
    """The network, for inference only: batch norm always uses running averages."""

    def setup(self):
        """Declares the layer from features to logits."""
        self.fc = nn.Dense(CLASSES)

    @nn.compact
    def features(self, images: Maps) -> Float[Array, "B 2048"]:
        """Maps images `[B, 299, 299, 3]`, scaled to -1..1, to features `[B, 2048]`."""
        x = ConvUnit(32, 3, 3, 2, "VALID", name="Conv2d_1a_3x3")(images)  # [B, 149, 149, 32]
        x = ConvUnit(32, 3, 3, 1, "VALID", name="Conv2d_2a_3x3")(x)
        x = _halve(ConvUnit(64, 3, 3, name="Conv2d_2b_3x3")(x))  # [B, 73, 73, 64]
        x = ConvUnit(80, 1, 1, name="Conv2d_3b_1x1")(x)
        x = _halve(ConvUnit(192, 3, 3, 1, "VALID", name="Conv2d_4a_3x3")(x))  # [B, 35, 35, 192]
        x = BlockA(32, name="Mixed_5b")(x)
        x = BlockA(64, name="Mixed_5c")(x)
        x = BlockA(64, name="Mixed_5d")(x)
        x = BlockB(name="Mixed_6a")(x)  # [B, 17, 17, 768]
        x = BlockC(128, name="Mixed_6b")(x)
        x = BlockC(160, name="Mixed_6c")(x)
        x = BlockC(160, name="Mixed_6d")(x)
        x = BlockC(192, name="Mixed_6e")(x)
        x = BlockD(name="Mixed_7a")(x)  # [B, 8, 8, 1280]
        x = BlockE(_average, name="Mixed_7b")(x)
        x = BlockE(_maximum, name="Mixed_7c")(x)  # [B, 8, 8, 2048]
        return x.mean((1, 2))

    def __call__(self, images: Maps, train: Literal[False] = False) -> Float[Array, "B 1008"]:
        """Maps images as above to logits `[B, 1008]`."""
        del train  # part of every network's signature
        return self.fc(self.features(images))


class ConvUnit(nn.Module):
    """A convolution without bias, batch norm, and ReLU."""

    features: int
    height: int  # of the kernel
    width: int
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Maps `[B, H, W, C]` to `[B, P, Q, features]`."""
        size, strides = (self.height, self.width), (self.stride, self.stride)
        x = nn.Conv(self.features, size, strides, self.padding, use_bias=False, name="conv")(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x))


def _chain(x: Maps, name: str, *units: tuple) -> Maps:
    """Applies the units `name_1`, `name_2`, ... in sequence."""
    for number, settings in enumerate(units, 1):
        x = ConvUnit(*settings, name=f"{name}_{number}")(x)
    return x


def _average(x: Maps) -> Maps:
    """Averages each pixel and its neighbors, without the padding."""
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def _maximum(x: Maps) -> Maps:
    return nn.max_pool(x, (3, 3), padding="SAME")


def _halve(x: Maps) -> Maps:
    return nn.max_pool(x, (3, 3), (2, 2))


def _join(*branches: Maps) -> Maps:
    return jnp.concatenate(branches, -1)


class BlockA(nn.Module):
    """Branches: 1x1, 5x5, two 3x3, and average pooling."""

    pool_features: int

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Maps `[B, H, W, C]` to `[B, H, W, 224 + pool_features]`."""
        return _join(
            ConvUnit(64, 1, 1, name="branch1x1")(x),
            _chain(x, "branch5x5", (48, 1, 1), (64, 5, 5)),
            _chain(x, "branch3x3dbl", (64, 1, 1), (96, 3, 3), (96, 3, 3)),
            ConvUnit(self.pool_features, 1, 1, name="branch_pool")(_average(x)),
        )


class BlockB(nn.Module):
    """Branches: 3x3, two 3x3, and max pooling, each of stride 2."""

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Maps `[B, H, W, C]` to `[B, (H - 1) // 2, (W - 1) // 2, 480 + C]`."""
        return _join(
            ConvUnit(384, 3, 3, 2, "VALID", name="branch3x3")(x),
            _chain(x, "branch3x3dbl", (64, 1, 1), (96, 3, 3), (96, 3, 3, 2, "VALID")),
            _halve(x),
        )


class BlockC(nn.Module):
    """Branches: 1x1, a factored 7x7, two factored 7x7, and average pooling."""

    narrow: int  # channels within the branches

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Maps `[B, H, W, C]` to `[B, H, W, 768]`."""
        c = self.narrow
        double = (c, 1, 1), (c, 7, 1), (c, 1, 7), (c, 7, 1), (192, 1, 7)
        return _join(
            ConvUnit(192, 1, 1, name="branch1x1")(x),
            _chain(x, "branch7x7", (c, 1, 1), (c, 1, 7), (192, 7, 1)),
            _chain(x, "branch7x7dbl", *double),
            ConvUnit(192, 1, 1, name="branch_pool")(_average(x)),
        )


class BlockD(nn.Module):
    """Branches: 3x3, a factored 7x7 with a 3x3, and max pooling, each of stride 2."""

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Maps `[B, H, W, C]` to `[B, (H - 1) // 2, (W - 1) // 2, 512 + C]`."""
        last = (192, 3, 3, 2, "VALID")
        return _join(
            _chain(x, "branch3x3", (192, 1, 1), (320, 3, 3, 2, "VALID")),
            _chain(x, "branch7x7x3", (192, 1, 1), (192, 1, 7), (192, 7, 1), last),
            _halve(x),
        )


class BlockE(nn.Module):
    """Branches: 1x1, 3x3, two 3x3, with the last 3x3 of each split in two, and pooling."""

    pool: Callable[[Maps], Maps]

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Maps `[B, H, W, C]` to `[B, H, W, 2048]`."""
        single = _chain(x, "branch3x3", (384, 1, 1))
        double = _chain(x, "branch3x3dbl", (448, 1, 1), (384, 3, 3))
        return _join(
            ConvUnit(320, 1, 1, name="branch1x1")(x),
            ConvUnit(384, 1, 3, name="branch3x3_2a")(single),
            ConvUnit(384, 3, 1, name="branch3x3_2b")(single),
            ConvUnit(384, 1, 3, name="branch3x3dbl_3a")(double),
            ConvUnit(384, 3, 1, name="branch3x3dbl_3b")(double),
            ConvUnit(192, 1, 1, name="branch_pool")(self.pool(x)),
        )
