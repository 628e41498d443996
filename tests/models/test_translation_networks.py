"""CycleGAN's networks: numbers of parameters, sizes, and both ways as one player."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxgan.models import patchgan
from jaxgan.models.cyclegan import Discriminators, Generator, Generators
from jaxgan.nn import norms

KEY = jax.random.key(0)
AFFINE = norms.Norm(lambda train: nn.InstanceNorm(1e-5), biases=True)


def shapes(module, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    """Parameters and outputs of a module, without computing them."""
    images = jax.ShapeDtypeStruct(shape, dtype)
    outputs, variables = jax.eval_shape(
        lambda images: module.init_with_output(KEY, images, train=False), images
    )
    return variables["params"], outputs


def count(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    "module, parameters",
    [
        (Generator(3, 6), 7_837_699),
        (Generator(3), 11_378_179),
        (Generator(1, 6), 7_825_153),
        (Generator(1), 11_365_633),
        (Generator(1, 3, 32), 1_073_281),
        (Generator(3, 6, 32), 1_965_059),
        (Generator(3, 6, norm=AFFINE), 7_845_123),
        (Generator(3, norm=AFFINE), 11_388_675),
    ],
)
def test_the_numbers_of_parameters_are_those_of_the_source(module, parameters):
    shape = (1, 28, 36, module.colors)
    params, images = shapes(module, shape)
    assert count(params) == parameters
    assert images.shape == shape


def test_colors_may_be_others():
    _, images = shapes(Generator(1, 1, 2), (2, 8, 8, 3))
    assert images.shape == (2, 8, 8, 1)


@pytest.mark.parametrize("height, width, halvings", [(30, 32, 2), (32, 30, 2), (9, 8, 1)])
def test_sizes_that_cannot_be_halved_so_often_are_refused(height, width, halvings):
    told = f"images of {height} x {width} cannot be halved {halvings} times"
    with pytest.raises(ValueError, match=told):
        shapes(Generator(3, 1, 2, halvings=halvings), (1, height, width, 3))


def test_without_halvings_all_is_at_the_full_size():
    params, images = shapes(Generator(3, 1, 5, halvings=0), (1, 9, 7, 3))
    assert images.shape == (1, 9, 7, 3)
    assert count(params) == (7 * 7 * 3 * 5 + 5) + 2 * (9 * 5 * 5 + 5) + (7 * 7 * 5 * 3 + 3)


def test_it_computes_in_the_type_of_parameters_and_inputs():
    module = Generator(3, 1, 2)
    params, _ = shapes(module, (1, 8, 8, 3))
    half = jax.tree.map(lambda x: x.update(dtype=jnp.bfloat16), params)
    images = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.bfloat16)
    outputs = jax.eval_shape(
        lambda params, images: module.apply({"params": params}, images, train=True), half, images
    )
    assert outputs.dtype == jnp.bfloat16


@pytest.mark.slow
def test_each_way_has_its_own_network():
    a, b = jax.random.normal(KEY, (2, 1, 8, 8, 2))
    judge = patchgan.Discriminator(1, 2, norms.instance)
    cases = [
        (Generators(Generator(2, 1, 2), Generator(2, 1, 2)), ("to_a", "to_b"), (b, a)),
        (Discriminators(judge, judge.clone()), ("of_a", "of_b"), (a, b)),
    ]
    for module, names, inputs in cases:

        @jax.jit
        def both(module=module, names=names, inputs=inputs):
            variables = module.init(KEY, {"a": a, "b": b}, train=False)
            outputs = module.apply(variables, {"a": a, "b": b}, train=False)
            singly = [
                getattr(module, name).apply({"params": variables["params"][name]}, x, train=False)
                for name, x in zip(names, inputs, strict=True)
            ]
            return outputs, singly

        outputs, (of_a, of_b) = both()
        if isinstance(outputs, dict):
            outputs = jnp.concatenate([outputs["a"], outputs["b"]], axis=1)
        np.testing.assert_array_equal(outputs, jnp.concatenate([of_a, of_b], axis=1))
        assert not np.allclose(of_a, of_b, atol=1e-3)
