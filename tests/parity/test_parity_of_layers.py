"""Every layer of ours against PyTorch's: forward, and the gradients by inputs and parameters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from jaxgan.nn.convolution.bilinear import convolve, transpose
from jaxgan.nn.layers import Conv, ConvTranspose, Dropout, FanInDense, batch_norm

SEEDS = st.integers(0, 2**32 - 1)
FEW = st.integers(1, 4)  # examples, channels
compiled = settings(max_examples=10, deadline=None)  # each new shape is compiled


@pytest.fixture(scope="module", autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def draw(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape) for shape in shapes]


def assert_same(ours: Callable, theirs: Callable[..., Tensor], *arrays: np.ndarray) -> None:
    """Compares outputs, and the gradients by every array, of two functions of the same arrays."""
    inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = theirs(*inputs)
    (cotangent,) = draw(0, tuple(expected.shape))
    expected.backward(torch.tensor(cotangent))
    outputs, pullback = jax.vjp(ours, *map(jnp.asarray, arrays))
    np.testing.assert_allclose(outputs, expected.detach(), rtol=1e-9, atol=1e-11)
    for gradient, given_to in zip(pullback(jnp.asarray(cotangent)), inputs, strict=True):
        assert given_to.grad is not None
        np.testing.assert_allclose(gradient, given_to.grad, rtol=1e-9, atol=1e-11)


def nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def to_torch(kernel: Tensor) -> Tensor:
    """HWIO to OIHW, and a transposed convolution's [h, w, out, in] to [in, out, h, w]."""
    return kernel.permute(3, 2, 0, 1).contiguous()


def same_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """SAME, as TensorFlow defines it: ceil(size / stride) outputs, the odd zero at the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@pytest.mark.slow
@given(SEEDS, st.lists(FEW, max_size=2), FEW, FEW)
@compiled
def test_fan_in_dense(seed, batch, fan_in, features):
    x, kernel, bias = draw(seed, (*batch, fan_in), (fan_in, features), (features,))
    assert_same(
        lambda x, kernel, bias: FanInDense(features).apply(
            {"params": {"kernel": kernel, "bias": bias}}, x
        ),
        lambda x, kernel, bias: F.linear(x, kernel.T, bias),
        x, kernel, bias,
    )  # fmt: skip


@given(
    SEEDS, FEW, FEW, FEW, st.integers(1, 11), st.integers(1, 11), st.integers(1, 6),
    st.integers(1, 4), st.sampled_from(["SAME", "VALID"]),
)  # fmt: skip
@compiled
def test_conv(seed, batch, channels, features, height, width, size, stride, padding):
    if padding == "VALID":
        height, width = max(height, size), max(width, size)
    shape = (size, size, channels, features)
    x, kernel, bias = draw(seed, (batch, height, width, channels), shape, (features,))
    top, bottom = same_pads(height, size, stride)
    left, right = same_pads(width, size, stride)

    def theirs(x, kernel, bias):
        x = nchw(x)
        if padding == "SAME":
            x = F.pad(x, (left, right, top, bottom))
        return nhwc(F.conv2d(x, to_torch(kernel), bias, stride))

    layer = Conv(features, size, stride, padding)
    assert_same(
        lambda x, kernel, bias: layer.apply({"params": {"kernel": kernel, "bias": bias}}, x),
        theirs, x, kernel, bias,
    )  # fmt: skip


@given(
    SEEDS, FEW, FEW, FEW, st.integers(1, 7), st.integers(1, 7), st.integers(1, 6),
    st.integers(1, 4), st.booleans(),
)  # fmt: skip
@compiled
def test_conv_transpose(seed, batch, channels, features, height, width, size, stride, use_bias):
    """SAME is PyTorch's without padding, `(H - 1) * stride + size` rows, cut to `H * stride`."""
    shape = (size, size, features, channels)
    x, kernel, bias = draw(seed, (batch, height, width, channels), shape, (features,))
    cut = max(size - stride, 0)
    top, bottom = cut // 2, cut - cut // 2
    short = max(stride - size, 0)  # a small kernel leaves rows that nothing reaches

    def theirs(x, kernel, bias):
        full = F.conv_transpose2d(nchw(x), to_torch(kernel), None, stride, padding=top)
        over = bottom - top  # `padding` cuts the same from both ends
        full = F.pad(full, (0, short - over, 0, short - over))
        return nhwc(full) + (bias if use_bias else 0 * bias)

    def ours(x, kernel, bias):
        params = {"kernel": kernel, "bias": bias} if use_bias else {"kernel": kernel}
        return ConvTranspose(features, size, stride, use_bias).apply({"params": params}, x)

    assert_same(ours, theirs, x, kernel, bias)


@pytest.mark.slow
@given(SEEDS, FEW, st.integers(1, 7), st.integers(1, 4), st.integers(0, 2))
@compiled
def test_conv_transpose_is_pytorchs_padding_and_output_padding(seed, channels, size, stride, half):
    """Where the zeros of SAME are as many at both ends, no cutting is needed."""
    kernel_size = stride + 2 * half
    x, kernel = draw(seed, (2, size, size, channels), (kernel_size, kernel_size, 3, channels))
    layer = torch.nn.ConvTranspose2d(channels, 3, kernel_size, stride, padding=half, bias=False)

    def theirs(x, kernel):
        weight = {"weight": to_torch(kernel)}
        return nhwc(torch.func.functional_call(layer, weight, nchw(x)))

    assert_same(
        lambda x, kernel: ConvTranspose(3, kernel_size, stride, False).apply(
            {"params": {"kernel": kernel}}, x
        ),
        theirs, x, kernel,
    )  # fmt: skip


def test_convolutions_of_a_translating_network():
    """CycleGAN's: reflected pixels, and a transposed convolution of 3 x 3 that doubles sizes."""
    x, kernel, bias = draw(0, (2, 5, 6, 3), (7, 7, 3, 4), (4,))

    def reflected(x, kernel, bias):
        x = F.pad(nchw(x), (3, 3, 3, 3), "reflect")
        return nhwc(F.conv2d(x, to_torch(kernel), bias))

    layer = Conv(4, 7, padding="REFLECT")
    assert_same(
        lambda x, kernel, bias: layer.apply({"params": {"kernel": kernel, "bias": bias}}, x),
        reflected, x, kernel, bias,
    )  # fmt: skip
    (kernel,) = draw(1, (3, 3, 4, 3))
    doubling = ConvTranspose(4, 3, 2, padding=((1, 1), (1, 1)))
    assert_same(
        lambda x, kernel, bias: doubling.apply({"params": {"kernel": kernel, "bias": bias}}, x),
        lambda x, kernel, bias: nhwc(
            F.conv_transpose2d(nchw(x), to_torch(kernel), bias, 2, padding=1, output_padding=1)
        ),
        x, kernel, bias,
    )  # fmt: skip


@pytest.mark.slow
@given(
    SEEDS, FEW, FEW, FEW, st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)), st.integers(1, 4),
    st.tuples(*[st.integers(0, 3)] * 4),
)  # fmt: skip
@compiled
def test_convolutions_of_any_padding(seed, batch, channels, features, size, kernel, stride, pads):
    """Rectangular kernels, other zeros on each side; and the adjoint, by PyTorch's own gradient."""
    top, bottom, left, right = pads
    padding = ((top, bottom), (left, right))
    height = max(size[0], kernel[0] - top - bottom)
    width = max(size[1], kernel[1] - left - right)
    x, weight = draw(seed, (batch, height, width, channels), (*kernel, channels, features))

    def convolved(x, weight):
        padded = F.pad(nchw(x), (left, right, top, bottom))
        return nhwc(F.conv2d(padded, to_torch(weight), None, stride))

    assert_same(lambda x, weight: convolve(x, weight, stride, padding), convolved, x, weight)

    def transposed(y, weight):
        at = torch.zeros(x.shape, dtype=torch.float64, requires_grad=True)
        (adjoint,) = torch.autograd.grad(convolved(at, weight), at, y, create_graph=True)
        return adjoint

    (y,) = draw(seed, tuple(convolved(torch.tensor(x), torch.tensor(weight)).shape))
    assert_same(
        lambda y, weight: transpose(y, weight, stride, padding, (height, width)),
        transposed, y, weight,
    )  # fmt: skip


@pytest.mark.slow
@given(
    SEEDS, st.integers(2, 5), st.sampled_from([(), (1, 1), (3, 1), (2, 4)]), FEW,
    st.floats(0.5, 0.999), st.floats(1e-5, 1e-1), st.booleans(),
)  # fmt: skip
@compiled
def test_batch_norm(seed, batch, size, features, momentum, epsilon, train):
    """Of vectors and of feature maps, in training and after it, and how its averages move."""
    shape, each = (batch, *size, features), (features,)
    x, scale, bias, mean, variance = draw(seed, shape, each, each, each, each)
    stats = {"mean": mean, "var": variance**2}
    layer = batch_norm(momentum, epsilon, train)()
    to, back = (nchw, nhwc) if size else (Tensor.clone, Tensor.clone)

    def ours(x, scale, bias) -> Any:
        variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
        return layer.apply(variables, x, mutable=["batch_stats"])

    averages = (torch.tensor(mean), torch.tensor(variance**2))

    def theirs(x, scale, bias):
        return back(F.batch_norm(to(x), *averages, scale, bias, train, 1 - momentum, epsilon))

    assert_same(lambda *arrays: ours(*arrays)[0], theirs, x, scale, bias)  # theirs moves averages
    moved: Any = ours(x, scale, bias)[1]["batch_stats"]
    np.testing.assert_allclose(moved["mean"], averages[0], rtol=1e-9, atol=1e-12)
    excess = np.zeros(features)
    if train:
        n = x.size // features  # PyTorch's average follows the variance times n / (n - 1)
        excess = (1 - momentum) * x.reshape(n, features).var(axis=0) / (n - 1)
    np.testing.assert_allclose(moved["var"], averages[1].numpy() - excess, rtol=1e-9)


@pytest.mark.slow
@given(SEEDS, st.integers(1, 4), st.lists(FEW, max_size=3), st.floats(0.05, 0.95))
@compiled
def test_dropout_with_its_mask(seed, batch, rest, rate):
    shape = (batch, *rest)
    rngs = {"dropout": jax.random.key(seed)}
    mask = np.asarray(Dropout(rate).apply({}, jnp.ones(shape), True, rngs=rngs)) != 0
    (x,) = draw(seed, shape)
    assert_same(
        lambda x: Dropout(rate).apply({}, x, True, rngs=rngs),
        lambda x: x * torch.tensor(mask) / (1 - rate),
        x,
    )
    assert_same(
        lambda x: Dropout(rate).apply({}, x, False), lambda x: F.dropout(x, rate, training=False), x
    )
