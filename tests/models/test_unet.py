"""U-Net: sizes, numbers of parameters, where norm and dropout are, and first values."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxgan.models.unet import Generator
from jaxgan.nn import norms
from jaxgan.nn.layers import Dropout

KEY = jax.random.key(0)


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
    "colors, downs, width, parameters",
    [
        (3, 8, 64, 54_413_955),
        (3, 7, 64, 41_828_995),
        (3, 6, 64, 29_244_035),
        (3, 5, 64, 16_659_075),
        (1, 8, 64, 54_407_809),
        (1, 5, 64, 16_652_929),
        (3, 6, 32, 7_314_755),
        (1, 5, 32, 4_164_929),
    ],
)
def test_the_numbers_of_parameters_are_those_of_the_source(colors, downs, width, parameters):
    shape = (1, 2**downs, 2**downs, colors)
    params, images = shapes(Generator(colors, downs, width), shape)
    assert count(params) == parameters
    assert images.shape == shape


def test_beside_instance_norm_every_convolution_has_a_bias():
    params, _ = shapes(Generator(3, norm=norms.instance), (1, 256, 256, 3))
    assert all("bias" in layer for layer in params.values())
    # What batch norm adds, beside the 6 + 7 layers with norm, is two numbers for each of one.
    inner, outer = (128, 256, *[512] * 4), (*[512] * 4, 256, 128, 64)
    assert count(params) == 54_413_955 + 64 + 512 - sum(inner) - sum(outer)


@pytest.mark.parametrize("height, width, downs", [(28, 28, 2), (28, 28, 5), (16, 41, 3)])
def test_any_size_and_any_colors(height, width, downs):
    _, images = shapes(Generator(1, downs, 2), (2, height, width, 3))
    assert images.shape == (2, height, width, 1)


def test_sizes_that_cannot_be_halved_are_padded_by_their_borders_and_cropped():
    images = jax.random.normal(KEY, (1, 5, 8, 3))
    padded = jnp.concatenate([images[:, :1], images, *[images[:, -1:]] * 2], axis=1)
    module = Generator(3, 2, 4, norms.single, dropouts=0)

    @jax.jit
    def both():
        variables = module.init(KEY, images, train=False)
        return [module.apply(variables, x, train=False) for x in (images, padded)]

    small, large = both()
    assert small.shape == images.shape
    np.testing.assert_array_equal(small, large[:, 1:6])


def test_batch_norm_of_one_picture_at_a_time_is_that_of_batches_of_one():
    images = jax.random.normal(KEY, (2, 4, 4, 3))
    ours, theirs = (Generator(3, 2, 4, norm, dropouts=0) for norm in (norms.single, norms.batch))

    @jax.jit
    def both():
        variables = theirs.init(KEY, images, train=False)
        renamed = {
            name.replace("BatchNorm", "InstanceNorm"): x for name, x in variables["params"].items()
        }
        one_by_one = [
            theirs.apply(variables, x[None], train=True, mutable=["batch_stats"])[0][0]
            for x in images
        ]
        return ours.apply({"params": renamed}, images, train=True), jnp.stack(one_by_one)

    made, expected = both()
    np.testing.assert_allclose(made, expected, atol=1e-5)


def drawn(module, images) -> Any:
    """Parameters with which every layer shows, and the module as a jitted function."""
    variables = jax.jit(lambda images: module.init(KEY, images, train=False))(images)
    noise = jax.tree.map(lambda x: 0.3 * jax.random.normal(KEY, x.shape), variables["params"])
    variables = {**variables, "params": jax.tree.map(jnp.add, variables["params"], noise)}

    @jax.jit
    def run(variables, images, key=KEY):
        keys = {"dropout": key}
        return module.apply(variables, images, train=True, mutable=["batch_stats"], rngs=keys)[0]

    return variables, run


IMAGES = jax.random.normal(KEY, (3, 8, 8, 2))


@pytest.mark.slow
def test_the_innermost_layer_says_something_of_a_single_picture():
    """With a batch norm there, a picture by itself would leave nothing of its single pixel."""
    variables, run = drawn(Generator(2, 3, 4, dropouts=0), IMAGES)
    without = {**variables["params"]}
    without["Conv_2"] = jax.tree.map(jnp.zeros_like, without["Conv_2"])
    images, others = (
        run({**variables, "params": params}, IMAGES[:1])
        for params in (variables["params"], without)
    )
    assert np.abs(images - others).max() > 0.01


def test_pictures_depend_on_each_other_by_batch_norm_alone():
    for norm, alone in ((norms.batch, False), (norms.instance, True), (norms.none, True)):
        variables, run = drawn(Generator(2, 2, 4, norm, dropouts=0), IMAGES)
        together, single = run(variables, IMAGES)[:1], run(variables, IMAGES[:1])
        assert np.allclose(together, single, atol=1e-4) == alone


@pytest.mark.parametrize("downs, dropouts, expected", [
    (4, 0, []), (4, 2, [2, 4]), (4, 3, [2, 4, 8]), (2, 3, [8]),
])  # fmt: skip
def test_dropout_is_in_as_many_layers_as_told_from_the_innermost_on(downs, dropouts, expected):
    sides = []

    def record(call, arguments, settings, context):
        if isinstance(context.module, Dropout):
            sides.append(arguments[0].shape[1])
        return call(*arguments, **settings)

    with nn.intercept_methods(record):
        shapes(Generator(1, downs, 2, dropouts=dropouts), (1, 16, 16, 1))
    assert sides == expected


def test_dropout_makes_other_pictures_with_another_key():
    variables, run = drawn(Generator(2, 2, 4), IMAGES)
    first, again, other = (run(variables, IMAGES, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


@pytest.mark.slow
def test_kernels_and_scales_start_as_the_source_says():
    params = jax.jit(Generator(3, 3, 16).init, static_argnames="train")(
        KEY, jnp.zeros((1, 8, 8, 3)), train=False
    )["params"]
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        center = 1 if path[-1].key == "scale" else 0
        deviation = 0 if path[-1].key == "bias" else 0.02
        slack = 4 * 0.02 / math.sqrt(leaf.size)
        assert abs(leaf.mean() - center) <= slack * (deviation > 0), path
        assert abs(leaf.std() - deviation) <= slack * (deviation > 0), path


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_it_computes_in_the_type_of_parameters_and_inputs(dtype):
    with jax.enable_x64(True):
        for norm in (norms.batch, norms.instance):
            module = Generator(3, 2, 2, norm)
            params, _ = shapes(module, (1, 8, 8, 3))
            variables = {"params": jax.tree.map(lambda x: x.update(dtype=dtype), params)}
            images = jax.ShapeDtypeStruct((1, 8, 8, 3), dtype)
            outputs, _ = jax.eval_shape(
                lambda variables, images, module=module: module.apply(
                    variables, images, train=True, mutable=["batch_stats"], rngs={"dropout": KEY}
                ),
                variables, images,
            )  # fmt: skip
            assert outputs.dtype == dtype
