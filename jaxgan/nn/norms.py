"""Norms for networks that are given one.

`batch` and `single` are those of Pix2Pix, `instance` is that of CycleGAN. One of your own may be
any layer:

    Norm(lambda train: nn.GroupNorm(8), biases=False)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaxgan.nn.layers import batch_norm


@dataclass(frozen=True)
class Norm:
    """What follows the convolutions of a network, and whether these have biases.

    A norm that shifts channels by parameters of its own makes biases useless.
    """

    make: Callable[[bool], Callable[[Array], Array]]  # train -> the layer
    biases: bool


def _around_one(key: Array, shape: Any, dtype: Any = jnp.float32) -> Array:
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


#: PyTorch's default settings, with scales from N(1, 0.02^2), as Isola et al. (2017) have them.
batch = Norm(
    lambda train: batch_norm(0.9, 1e-5, train)(scale_init=_around_one),
    biases=False,
)

#: What `batch` is for the batches of one picture of Isola et al. (2017), for batches of any size:
#: no picture depends on others.
single = Norm(
    lambda train: nn.InstanceNorm(1e-5, scale_init=_around_one),
    biases=False,
)

#: Ulyanov et al., "Instance Normalization: The Missing Ingredient for Fast Stylization" (2016),
#: with PyTorch's default settings: without parameters. It takes biases away again, but PyTorch's
#: networks have them beside it.
instance = Norm(
    lambda train: nn.InstanceNorm(1e-5, use_scale=False, use_bias=False),
    biases=True,
)

#: Nothing in the place of a norm.
none = Norm(lambda train: lambda x: x, biases=True)
