"""R3GAN's networks: sizes, first values, and what they compute before any training."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxgan import latents, losses, penalties
from jaxgan.core.gan import GAN, init
from jaxgan.core.networks import linen
from jaxgan.core.steps import make_step
from jaxgan.core.updates import update_both
from jaxgan.models.r3gan import Block, Discriminator, Generator

KEY = jax.random.key(0)
WIDTHS = (4, 6)  # of images of 8 x 8
SMALL: dict[str, Any] = {"widths": WIDTHS, "blocks": 1, "group_size": 2}


def shapes(module, *inputs) -> Any:
    """Parameters and outputs of a module, without computing them."""

    def run(key, *inputs):
        return module.init_with_output(key, *inputs, train=False)

    outputs, variables = jax.eval_shape(run, KEY, *inputs)
    return variables["params"], outputs


def count(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


CIFAR, IMAGENET = (768,) * 4, (1536,) * 4
PRESETS = {
    # widths, colors, classes, channels of a group; parameters of G and D
    "mnist": ((96,) * 4, 1, None, 16, 526_944, 520_896),
    "stacked_mnist": (CIFAR, 3, None, 16, 20_732_160, 20_683_776),
    "cifar10": (CIFAR, 3, 10, 16, 20_781_952, 21_280_512),
    "ffhq_64": ((*CIFAR, 384), 3, None, 16, 22_429_824, 22_381_440),
    "ffhq_256": ((*CIFAR, 384, 192, 96), 3, None, 16, 23_057_952, 23_009_568),
    "imagenet_32": (IMAGENET, 3, 1000, 32, 82_914_304, 86_548_992),
    "imagenet_64": ((*IMAGENET, 1536), 3, 1000, 32, 103_570_432, 107_205_120),
}


@pytest.mark.parametrize("name", PRESETS)
def test_the_sizes_of_the_paper_have_its_numbers_of_parameters(name):
    widths, colors, classes, group_size, *counts = PRESETS[name]
    side = 4 * 2 ** (len(widths) - 1)
    labels = () if classes is None else (jnp.zeros(2, jnp.int32),)
    generator = Generator(widths, colors, classes, group_size=group_size)
    params, images = shapes(generator, jnp.zeros((2, 64)), *labels)
    assert count(params) == counts[0]
    assert images.shape == (2, side, side, colors)
    discriminator = Discriminator(widths, classes, group_size=group_size)
    params, scores = shapes(discriminator, jnp.zeros(images.shape), *labels)
    assert count(params) == counts[1]
    assert scores.shape == (2,)


def layers_of(params, prefix: str = "") -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        prefix + jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }


def check_deviations(params, expected: dict[str, float]):
    found = layers_of(params)
    assert found.keys() == expected.keys()
    for name, deviation in expected.items():
        x = found[name]
        # The deviation of n normal numbers is uncertain by 1 / sqrt(2 n) of it.
        slack = 4 * deviation / math.sqrt(2 * x.size)
        assert abs(math.sqrt((x**2).mean()) - deviation) <= slack, name


def block_deviations(first: float, second: float) -> dict[str, float]:
    biases = {"Dense_0/bias": 0.0, "GroupedConv_0/bias": 0.0}
    last = {"Dense_1/kernel": 0.0}
    return {"Dense_0/kernel": first, "GroupedConv_0/kernel": second} | biases | last


@pytest.mark.slow
def test_a_block_of_cifar10_starts_as_the_source_says():
    init = jax.jit(Block(16, 8).init)
    params = init(KEY, jnp.zeros((1, 1, 1, 768)))["params"]
    check_deviations(params, block_deviations(0.0297540, 0.0687139))


@pytest.mark.slow
def test_networks_start_as_the_source_says():
    labels = jnp.zeros(1, jnp.int32)
    widths, gain = (24, 16), math.sqrt(2 / 1.04) * 4**-0.25
    blocks = {
        f"Block_{index}/{name}": deviation
        for index, width in enumerate((24, 24, 16, 16))
        for name, deviation in block_deviations(
            gain / math.sqrt(width), gain / math.sqrt(9 * 8)
        ).items()
    }
    init = jax.jit(lambda key: Generator(widths, 5, 10, group_size=8).init(
        key, jnp.zeros((1, 36)), labels, train=False
    ))  # fmt: skip
    expected = {
        "Embed_0/embedding": 1 / math.sqrt(10),
        "Dense_0/kernel": 1 / math.sqrt(36 + 64),
        "basis": 1.0,
        "Dense_1/kernel": 1 / math.sqrt(24),
        "Dense_2/kernel": 1 / math.sqrt(16),
    }
    check_deviations(init(KEY)["params"], expected | blocks)
    widths = (16, 24)  # so that blocks come in the same order
    init = jax.jit(lambda key: Discriminator(widths, 10, group_size=8).init(
        key, jnp.zeros((1, 8, 8, 5)), labels, train=False
    ))  # fmt: skip
    expected = {
        "Dense_0/kernel": 1 / math.sqrt(5),
        "Dense_1/kernel": 1 / math.sqrt(24),
        "basis": 1 / 4,
        "Dense_2/kernel": 1 / math.sqrt(16),
        "Embed_0/embedding": 1 / math.sqrt(16 * 10),
    }
    check_deviations(init(KEY)["params"], expected | blocks)


def drawn(module, *inputs) -> tuple[Any, Any]:
    """The first parameters, and the module as a jitted function of them and its inputs."""
    variables = jax.jit(lambda *inputs: module.init(KEY, *inputs, train=True))(*inputs)
    return variables, jax.jit(lambda *args: module.apply(*args, train=True))


@pytest.mark.slow
def test_at_first_networks_are_linear():
    z = jax.random.normal(KEY, (3, 5))
    variables, generate = drawn(Generator(**SMALL), z)
    images = generate(variables, z)
    mixed = generate(variables, z.at[0].set(2 * z[0] - 3 * z[1]))
    np.testing.assert_allclose(mixed[0], 2 * images[0] - 3 * images[1], atol=2e-5)
    assert np.abs(images).max() > 0.1
    variables, judge = drawn(Discriminator(**SMALL), images)
    scores = judge(variables, images)
    mixed = judge(variables, images.at[0].set(2 * images[0] - 3 * images[1]))
    np.testing.assert_allclose(mixed[0], 2 * scores[0] - 3 * scores[1], atol=2e-5)
    np.testing.assert_array_equal(judge(variables, 0 * images), 0)


@pytest.mark.slow
def test_at_first_only_the_last_layer_of_a_block_learns():
    x = jax.random.normal(KEY, (2, 8, 8, 3))
    z = jax.random.normal(KEY, (2, 5))
    cases = [(Discriminator(**SMALL), x), (Generator(**SMALL), z)]
    for module, inputs in cases:
        variables, apply = drawn(module, inputs)
        gradient = jax.jit(jax.grad(lambda *args, apply=apply: jnp.sin(apply(*args)).sum()))
        for name, leaf in layers_of(gradient(variables, inputs)["params"]).items():
            still = "Block" in name and "Dense_1" not in name
            assert (leaf == 0).all() if still else (leaf != 0).any(), name


@pytest.mark.slow
def test_labels_count_and_are_asked_for():
    z, x = jax.random.normal(KEY, (2, 5)), jax.random.normal(KEY, (2, 8, 8, 3))
    for make, inputs in ((Generator, z), (Discriminator, x)):
        module = make(**SMALL, classes=3)
        variables, apply = drawn(module, inputs, jnp.array([0, 1]))
        outputs = apply(variables, inputs, jnp.array([0, 1]))
        others = apply(variables, inputs, jnp.array([0, 2]))
        np.testing.assert_allclose(others[0], outputs[0], rtol=1e-6)
        assert not np.allclose(others[1], outputs[1], rtol=1e-2)
        with pytest.raises(ValueError, match="needs labels"):
            module.apply(variables, inputs, train=True)
        with pytest.raises(ValueError, match="leave labels out"):
            module.clone(classes=None).apply(variables, inputs, jnp.array([0, 1]), train=True)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="3 widths are for images of 16 x 16, not 28 x 28"):
        shapes(Discriminator((4, 4, 4)), jnp.zeros((1, 28, 28, 3)))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_networks_compute_in_the_type_of_parameters_and_inputs(dtype):
    with jax.enable_x64(True):
        labels = jnp.zeros(2, jnp.int32)
        for make, shape in ((Generator, (2, 5)), (Discriminator, (2, 8, 8, 3))):
            module = make(**SMALL, classes=3)
            inputs = jax.ShapeDtypeStruct(shape, dtype)
            params, _ = shapes(module, inputs, labels)
            assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
            cast = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), params)
            outputs = jax.eval_shape(
                lambda p, *x, module=module: module.apply({"params": p}, *x, train=True),
                cast, inputs, labels,
            )  # fmt: skip
            assert outputs.dtype == dtype


@pytest.mark.slow
def test_a_conditional_gan_trains_with_r1_and_r2():
    gan = GAN(
        generator=linen(Generator((4,), 1, 3, group_size=4, blocks=1)),
        discriminator=linen(Discriminator((4,), 3, group_size=4, blocks=1)),
        generator_optimizer=optax.adam(1e-2, 0.0),
        discriminator_optimizer=optax.adam(1e-2, 0.0),
        loss=losses.relativistic,
        inputs=lambda key, n, batch: (latents.normal(5)(key, n), batch["label"]),
        view=lambda example, batch, key, state: (example, batch["label"]),
        penalty=penalties.total(penalties.r1(1.0), penalties.r2(1.0)),
    )
    update = update_both(gan)
    batch = {"image": jax.random.normal(KEY, (2, 4, 4, 1)), "label": jnp.array([0, 2])}
    state = init(gan, KEY, batch, update)
    step = jax.jit(make_step(update))
    before = state
    for _ in range(2):  # in the first, the blocks' inner layers stand still
        state, metrics = step(state, batch, KEY)
    assert all(np.isfinite(value) for value in metrics.values()) and metrics["penalty"] > 0
    for player in ("generator", "discriminator"):
        moved = jax.tree.map(
            lambda a, b: bool((a != b).any()),
            getattr(before, player).params,
            getattr(state, player).params,
        )
        assert all(jax.tree.leaves(moved)), moved


def test_the_smallest_size_may_be_another_one():
    generator, discriminator = (kind(**SMALL, smallest=7) for kind in (Generator, Discriminator))
    params, images = shapes(generator, jnp.zeros((2, 64)))
    assert params["basis"].shape == (1, 7, 7, 4)
    assert images.shape == (2, 14, 14, 3)
    params, scores = shapes(discriminator, jnp.zeros(images.shape))
    assert params["basis"].shape == (1, 7, 7, 4)
    assert scores.shape == (2,)


@pytest.mark.slow
@pytest.mark.parametrize("make", [Generator, Discriminator])
def test_the_largest_sizes_alone_compute_in_bfloat16(make):
    inputs = jax.random.normal(KEY, (2, 5) if make is Generator else (2, 8, 8, 3))
    whole: Any = make(**SMALL)
    scoped: Any = whole.clone(in_bfloat16=1)
    variables = whole.init(KEY, inputs, train=True)
    variables = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(KEY, x.shape), variables)
    assert shapes(scoped, inputs)[0].keys() == variables["params"].keys()

    def blocks(module) -> list[jnp.dtype]:
        seen = []

        def look(call, arguments, settings, context):
            outputs = call(*arguments, **settings)
            if isinstance(context.module, Block):
                seen.append((outputs.shape[1], outputs.dtype))
            return outputs

        with nn.intercept_methods(look):
            outputs = module.apply(variables, inputs, train=True)
        assert outputs.dtype == jnp.float32
        np.testing.assert_allclose(
            outputs, whole.apply(variables, inputs, train=True), rtol=0.1, atol=0.1
        )
        return sorted(seen)

    assert blocks(whole) == [(4, jnp.float32), (8, jnp.float32)]
    assert blocks(scoped) == [(4, jnp.float32), (8, jnp.bfloat16)]
    slopes = jax.grad(lambda v: (scoped.apply(v, inputs, train=True) ** 2).sum())(variables)
    assert {leaf.dtype for leaf in jax.tree.leaves(slopes)} == {jnp.dtype(jnp.float32)}
