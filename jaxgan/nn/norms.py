"""Norms for networks that are given one.

`batch` and `instance` are those of Pix2Pix and CycleGAN. One of your own may be any layer:

    Norm(lambda train: nn.GroupNorm(8), biases=False)
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaxgan.nn.layers import Initializer, batch_norm


@dataclass(frozen=True)
class Norm:
    """What follows the convolutions of a network, and whether these have biases.

    A norm that shifts channels by parameters of its own makes biases useless.
    """

    make: Callable[[bool], Callable[[Array], Array]]  # train -> the layer
    biases: bool


def around_one(deviation: float) -> Initializer:
    """Makes an initializer of scales: normal around 1.

    Args:
        deviation: from 1.

    Returns:
        A Flax initializer.
    """
    draw = nn.initializers.normal(deviation)
    return lambda key, shape, dtype=jnp.float32: 1 + draw(key, shape, dtype)


# Isola et al. (2017): the settings of PyTorch's default, scales drawn as kernels are.
batch = Norm(
    lambda train: batch_norm(0.9, 1e-5, train)(scale_init=around_one(0.02)),
    biases=False,
)

# Ulyanov et al., "Instance Normalization: The Missing Ingredient for Fast Stylization" (2016), as
# PyTorch has it by default. Without scales and shifts, the biases before it change nothing; they
# are there for the weights of PyTorch's networks to fit.
instance = Norm(
    lambda train: nn.InstanceNorm(1e-5, use_scale=False, use_bias=False),
    biases=True,
)

none = Norm(lambda train: lambda x: x, biases=True)
