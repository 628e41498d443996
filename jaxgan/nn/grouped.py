"""Convolutions in groups of channels."""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxgan.nn.convolution import same_padding


def convolve_in_groups(
    images: Float[Array, "B H W C"], kernel: Float[Array, "h w I F"]
) -> Float[Array, "B H W F"]:
    """Convolves groups of channels, each with kernels of its own, with zeros around the images.

    Args:
        images: `[B, H, W, C]`.
        kernel: `[h, w, C / groups, F]`. The first `F / groups` outputs are of the first
            `C / groups` inputs, and so on.

    Returns:
        `[B, H, W, F]`.
    """
    size = (kernel.shape[0], kernel.shape[1])
    padding = same_padding((images.shape[1], images.shape[2]), size, 1)
    return lax.platform_dependent(
        images,
        kernel,
        cpu=partial(_by_matrices, padding=padding),
        default=partial(_by_definition, padding=padding),
    )


def _by_definition(images: Array, kernel: Array, padding) -> Array:
    return lax.conv_general_dilated(
        images,
        kernel,
        (1, 1),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[3] // kernel.shape[2],
    )


def _by_matrices(images: Array, kernel: Array, padding) -> Array:
    """Sums a product of matrices for each row of the kernel, whose columns lie side by side.

    XLA's gradients of grouped convolutions take ten times as long on a CPU, in the loop of a
    training run.
    """
    batch, height, width, channels = images.shape
    rows, columns, inputs, outputs = kernel.shape
    groups = channels // inputs
    x = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    x = jnp.moveaxis(x.reshape(*x.shape[:3], groups, inputs), 3, 0)
    x = jnp.concatenate([x[:, :, :, j : j + width] for j in range(columns)], -1)
    kernel = jnp.moveaxis(kernel.reshape(rows, columns * inputs, groups, -1), 2, 1)
    y = jnp.zeros((), x.dtype)
    for i in range(rows):
        y += jnp.einsum("gbhwi,gio->gbhwo", x[:, :, i : i + height], kernel[i])
    return jnp.moveaxis(y, 0, 3).reshape(batch, height, width, outputs)


class GroupedConv(nn.Module):
    """A two-dimensional convolution in groups of channels, with zeros around the images."""

    features: int  # output channels
    kernel_size: int  # height and width of the kernel
    groups: int
    dtype: DTypeLike | None = None  # that it computes in; that of inputs and parameters if None
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, inputs: Float[Array, "B H W C"]) -> Float[Array, "B H W F"]:
        """Maps `[B, H, W, C]` to `[B, H, W, features]`; `groups` divides both numbers of channels.

        Raises:
            ValueError: if it does not.
        """
        channels = inputs.shape[-1]
        if channels % self.groups or self.features % self.groups:
            raise ValueError(
                f"{self.groups} groups do not divide {channels} inputs and {self.features} outputs"
            )
        shape = (self.kernel_size, self.kernel_size, channels // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        inputs, kernel, bias = promote_dtype(inputs, kernel, bias, dtype=self.dtype)
        return convolve_in_groups(inputs, kernel) + bias.reshape(1, 1, 1, -1)
