"""The networks of the systems: what they compute."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax
from tiny_systems import FIELDS, NAMES, SHAPES, make_recipe, system

from jaxgan.core.gan import init
from jaxgan.types import DataSpec

KEY = jax.random.key(0)
VECTORS = {name for name in NAMES if len(SHAPES[name]) == 1}


class Reference:
    """The layers again, in plain JAX, on the parameters of one of our networks."""

    def __init__(self, params, epsilon: float = 0.0):
        self.params = dict(params)
        self.epsilon = epsilon
        self.batches = []  # mean and variance that each batch norm saw

    def take(self, kind: str) -> dict[str, jax.Array]:
        """The next layer of a kind, in the order of their numbers."""
        return self.params.pop(min(name for name in self.params if name.startswith(kind)))

    def dense(self, x, kind: str = "Dense"):
        layer = self.take(kind)
        return x @ layer["kernel"] + layer.get("bias", jnp.zeros(1))[None]

    def norm(self, x):
        layer, axes = self.take("BatchNorm"), tuple(range(x.ndim - 1))
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        self.batches.append((mean.ravel(), var.ravel()))
        scale, bias = (layer[name].reshape(mean.shape) for name in ("scale", "bias"))
        return (x - mean) / jnp.sqrt(var + self.epsilon) * scale + bias

    def conv(self, x, stride: int, padding: str):
        layer = self.take("Conv_")
        numbers = ("NHWC", "HWIO", "NHWC")
        y = lax.conv_general_dilated(
            x, layer["kernel"], (stride, stride), padding, dimension_numbers=numbers
        )
        return y + layer["bias"].reshape(1, 1, 1, -1)

    def deconv(self, x, stride: int):
        layer = self.take("ConvTranspose_")
        y = lax.conv_transpose(x, layer["kernel"], (stride, stride), "SAME", transpose_kernel=True)
        return y + layer.get("bias", jnp.zeros(1)).reshape(1, 1, 1, -1)


def relu(x):
    return jnp.maximum(x, 0)


def leaky(x, slope: float):
    return jnp.maximum(x, slope * x)


def sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


def max_pool(x):
    b, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c).max((2, 4))


def pattern_generator(net, x):
    return sigmoid(net.dense(sigmoid(net.dense(x, "FanIn")), "FanIn"))


def pattern_discriminator(net, x):
    return net.dense(sigmoid(net.dense(x, "FanIn")), "FanIn")[:, 0]


def mlp_generator(net, x):
    x = relu(net.dense(x, "FanIn"))  # no batch norm here
    x = relu(net.norm(net.dense(x, "FanIn")))
    return jnp.tanh(net.dense(x, "FanIn")).reshape(-1, 3, 2, 1)


def mlp_discriminator(net, x):
    x = leaky(net.dense(x.reshape(len(x), -1), "FanIn"), 0.2)
    x = leaky(net.dense(x, "FanIn"), 0.2)
    return net.dense(x, "FanIn")[:, 0]


def conv_generator(net, x):
    x = net.norm(relu(net.dense(x)))  # ReLU comes before batch norm
    x = net.norm(relu(net.dense(x))).reshape(-1, 4, 4, 3)
    x = net.norm(relu(net.deconv(x, 2)))
    return jnp.tanh(net.deconv(x, 2))


def conv_discriminator(net, x):
    x = max_pool(leaky(net.conv(x, 1, "VALID"), 0.01))
    x = max_pool(leaky(net.conv(x, 1, "VALID"), 0.01))
    x = leaky(net.dense(x.reshape(len(x), -1)), 0.01)
    return net.dense(x)[:, 0]


def dcgan_generator(net, x):
    x = relu(net.norm(net.dense(x))).reshape(-1, 2, 2, 4)
    x = relu(net.norm(net.deconv(x, 1)))
    x = relu(net.norm(net.deconv(x, 2)))
    return jnp.tanh(net.deconv(x, 2))


def dcgan_discriminator(net, x):
    x = leaky(net.conv(x, 2, "SAME"), 0.2)
    x = leaky(net.conv(x, 2, "SAME"), 0.2)
    return net.dense(x.reshape(len(x), -1))[:, 0]


def dcgan_bn_generator(net, x):
    x = relu(net.norm(net.dense(x)))
    x = relu(net.norm(net.dense(x).reshape(-1, 4, 4, 3)))  # over channels
    x = relu(net.norm(net.deconv(x, 2)))
    return sigmoid(net.deconv(x, 2))


def dcgan_bn_discriminator(net, x):
    x = leaky(net.norm(net.conv(x, 2, "VALID")), 0.2)
    x = leaky(net.norm(net.conv(x, 2, "VALID")), 0.2)
    x = leaky(net.norm(net.dense(x.reshape(len(x), -1))), 0.2)
    return net.dense(x)[:, 0]


def maxout_generator(net, x):
    for _ in range(2):
        x = relu(net.norm(net.dense(x)))
    return net.dense(x)


def maxout_discriminator(net, x):
    for width in (4, 3):
        x = net.dense(x)
        x = jnp.maximum(x[:, :width], x[:, width:])
    return net.dense(x)[:, 0]


REFERENCES = {
    "gaussians_ring8": (maxout_generator, maxout_discriminator),
    "pattern_1010": (pattern_generator, pattern_discriminator),
    "mnist_mlp": (mlp_generator, mlp_discriminator),
    "mnist_conv": (conv_generator, conv_discriminator),
    "mnist_dcgan": (dcgan_generator, dcgan_discriminator),
    "mnist_dcgan_bn": (dcgan_bn_generator, dcgan_bn_discriminator),
}
NORMS = {  # momentum, epsilon
    "gaussians_ring8": (0.95, 1e-4),
    "pattern_1010": (0.0, 0.0),
    "mnist_mlp": (0.9, 1e-5),
    "mnist_conv": (0.99, 1e-3),
    "mnist_dcgan": (0.9, 1e-5),
    "mnist_dcgan_bn": (math.exp(-4 / 5000), 1e-5),  # 4 being the tiny system's batch
}


@pytest.mark.parametrize("which", [0, 1], ids=["generator", "discriminator"])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n in ("mnist_conv", "mnist_dcgan_bn") else ())
        for n in NAMES
    ],
)
def test_networks_compute_what_the_source_says(name, which):
    _, gan, _, state, batches = system(name)
    if name == "mnist_dcgan":  # dropout has tests of its own
        gan = make_recipe(name, **FIELDS[name], dropout=0.0).gan(DataSpec(SHAPES[name]))
    network = (gan.generator, gan.discriminator)[which]
    net = (state.generator, state.discriminator)[which]
    momentum, epsilon = NORMS[name]
    with jax.enable_x64(True):
        draw = np.random.default_rng(1).normal
        # Far from the first values, so that every bias and scale counts.
        params = jax.tree.map(lambda p: p + 0.2 * draw(size=p.shape), net.params)
        size = gan.inputs(KEY, 1, {}).shape[1]
        inputs = batches["image"][0] if which else jnp.asarray(draw(size=(5, size)))

        @jax.jit
        def both(params, inputs):
            reference = Reference(params, epsilon)
            expected = REFERENCES[name][which](reference, inputs)
            assert not reference.params  # all were used
            found = network.apply(params, net.collections, inputs, KEY, True)
            return found, expected, reference.batches

        (outputs, moved), expected, batch = both(params, inputs)
        np.testing.assert_allclose(outputs, expected, rtol=1e-7, atol=1e-9)
        averages = moved.get("batch_stats", {})
        assert len(averages) == len(batch)
        for index, (mean, var) in enumerate(batch):
            average = averages[f"BatchNorm_{index}"]
            check = partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-9)
            check(average["mean"], (1 - momentum) * mean)  # which started at 0,
            check(average["var"], momentum + (1 - momentum) * var)  # and this at 1


def test_the_discriminator_of_mnist_dcgan_drops_3_of_10_after_each_convolution():
    _, gan, _, state, batches = system("mnist_dcgan")
    fractions = []

    def count(next_method, args, kwargs, context):
        outputs = next_method(*args, **kwargs)
        if type(context.module).__name__ == "Dropout":
            fractions.append(float((outputs == 0).mean()))
        return outputs

    images = jnp.tile(jnp.asarray(batches["image"][0], jnp.float32), (10, 1, 1, 1))
    params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), state.discriminator.params)
    with nn.intercept_methods(count):
        gan.discriminator.apply(params, {}, images, KEY, True)
    np.testing.assert_allclose(fractions, [0.3, 0.3], atol=0.05)


RANGES = {
    "pattern_1010": (0, 1),
    "mnist_mlp": (-1, 1),
    "mnist_conv": (-1, 1),
    "mnist_dcgan": (-1, 1),
    "mnist_dcgan_bn": (0, 1),
}


@pytest.mark.parametrize("name", RANGES)
def test_images_fill_their_range(name):
    _, gan, _, state, _ = system(name)
    with jax.enable_x64(True):
        z = 1e3 * jax.random.normal(jax.random.key(1), (64, 1 if name == "pattern_1010" else 3))
        params = jax.tree.map(lambda p: 30 * p, state.generator.params)
        run = jax.jit(
            lambda z: gan.generator.apply(params, state.generator.collections, z, KEY, True)
        )
        images = np.asarray(run(z)[0])
    low, high = RANGES[name]
    assert low <= images.min() < low + 0.05 and high - 0.05 < images.max() <= high


@pytest.mark.parametrize("name", [name for name in NAMES if name not in VECTORS])
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (64, 48, 3)], ids=str)
def test_networks_take_other_sizes_and_color(name, shape):
    recipe = make_recipe(name)
    gan = recipe.gan(DataSpec(shape))

    def run(key):
        state = init(gan, key, {"image": jnp.zeros((1, *shape))})
        net, judge = state.generator, state.discriminator
        z = gan.inputs(key, 5, {})
        images, _ = gan.generator.apply(net.params, net.collections, z, key, False)
        scores, _ = gan.discriminator.apply(judge.params, judge.collections, images, key, True)
        return images, scores

    images, scores = jax.eval_shape(run, KEY)
    assert images.shape == (5, *shape) and images.dtype == jnp.float32
    assert scores.shape == (5,) and scores.dtype == jnp.float32
