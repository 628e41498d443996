"""Residual networks against PyTorch's layers: blocks, attention, whole networks, and R1 of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_parity, draw_like, torch_with_slopes, with_slopes
from filters import nchw, nhwc, oihw
from flax import linen as nn
from torch import Tensor

from jaxgan.models import biggan, resnet, sagan
from jaxgan.nn import heads
from jaxgan.nn.attention import SelfAttention
from jaxgan.nn.layers import batch_norm
from jaxgan.nn.residual import DiscriminatorBlock, GeneratorBlock, halve, keep
from jaxgan.nn.spectral import plain

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(1)
LABELS = np.array([2, 0, 2], np.int32)
EPSILON = 2e-5


class Layers:
    """PyTorch's layers on the parameters of ours, by kind, in the order of their numbers."""

    def __init__(self, params: dict[str, Any], stats: dict[str, Any]):
        self.params, self.stats = params, stats
        self.taken: dict[str, int] = {}

    def next(self, kind: str) -> str:
        number = self.taken.get(kind, 0)
        self.taken[kind] = number + 1
        return f"{kind}_{number}"

    def within(self, name: str) -> "Layers":
        return Layers(self.params[name], self.stats.get(name, {}))

    def layer(self, name: str) -> tuple[Tensor, Tensor | None]:
        """A kernel, divided by its norm if the layer keeps a vector for that, and a bias."""
        own = self.params[name]
        (key,) = own.keys() - {"bias"}
        weight = own[key]
        if name in self.stats:
            matrix = weight.reshape(-1, weight.shape[-1])
            with torch.no_grad():
                v = F.normalize(matrix @ self.stats[name][f"{key}_u"], dim=0, eps=1e-12)
                u = F.normalize(matrix.T @ v, dim=0, eps=1e-12)
            weight = weight / (v @ matrix @ u)
        return weight, own.get("bias")

    def linear(self, x: Tensor) -> Tensor:
        weight, bias = self.layer(self.next("Dense"))
        return F.linear(x, weight.T, bias)

    def embed(self, labels: Tensor) -> Tensor:
        return self.layer(self.next("Embed"))[0][labels.long()]

    def conv(self, x: Tensor) -> Tensor:
        weight, bias = self.layer(self.next("Conv"))
        return F.conv2d(x, oihw(weight), bias, padding=1)

    def pointwise(self, x: Tensor, name: str | None = None) -> Tensor:
        weight, bias = self.layer(name or self.next("Dense"))
        return F.conv2d(x, weight.T[..., None, None], bias)

    def norm(self, x: Tensor, condition: Tensor | None) -> Tensor:
        def normalized(weight=None, bias=None):
            return F.batch_norm(x, None, None, weight, bias, training=True, eps=EPSILON)

        if condition is None:
            own = self.params[self.next("BatchNorm")]
            return normalized(own["scale"], own["bias"])
        own = self.within(self.next("ConditionalBatchNorm"))
        if condition.ndim == 1:
            gain, bias = own.embed(condition), own.embed(condition)
        else:
            gain, bias = 1 + own.linear(condition), own.linear(condition)
        return gain[..., None, None] * normalized() + bias[..., None, None]


def attention(own: Layers, x: Tensor) -> Tensor:
    keys = F.max_pool2d(own.pointwise(x, "key"), 2).flatten(2)
    values = F.max_pool2d(own.pointwise(x, "value"), 2).flatten(2)
    queries = own.pointwise(x, "query").flatten(2)
    weights = F.softmax(torch.bmm(queries.transpose(1, 2), keys), -1)
    attended = torch.bmm(values, weights.transpose(1, 2)).reshape(len(x), -1, *x.shape[2:])
    return x + own.params["gain"] * own.pointwise(attended, "output")


def generator_block(own: Layers, x: Tensor, condition: Tensor | None) -> Tensor:
    """In the order of the sources, which enlarge the shortcut first."""
    h = F.interpolate(F.relu(own.norm(x, condition)), scale_factor=2, mode="nearest")
    h = own.conv(h)
    h = own.conv(F.relu(own.norm(h, condition)))
    return h + own.pointwise(F.interpolate(x, scale_factor=2, mode="nearest"))


def discriminator_block(own: Layers, x: Tensor, halving: bool, first: bool) -> Tensor:
    """In the order of the sources, which pool the shortcut first in the first block alone."""
    h = own.conv(F.relu(own.conv(x if first else F.relu(x))))
    if first and halving:
        return F.avg_pool2d(h, 2) + own.pointwise(F.avg_pool2d(x, 2))
    shortcut = own.pointwise(x) if halving or h.shape != x.shape else x
    return F.avg_pool2d(h + shortcut, 2) if halving else h + shortcut


def images_of(own: Layers, codes: Tensor, conditions: list[Tensor | None], attend: int) -> Tensor:
    """Images from codes; the first map has our order of places and channels."""
    own = own.within("Synthesis_0")
    width = own.params["GeneratorBlock_0"]["Conv_0"]["kernel"].shape[2]
    x = own.linear(codes)
    side = int((x.shape[1] / width) ** 0.5)
    x = nchw(x.reshape(-1, side, side, width))
    for number, condition in enumerate(conditions, start=1):
        x = generator_block(own.within(own.next("GeneratorBlock")), x, condition)
        if number == attend:
            x = attention(own.within("SelfAttention_0"), x)
    return nhwc(torch.tanh(own.conv(F.relu(own.norm(x, None)))))


def features_of(own: Layers, x: Tensor, halvings: int, attend: int, pool=torch.sum) -> Tensor:
    x = nchw(x)
    for number in range(1, 1 + sum("Block" in name for name in own.params)):
        block = own.within(own.next("DiscriminatorBlock"))
        x = discriminator_block(block, x, number <= halvings, number == 1)
        if number == attend:
            x = attention(own.within("SelfAttention_0"), x)
    return pool(F.relu(x), (2, 3))


def prepare(module, theirs: Callable, *inputs: np.ndarray, **settings) -> tuple[Any, Any, Any]:
    """Parameters, and both networks as functions of them and inputs, each with one output."""
    shapes = jax.eval_shape(lambda *inputs: module.init(KEY, *inputs, **settings), *inputs)
    variables: Any = draw_like(dict(shapes), 0.5)
    stats = variables.pop("batch_stats", {})  # of which only u counts, and has no gradient
    tensors = jax.tree.map(torch.tensor, stats)

    def ours(variables, *inputs) -> Any:
        outputs: Any = module.apply(
            variables | {"batch_stats": stats}, *inputs, **settings, mutable=["batch_stats"]
        )[0]
        return joined(outputs, jnp.concatenate)

    return variables, ours, lambda v, *inputs: theirs(Layers(v["params"], tensors), *inputs)


def joined(outputs: Any, concatenate: Callable) -> Any:
    """All outputs of a head side by side, in the order of their names."""
    if not isinstance(outputs, dict):
        return outputs
    return concatenate([x.reshape(len(x), -1) for _, x in sorted(outputs.items())], 1)


def check(module, theirs: Callable, *inputs: np.ndarray, **settings) -> None:
    variables, ours, theirs = prepare(module, theirs, *inputs, **settings)
    assert_parity(ours, theirs, variables, *inputs)


def check_slopes(module, theirs: Callable, images: np.ndarray, *labels: np.ndarray) -> None:
    """Of scores, and of the squared slopes that R1 makes of them."""
    variables, ours, theirs = prepare(module, theirs, images, *labels, train=True)
    assert_parity(
        lambda v, x, *labels: with_slopes(lambda x: ours(v, x, *labels), x),
        lambda v, x, *labels: torch_with_slopes(lambda x: theirs(v, x, *labels), x),
        variables, images, *labels,
    )  # fmt: skip


def test_generator_block():
    check(
        GeneratorBlock(2, batch_norm(0.9, EPSILON, True)),
        lambda own, x: nhwc(generator_block(own, nchw(x), None)),
        RANDOM.normal(size=(3, 3, 2, 4)),
    )


@pytest.mark.parametrize(
    "features, halving, first",
    [(3, True, True), (3, True, False), (4, False, False), (3, False, False)],
    ids=["first", "halving", "wider", "same"],
)
def test_discriminator_block(features, halving, first):
    resize, activate = halve if halving else keep, keep if first else nn.relu
    check(
        DiscriminatorBlock(features, 2, resize, activate),
        lambda own, x: nhwc(discriminator_block(own, nchw(x), halving, first)),
        RANDOM.normal(size=(2, 5, 4, 3)),
    )


def test_self_attention():
    check(
        SelfAttention(),
        lambda own, x: nhwc(attention(own, nchw(x))),
        RANDOM.normal(size=(2, 5, 4, 8)),
    )


def test_a_generator_without_labels():
    check(
        resnet.Generator((4, 4, 3), (3, 5)),
        lambda own, z: images_of(own, z, [None], 0),
        RANDOM.normal(size=(3, 4)), train=True,
    )  # fmt: skip


WIDTHS = (3, 8, 5)  # with attention between two blocks


@pytest.mark.slow
def test_the_generator_of_sagan():
    check(
        sagan.Generator((8, 8, 3), WIDTHS, 3, (1,), epsilon=EPSILON),
        lambda own, z, labels: images_of(own, z, [labels] * 2, 1),
        RANDOM.normal(size=(3, 4)), LABELS, train=True,
    )  # fmt: skip


@pytest.mark.slow
def test_the_generator_of_biggan():
    def theirs(own, z, labels):
        codes = own.embed(labels)
        first, *others = z.chunk(3, 1)
        return images_of(own, first, [torch.cat([codes, part], 1) for part in others], 1)

    module = biggan.Generator(3, (8, 8, 3), WIDTHS, 5, (1,), epsilon=EPSILON)
    check(module, theirs, RANDOM.normal(size=(3, 6)), LABELS, train=True)


def projection(own: Layers, h: Tensor, labels: Tensor) -> Tensor:
    return own.linear(h)[:, 0] + (own.embed(labels) * h).sum(1)


def classifier(own: Layers, h: Tensor) -> dict[str, Tensor]:
    return {"score": own.linear(h), "logits": own.linear(h)}


def twins(own: Layers, h: Tensor) -> dict[str, Tensor]:
    return {"score": own.linear(h), "logits": own.linear(h), "twin_logits": own.linear(h)}


def contrastive(own: Layers, h: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return {
        "score": own.linear(h),
        "embedding": F.normalize(own.linear(h), dim=1),
        "proxies": F.normalize(own.embed(labels), dim=1),
    }


class Alone(nn.Module):
    """A head on its own, spectrally normalized or not."""

    head: nn.Module

    def __call__(self, features, *labels):
        given = labels or (None,)
        return self.head(features, *given, lambda layer: plain(layer, True))


@pytest.mark.parametrize(
    "head, theirs, labels",
    [
        (heads.AuxiliaryClassifier(3), classifier, ()),
        (heads.TwinClassifier(3), twins, ()),
        (heads.Contrastive(3, 5), contrastive, (LABELS,)),
    ],
    ids=["classifier", "twins", "contrastive"],
)
def test_heads_of_several_outputs(head, theirs, labels):
    check(
        Alone(head),
        lambda own, h, *labels: joined(theirs(own.within("head"), h, *labels), torch.cat),
        RANDOM.normal(size=(3, 4)), *labels,
    )  # fmt: skip


@pytest.mark.slow
def test_the_discriminator_of_sagan_and_its_slopes():
    check_slopes(
        sagan.Discriminator((8, 4, 4), 2, heads.Projection(3), (1,)),
        lambda own, x, labels: projection(own.within("head"), features_of(own, x, 2, 1), labels),
        RANDOM.normal(size=(3, 8, 8, 2)), LABELS,
    )  # fmt: skip


@pytest.mark.slow
def test_the_critic_of_wgan_gp_and_its_slopes():
    check_slopes(
        resnet.Discriminator((3, 2), 1, pool=jnp.mean, wrap=plain),
        lambda own, x: own.within("head").linear(features_of(own, x, 1, 0, torch.mean))[:, 0],
        RANDOM.normal(size=(2, 4, 4, 2)),
    )  # fmt: skip
