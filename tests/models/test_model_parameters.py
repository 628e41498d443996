"""The networks of the systems: the shapes of their parameters, and how these are initialized."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_systems import NAMES, SHAPES, make_recipe

from jaxgan.core.gan import init
from jaxgan.types import DataSpec

KEY = jax.random.key(0)


def paths(tree) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


# Kernel shapes of G and D as the sources state them, each with how it is initialized: a number is
# the deviation of a normal one, "glorot" and "fan-in" bound a uniform one. Then whether the layer
# has a bias, and the width of the batch norm that follows it.
LAYERS: dict[str, tuple[list[tuple], list[tuple]]] = {
    "gaussians_ring8": (
        [
            ((2, 400), 0.02, False, 400),
            ((400, 400), 0.02, False, 400),
            ((400, 400), 0.02, False, 400),
            ((400, 400), 0.02, False, 400),
            ((400, 2), 0.02, True, None),
        ],
        [
            ((2, 5 * 200), 0.02, True, None),
            ((200, 5 * 200), 0.02, True, None),
            ((200, 5 * 200), 0.02, True, None),
            ((200, 1), 0.02, True, None),
        ],
    ),
    "pattern_1010": (
        [((1, 3), "fan-in", True, None), ((3, 4), "fan-in", True, None)],
        [((4, 3), "fan-in", True, None), ((3, 1), "fan-in", True, None)],
    ),
    "mnist_mlp": (
        [
            ((100, 128), "fan-in", True, None),
            ((128, 256), "fan-in", True, 256),
            ((256, 512), "fan-in", True, 512),
            ((512, 1024), "fan-in", True, 1024),
            ((1024, 784), "fan-in", True, None),
        ],
        [
            ((784, 512), "fan-in", True, None),
            ((512, 256), "fan-in", True, None),
            ((256, 1), "fan-in", True, None),
        ],
    ),
    "mnist_conv": (
        [
            ((96, 1024), "glorot", True, 1024),
            ((1024, 7 * 7 * 128), "glorot", True, 7 * 7 * 128),
            ((4, 4, 64, 128), "glorot", True, 64),
            ((4, 4, 1, 64), "glorot", True, None),
        ],
        [
            ((5, 5, 1, 32), "glorot", True, None),
            ((5, 5, 32, 64), "glorot", True, None),
            ((1024, 1024), "glorot", True, None),
            ((1024, 1), "glorot", True, None),
        ],
    ),
    "mnist_dcgan": (
        [
            ((100, 7 * 7 * 256), "glorot", False, 7 * 7 * 256),
            ((5, 5, 128, 256), 0.02, False, 128),
            ((4, 4, 64, 128), 0.02, False, 64),
            ((4, 4, 1, 64), 0.02, False, None),
        ],
        [
            ((4, 4, 1, 64), 0.02, True, None),
            ((4, 4, 64, 128), 0.02, True, None),
            ((7 * 7 * 128, 1), "glorot", True, None),
        ],
    ),
    "mnist_dcgan_bn": (
        [
            ((100, 1024), 0.02, True, 1024),
            ((1024, 7 * 7 * 128), 0.02, True, 128),
            ((5, 5, 128, 128), 0.02, True, 128),
            ((5, 5, 1, 128), 0.02, True, None),
        ],
        [
            ((5, 5, 1, 1), 0.02, True, 1),
            ((5, 5, 1, 64), 0.02, True, 64),
            ((1024, 1024), 0.02, True, 1024),
            ((1024, 1), 0.02, True, None),
        ],
    ),
}
COUNTS = {  # of numbers in the parameters of G and D, batch norm's scales and biases included
    "gaussians_ring8": (484_802, 405_201),
    "pattern_1010": (22, 19),
    "mnist_mlp": (1_510_032, 533_505),
    "mnist_conv": (6_675_009, 1_102_721),
    "mnist_dcgan": (2_231_168, 138_561),
    "mnist_dcgan_bn": (6_947_713, 1_054_493),
}
LARGE = 2000  # from so many numbers on, statistics say something


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of a kernel as Glorot counts them."""
    area = math.prod(shape[:-2])
    return area * shape[-2], area * shape[-1]


def check_distribution(kernel: np.ndarray, kind):
    if isinstance(kind, float):
        deviation = kind
    else:
        inputs, outputs = fans(kernel.shape)
        bound = math.sqrt(6 / (inputs + outputs)) if kind == "glorot" else 1 / math.sqrt(inputs)
        assert np.abs(kernel).max() <= bound * (1 + 1e-6)
        deviation = bound / math.sqrt(3)
        if kernel.size >= LARGE:
            assert np.abs(kernel).max() > 0.99 * bound
    if kernel.size >= LARGE:
        np.testing.assert_allclose(kernel.std(), deviation, rtol=0.05)
        assert abs(kernel.mean()) < 5 * deviation / math.sqrt(kernel.size)
        if isinstance(kind, float):  # 4.6% of a normal distribution lie beyond two deviations
            beyond = (np.abs(kernel) > 2 * deviation).mean()
            assert 0.03 < beyond < 0.06


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n in ("mnist_conv", "mnist_dcgan_bn") else ())
        for n in NAMES
    ],
)
def test_parameters_have_the_shapes_and_first_values_of_the_source(name):
    shape = SHAPES[name] if len(SHAPES[name]) == 1 else (28, 28, 1)
    gan = make_recipe(name).gan(DataSpec(shape))
    state = jax.jit(lambda key: init(gan, key, {"image": jnp.zeros((1, *shape))}))(KEY)
    networks = zip((state.generator, state.discriminator), LAYERS[name], COUNTS[name], strict=True)
    for net, layers, count in networks:
        params = {path: np.asarray(leaf) for path, leaf in paths(net.params).items()}
        assert sum(leaf.size for leaf in params.values()) == count
        kernels = {p.rsplit("/", 1)[0]: v for p, v in params.items() if p.endswith("/kernel")}
        norms = [width for *_, width in layers if width is not None]
        assert sorted(v.shape for v in kernels.values()) == sorted(shape for shape, *_ in layers)
        left = dict(params)
        for shape, kind, has_bias, _ in layers:
            layer = next(p for p, v in kernels.items() if v.shape == shape)
            kernel, bias = kernels.pop(layer), left.pop(f"{layer}/bias", None)
            left.pop(f"{layer}/kernel")
            check_distribution(kernel, kind)
            assert (bias is not None) == has_bias
            if bias is not None and kind == "fan-in":
                assert 0 < np.abs(bias).max() <= 1 / math.sqrt(shape[0])
            elif bias is not None:
                assert (bias == 0).all()
        for index, width in enumerate(norms):
            assert (left.pop(f"BatchNorm_{index}/scale") == np.ones(width)).all()
            assert (left.pop(f"BatchNorm_{index}/bias") == np.zeros(width)).all()
        assert not left
        stats = paths(net.collections.get("batch_stats", {}))
        assert {path: leaf.shape for path, leaf in stats.items()} == {
            f"BatchNorm_{index}/{name}": (width,)
            for index, width in enumerate(norms)
            for name in ("mean", "var")
        }
        assert all((leaf == path.endswith("var")).all() for path, leaf in stats.items())
