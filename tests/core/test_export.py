"""Every recipe's step can be compiled for accelerators that this machine does not have."""

import jax
import jax.numpy as jnp
import pytest
from jax import export
from tiny_systems import FIELDS, NAMES, SHAPES, make_recipe

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.types import DataSpec

QUICK = ("mnist_mlp", "mnist_dcgan")  # dense layers, convolutions with dropout


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in NAMES]
)
def test_a_step_lowers_for_cuda_and_tpu(name):
    recipe = make_recipe(name, **FIELDS[name])
    gan = recipe.gan(DataSpec(SHAPES[name]))
    update = recipe.update(gan)
    batch = {"image": jnp.zeros((recipe.examples_per_step, *SHAPES[name]))}
    key = jax.random.key(0)
    state = jax.eval_shape(lambda key: init(gan, key, batch, update), key)
    lowered = export.export(jax.jit(make_step(update)), platforms=("cuda", "tpu"))
    assert lowered(state, batch, key).platforms == ("cuda", "tpu")
