"""Spectral, conditional batch and instance normalization against PyTorch's."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_close, assert_parity
from filters import nchw, nhwc
from flax import linen as nn
from torch.nn.utils import spectral_norm

from jaxgan.nn.layers import Conv, ConvTranspose
from jaxgan.nn.normalization import ConditionalBatchNorm, linear, one_plus, table
from jaxgan.nn.spectral import SpectralNorm

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
LABELS = np.array([0, 2, 2, 1], np.int32)

SPECTRAL = {
    # our layer, the axis of its outputs, how its kernel lies in PyTorch, PyTorch's layer, inputs
    "dense": (nn.Dense(4), -1, (1, 0), torch.nn.Linear(3, 4), RANDOM.normal(size=(2, 3))),
    "conv": (
        Conv(4, 3), -1, (3, 2, 0, 1), torch.nn.Conv2d(3, 4, 3, padding=1),
        RANDOM.normal(size=(2, 5, 5, 3)),
    ),
    "conv_transpose": (
        ConvTranspose(5, 4, 2), -2, (3, 2, 0, 1), torch.nn.ConvTranspose2d(3, 5, 4, 2, 1),
        RANDOM.normal(size=(2, 5, 5, 3)),
    ),
    "embed": (nn.Embed(4, 5), 0, (0, 1), torch.nn.Embedding(4, 5), np.array([0, 3, 0])),
    "embed_by_its_columns": (
        nn.Embed(4, 5), -1, (0, 1), torch.nn.Embedding(4, 5), np.array([0, 3, 0]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECTRAL)
def test_spectral_norm_step_by_step(name):
    layer, axis, order, theirs, x = SPECTRAL[name]
    # PyTorch takes the rows of a table for its outputs, unless it is told otherwise.
    dim = {"conv_transpose": 1, "embed_by_its_columns": 1}.get(name, 0)
    theirs = spectral_norm(theirs.double(), dim=dim)
    images = x.ndim == 4
    weight, u = theirs.weight_orig, theirs.get_buffer("weight_u")
    kernel = weight.detach().permute(*np.argsort(order)).numpy()
    kind = "embedding" if "embed" in name else "kernel"
    bias = {} if kind == "embedding" else {"bias": theirs.bias.detach().numpy()}

    @jax.jit
    def step(params, stats, x, cotangent):
        module = SpectralNorm(layer, True, axis)

        def run(params):
            return module.apply(
                {"params": params, "batch_stats": stats}, x, mutable=["batch_stats"]
            )

        outputs, pullback, moved = jax.vjp(run, params, has_aux=True)
        return outputs, pullback(cotangent)[0], moved["batch_stats"]

    with jax.enable_x64(True):
        params: Any = jax.tree.map(jnp.asarray, {kind: kernel} | bias)
        stats: Any = {f"{kind}_u": jnp.asarray(u.numpy().copy())}
        for _ in range(3):
            expected = theirs(nchw(torch.tensor(x)) if images else torch.tensor(x))
            expected = nhwc(expected) if images else expected
            cotangent = RANDOM.normal(size=tuple(expected.shape))
            expected_gradient, *_ = torch.autograd.grad(expected, weight, torch.tensor(cotangent))
            outputs, gradient, stats = step(params, stats, x, cotangent)
            assert_close(outputs, expected.detach())
            assert_close(gradient[kind], expected_gradient.permute(*np.argsort(order)))
            assert_close(stats[f"{kind}_u"], u)


def torch_norm(x, gain, bias, stats, train: bool):
    stats = stats["BatchNorm_0"]
    norm = F.batch_norm(
        nchw(x), stats["mean"].detach().clone(), stats["var"].detach().clone(), training=train,
        eps=1e-5,
    )  # fmt: skip
    return nhwc(gain[..., None, None] * norm + bias[..., None, None])


@pytest.mark.parametrize("train", [True, False])
def test_conditional_batch_norm_by_tables(train):
    ones, zeros = nn.initializers.ones, nn.initializers.zeros
    layer = ConditionalBatchNorm(table(3, ones), table(3, zeros), train)

    def theirs(params, stats, x, labels):
        gain, bias = (params[f"Embed_{i}"]["embedding"][labels.long()] for i in (0, 1))
        return torch_norm(x, gain, bias, stats, train)

    check(layer, theirs, {f"Embed_{i}": {"embedding": (3, 5)} for i in (0, 1)}, LABELS)


def test_conditional_batch_norm_by_linear_maps_of_codes():
    affine = linear(lambda layer: layer, nn.initializers.normal())
    layer = ConditionalBatchNorm(one_plus(affine), affine, True)

    def theirs(params, stats, x, codes):
        gain, bias = (codes @ params[f"Dense_{i}"]["kernel"] for i in (0, 1))
        return torch_norm(x, 1 + gain, bias, stats, True)

    check(
        layer, theirs, {f"Dense_{i}": {"kernel": (6, 5)} for i in (0, 1)},
        RANDOM.normal(size=(4, 6)),
    )  # fmt: skip


def check(layer, theirs, shapes, condition) -> None:
    params = jax.tree.map(
        lambda shape: RANDOM.normal(size=shape), shapes, is_leaf=lambda x: isinstance(x, tuple)
    )
    x = 3 + 2 * RANDOM.normal(size=(4, 3, 3, 5))
    stats = {"BatchNorm_0": {"mean": RANDOM.normal(size=5), "var": RANDOM.uniform(1, 2, 5)}}

    def ours(params, stats, x, condition):
        variables = {"params": params, "batch_stats": stats}
        return layer.apply(variables, x, condition, mutable=["batch_stats"])[0]

    if layer.train:  # averages do not count then, and PyTorch's function would move them
        assert_parity(
            lambda params, x, *others: ours(params, stats, x, *others),
            lambda params, x, *others: theirs(
                params, jax.tree.map(torch.tensor, stats), x, *others
            ),
            params, x, condition,
        )  # fmt: skip
    else:
        with torch.no_grad():
            expected = theirs(*jax.tree.map(torch.tensor, (params, stats, x, condition)))
        with jax.enable_x64(True):
            assert_close(jax.jit(ours)(params, stats, x, condition), expected)


def test_instance_norm_is_flaxs():
    params = {"scale": RANDOM.normal(size=5), "bias": RANDOM.normal(size=5)}
    assert_parity(
        lambda params, x: nn.InstanceNorm(epsilon=1e-5).apply({"params": params}, x),
        lambda params, x: nhwc(
            F.instance_norm(nchw(x), weight=params["scale"], bias=params["bias"], eps=1e-5)
        ),
        params, 3 + 2 * RANDOM.normal(size=(4, 3, 3, 5)),
    )  # fmt: skip
