"""PatchGAN: numbers of parameters and patches, and the size of a patch."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.models.patchgan import Discriminator
from jaxgan.nn import norms

KEY = jax.random.key(0)


def shapes(module, *inputs: tuple[int, ...]) -> Any:
    """Parameters and outputs of a module, without computing them."""
    images = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
    outputs, variables = jax.eval_shape(
        lambda *images: module.init_with_output(KEY, *images, train=False), *images
    )
    return variables["params"], outputs


def count(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


PARAMETERS = [9_024, 139_585, 666_433, 2_768_705, 6_964_033, 11_159_361]  # of pairs in color
SIDES = {
    256: [256, 126, 62, 30],
    128: [128, 62, 30, 14],
    64: [64, 30, 14, 6],
    32: [32, 14, 6, 2],
    28: [28, 12, 5, 1],
}
FIELDS = [1, 16, 34, 70, 142, 286]


@pytest.mark.parametrize("layers, parameters", list(enumerate(PARAMETERS)))
def test_the_numbers_of_parameters_are_those_of_the_source(layers, parameters):
    params, _ = shapes(Discriminator(layers), (1, 256, 256, 3), (1, 256, 256, 3))
    assert count(params) == parameters


@pytest.mark.parametrize(
    "module, colors, parameters",
    [
        (Discriminator(2), 2, 662_337),
        (Discriminator(), 2, 2_764_609),
        (Discriminator(2, 32), 6, 169_377),
        (Discriminator(norm=norms.instance), 3, 2_764_737),
        (Discriminator(2, norm=norms.instance), 3, 662_977),
        (Discriminator(1, norm=norms.instance), 3, 136_385),
    ],
)
def test_so_are_those_of_other_colors_widths_and_norms(module, colors, parameters):
    params, _ = shapes(module, (1, 64, 64, colors))
    assert count(params) == parameters


@pytest.mark.parametrize("side", SIDES)
def test_the_numbers_of_patches_are_those_of_the_source(side):
    for layers, patches in enumerate(SIDES[side]):
        _, scores = shapes(Discriminator(layers, 2), (2, side, side, 3))
        assert scores.shape == (2, patches, patches)


def test_images_need_not_be_square():
    _, scores = shapes(Discriminator(1, 2), (2, 28, 33, 3))
    assert scores.shape == (2, 12, 14)


@pytest.mark.parametrize("height, width", [(16, 64), (64, 16)])
def test_images_without_a_patch_are_refused(height, width):
    with pytest.raises(ValueError, match=f"3 layers .* no patch of images of {height} x {width}"):
        shapes(Discriminator(3, 2), (1, height, width, 3))


@pytest.mark.parametrize(
    "layers", [*range(4), *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 5))]
)
def test_a_score_is_that_of_one_patch(layers):
    module = Discriminator(layers, 2, norms.none)
    field = FIELDS[layers]
    images = jax.random.normal(KEY, (1, 2 * field + 2, 2 * field + 2, 1))

    @jax.jit
    def slopes(images):
        variables = module.init(KEY, images, train=False)

        def central(images):
            scores: Any = module.apply(variables, images, train=False)
            return scores[0, scores.shape[1] // 2, scores.shape[2] // 2]

        return jax.grad(central)(images)[0, ..., 0]

    rows, columns = np.nonzero(slopes(images))
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == field
    assert len(rows) == field**2


def test_pairs_are_joined_along_channels():
    module = Discriminator(1, 2, norms.none)
    images = jax.random.normal(KEY, (2, 8, 8, 5))
    variables = jax.jit(lambda images: module.init(KEY, images, train=False))(images)
    run = jax.jit(lambda *images: module.apply(variables, *images, train=False))
    scores = run(images)
    np.testing.assert_array_equal(run(images[..., :2], images[..., 2:]), scores)
    assert not np.allclose(run(images[::-1, ..., :2], images[..., 2:]), scores, rtol=1e-3)
