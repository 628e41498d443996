"""Resampling, equalized, modulated and grouped layers against PyTorch, by their definitions."""

import jax
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_parity, draw_like
from filters import blur, downsample, enlarged, nchw, nhwc, oihw, upsample

from jaxgan.nn import resampling
from jaxgan.nn.equalized import EqualizedConv, EqualizedDense, ModulatedConv, convolve_same
from jaxgan.nn.grouped import GroupedConv
from jaxgan.nn.minibatch import minibatch_deviation

KEY = jax.random.key(0)
X = np.random.default_rng(1).normal(size=(4, 4, 6, 3))
KERNEL = np.random.default_rng(2).normal(size=(3, 3, 3, 2))
STYLES = np.random.default_rng(3).normal(size=(4, 5))


def same(x, kernel):
    return F.conv2d(x, kernel, padding=1)


def up(x, kernel):
    return F.conv2d(enlarged(x), kernel.flip(2, 3))


def down(x, kernel):
    return F.conv2d(blur(x, 2, 2), kernel, stride=2)


CONVOLUTIONS = {
    "same": (convolve_same, same),
    "up": (resampling.convolve_up, up),
    "down": (resampling.convolve_down, down),
}
each_convolution = pytest.mark.parametrize(
    "ours, theirs", CONVOLUTIONS.values(), ids=list(CONVOLUTIONS)
)


def test_upsample():
    assert_parity(resampling.upsample, lambda x: nhwc(upsample(nchw(x))), X)


def test_downsample():
    assert_parity(resampling.downsample, lambda x: nhwc(downsample(nchw(x))), X)


@each_convolution
def test_convolutions(ours, theirs):
    def reference(x, kernel):
        return nhwc(theirs(nchw(x), oihw(kernel)))

    assert_parity(ours, reference, X, KERNEL)


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_equalized_dense(multiplier):
    layer = EqualizedDense(4, multiplier)
    params = draw_like(jax.eval_shape(layer.init, KEY, X))

    def theirs(variables, x):
        params = variables["params"]
        weight = params["kernel"].T * multiplier / 3**0.5
        return F.linear(x, weight, multiplier * params["bias"])

    assert_parity(layer.apply, theirs, params, X)


@each_convolution
def test_equalized_conv(ours, theirs):
    layer = EqualizedConv(2, ours)

    def reference(variables, x):
        params = variables["params"]
        return nhwc(theirs(nchw(x), oihw(params["kernel"]) / 27**0.5)) + params["bias"]

    assert_parity(layer.apply, reference, draw_like(jax.eval_shape(layer.init, KEY, X)), X)


@each_convolution
def test_modulated_conv(ours, theirs):
    """Each example convolved by itself, with its own kernel."""
    layer = ModulatedConv(2, ours)

    def reference(variables, x, styles):
        params = variables["params"]
        affine = params["affine"]
        scales = styles @ affine["kernel"] / 5**0.5 + affine["bias"]
        outputs = []
        for image, scale in zip(nchw(x), scales, strict=True):
            weight = oihw(params["kernel"]) * scale.reshape(1, -1, 1, 1)
            norm = ((weight**2).sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            outputs.append(theirs(image[None], weight / norm))
        return nhwc(torch.cat(outputs))

    params = draw_like(jax.eval_shape(layer.init, KEY, X, STYLES))
    assert_parity(layer.apply, reference, params, X, STYLES)


@pytest.mark.parametrize("group", [2, 4])
def test_minibatch_deviation(group):
    def theirs(x):
        groups = x.unflatten(0, (group, -1))
        deviations = (groups.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
        column = deviations.repeat(group).reshape(-1, 1, 1, 1)
        return torch.cat([x, column.expand(*x.shape[:3], 1)], -1)

    assert_parity(lambda x: minibatch_deviation(x, group), theirs, X)


@pytest.mark.parametrize("groups", [1, 3])
def test_grouped_conv(groups):
    layer = GroupedConv(6, 3, groups)

    def theirs(variables, x):
        params = variables["params"]
        kernel = oihw(params["kernel"])
        return nhwc(F.conv2d(nchw(x), kernel, params["bias"], padding=1, groups=groups))

    assert_parity(layer.apply, theirs, draw_like(jax.eval_shape(layer.init, KEY, X)), X)
