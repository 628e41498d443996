"""Linen layers that Flax lacks."""

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import Array, lax
from jaxtyping import Float

from jaxgan import axes
from jaxgan.keys import per_example
from jaxgan.nn.convolution import convolve, same_padding, transpose
from jaxgan.types import Padding

Initializer = nn.initializers.Initializer


def uniform(bound: float) -> Initializer:
    """Makes an initializer that draws from U(-bound, bound).

    Args:
        bound: half the width of the interval.

    Returns:
        A Flax initializer.
    """

    def init(key: Array, shape: Any, dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class FanInDense(nn.Module):
    """A dense layer with kernel and bias from U(-1/sqrt(fan_in), 1/sqrt(fan_in)).

    The default of PyTorch's and MindSpore's dense layers. Flax cannot say it, for its bias
    initializers do not see the fan-in.
    """

    features: int  # outputs

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """Maps `[..., fan_in]` to `[..., features]`."""
        init = uniform(1 / math.sqrt(inputs.shape[-1]))
        dense = nn.Dense(self.features, kernel_init=init, bias_init=init)
        nn.share_scope(self, dense)
        return dense(inputs)


def batch_norm(momentum: float, epsilon: float, train: bool) -> Callable[..., nn.BatchNorm]:
    """Makes a constructor of batch norm layers that all have the same settings.

    In training they use the statistics of the whole batch, on all devices of a mapped axis (see
    `jaxgan.axes`).

    Args:
        momentum: of the running averages: `average = momentum * average + (1 - momentum) * batch`.
        epsilon: added to the variance.
        train: whether to use the batch's statistics or the running averages.

    Returns:
        A function that makes a `flax.linen.BatchNorm`; it takes any other setting of it.
    """
    return partial(
        nn.BatchNorm,
        use_running_average=not train,
        momentum=momentum,
        epsilon=epsilon,
        axis_name=axes.axis_name(),
    )


class Dropout(nn.Module):
    """Dropout whose masks do not depend on how a batch is spread over devices.

    The mask of each example is drawn from the "dropout" key and the example's place in the whole
    batch, so that n devices with a share each drop what one device with all of it drops.
    """

    rate: float  # probability to drop a value, in [0, 1)

    @nn.compact
    def __call__(self, inputs: Array, train: bool) -> Array:
        """Drops values of `[B, ...]` and scales the others by 1 / (1 - rate), if `train`."""
        # A swept rate is a tracer and cannot be compared with 0.
        if not train or (isinstance(self.rate, int | float) and self.rate == 0):
            return inputs
        keys = per_example(self.make_rng("dropout"), inputs.shape[0])
        keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - self.rate, inputs.shape[1:]))(
            keys
        )
        return jnp.where(keep, inputs / (1 - self.rate), 0)


def normalize_second_moment(x: Float[Array, "*B C"]) -> Float[Array, "*B C"]:
    """Scales vectors to a mean square of 1, as StyleGAN does latents. Those of zeros stay.

    Source: the code of Karras et al., "Analyzing and Improving the Image Quality of StyleGAN"
    (2020).
    """
    return x * lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-8)


def max_pool(inputs: Array, size: int) -> Array:
    """Takes the largest number of every square window: `flax.linen.max_pool` without overlap.

    The gradient goes to the first of equal numbers, as Flax's and PyTorch's does, but by selection:
    XLA's select-and-scatter, which computes Flax's, takes 20 times as long on a CPU, and has no
    deterministic version on a GPU.

    Args:
        inputs: `[B, H, W, C]`.
        size: height and width of a window. Rows and columns that fill none are left out.

    Returns:
        `[B, H // size, W // size, C]`.
    """
    batch, height, width, channels = inputs.shape
    rows, columns = height // size, width // size
    fitting = inputs[:, : rows * size, : columns * size]
    windows = fitting.reshape(batch, rows, size, columns, size, channels)
    # Columns before rows, so that the first of equal numbers is the first in reading order.
    return _largest(_largest(windows, 4), 2).reshape(batch, rows, columns, channels)


def _largest(x: Array, axis: int) -> Array:
    """Keeps the largest number along an axis, which stays."""
    # Split, for the gradient of a split is one concatenation, that of slices a sum of as many pads.
    first, *others = lax.split(x, (1,) * x.shape[axis], axis)
    return reduce(lambda best, x: jnp.where((x > best) | jnp.isnan(x), x, best), others, first)


class Conv(nn.Module):
    """A two-dimensional convolution: `flax.linen.Conv` by way of `jaxgan.nn.convolution`."""

    features: int  # output channels
    kernel_size: int  # height and width of the kernel
    stride: int = 1
    # REFLECT repeats the image in a mirror. Numbers are zeros before and after each axis.
    padding: Literal["SAME", "VALID", "REFLECT"] | Padding = "SAME"
    kernel_init: Initializer = nn.initializers.glorot_uniform()
    use_bias: bool = True

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """Maps `[B, H, W, C]` to `[B, P, Q, features]`.

        P is H / stride, rounded up, with SAME and REFLECT.
        """
        size = (self.kernel_size, self.kernel_size)
        shape = (*size, inputs.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        inputs, kernel = promote_dtype(inputs, kernel)
        match self.padding:
            case "SAME":
                padding = same_padding((inputs.shape[1], inputs.shape[2]), size, self.stride)
            case "VALID":
                padding = ((0, 0), (0, 0))
            case "REFLECT":
                around = ((self.kernel_size - 1) // 2, self.kernel_size // 2)
                inputs = jnp.pad(inputs, ((0, 0), around, around, (0, 0)), "reflect")
                padding = ((0, 0), (0, 0))
            case padding:
                pass
        outputs = convolve(inputs, kernel, self.stride, padding)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            outputs += bias.reshape(1, 1, 1, -1)
        return outputs


class ConvTranspose(nn.Module):
    """A two-dimensional transposed convolution: the adjoint of `Conv`.

    `flax.linen.ConvTranspose(transpose_kernel=True)` by way of `jaxgan.nn.convolution`. As in
    PyTorch, and unlike in Flax, padding in numbers is that of the convolution whose adjoint it is.
    """

    features: int  # output channels
    kernel_size: int  # height and width of the kernel
    stride: int = 1
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.glorot_uniform()
    padding: Literal["SAME"] | Padding = "SAME"

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """Maps `[B, H, W, C]` to `[B, H * stride, W * stride, features]`.

        Raises:
            ValueError: if no convolution with this padding divides sizes by the stride.
        """
        size = (self.kernel_size, self.kernel_size)
        shape = (*size, self.features, inputs.shape[-1])
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        inputs, kernel = promote_dtype(inputs, kernel)
        grown = (inputs.shape[1] * self.stride, inputs.shape[2] * self.stride)
        padding = self.padding
        if padding == "SAME":
            padding = same_padding(grown, size, self.stride)
        for before, after in padding:
            if not 0 <= before + after + self.stride - self.kernel_size < self.stride:
                raise ValueError(
                    f"with {before} and {after} zeros around it, a convolution of kernels of "
                    f"{self.kernel_size} does not divide sizes by a stride of {self.stride}"
                )
        outputs = transpose(inputs, kernel, self.stride, padding, grown)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            outputs += bias.reshape(1, 1, 1, -1)
        return outputs
