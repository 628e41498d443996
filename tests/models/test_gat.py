"""GAT's networks: sizes, first values, and what they do before any training."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jaxgan.models.gat import SIZES, Discriminator, Generator, Size
from jaxgan.nn.transformer import hidden_units

KEY = jax.random.key(0)
SMALL = Size(depth=4, width=8, heads=2)
SHAPE = (8, 12, 3)  # of pictures: 2 x 3 patches of 4
Z = jax.random.normal(KEY, (3, 5))
LABELS = jnp.array([1, 0, 1])
GENERATOR = Generator(SMALL, SHAPE, 4, classes=3, label_size=5)
DISCRIMINATOR = Discriminator(SMALL, 4, classes=3, code_size=6)
LEVELS = jax.random.normal(KEY, (3, 4, *SHAPE))


def drawn(module, *inputs, train: bool = False) -> Any:
    return jax.jit(lambda *inputs: module.init(KEY, *inputs, train=train))(*inputs)


def run(module, variables, *inputs) -> Any:
    return jax.jit(lambda *args: module.apply(*args, train=False))(variables, *inputs)


def shapes(module, *inputs) -> tuple[Any, Any]:
    def start(key, *inputs):
        return module.init_with_output(key, *inputs, train=False)

    outputs, variables = jax.eval_shape(start, KEY, *inputs)
    return variables["params"], outputs


def count(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def dense(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


@pytest.mark.parametrize("patch", [2, 4, 8])
@pytest.mark.parametrize("name", SIZES)
def test_sizes_have_the_parameters_of_their_layers(name, patch):
    depth, width, heads = size = SIZES[name]
    hidden, head, colors, classes = hidden_units(width), width // heads, 4, 1000
    branches = dense(width, 3 * width) + 2 * head + dense(width, width)
    branches += dense(width, 2 * hidden) + dense(hidden, width)
    labels = jnp.zeros(2, jnp.int32)

    params, levels = shapes(
        Generator(size, (32, 32, colors), patch, classes), jnp.zeros((2, 64)), labels
    )
    expected = classes * 64 + dense(128, width) + dense(width, width)
    expected += depth * (branches + dense(width, 4 * width))
    expected += 4 * (dense(width, width) + dense(width, patch**2 * colors))
    assert count(params) == expected
    assert levels.shape == (2, 4, 32, 32, colors)

    params, scores = shapes(Discriminator(size, patch, classes), jnp.zeros(levels.shape), labels)
    expected = dense(patch**2 * 4 * colors, width) + width  # and the token
    expected += depth * (branches + 4 * width)
    expected += width + dense(width, 2048) + classes * 2048 + 2 * dense(2048, 2048)
    assert count(params) == expected
    assert scores.shape == (2,)


def test_first_values_are_those_of_the_source():
    params = drawn(Generator(Size(8, 64, 4), (8, 8, 1), 4, 10), Z, LABELS)["params"]
    block, quarter = params["quarters"]["blocks"], params["quarters"]
    assert block["Attention_0"]["inputs"]["kernel"].shape == (4, 2, 64, 192)

    def uniform(kernel, fans: int, gain: float = 1.0):
        bound = gain * math.sqrt(6 / fans)
        assert 0.97 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6)
        np.testing.assert_allclose(kernel.std(), bound / math.sqrt(3), rtol=0.05)

    uniform(block["Attention_0"]["inputs"]["kernel"], 256)
    uniform(block["SwiGlu_0"]["outputs"]["kernel"], 170 + 64)
    uniform(block["Modulation_0"]["Dense_0"]["kernel"], 64 + 256, 0.1)
    uniform(quarter["Modulation_0"]["Dense_0"]["kernel"], 128, 0.1)
    uniform(params["mapping"]["SlowDense_1"]["kernel"], 128, 100)
    biases = [leaf for path, leaf in jax.tree.leaves_with_path(params) if "bias" in str(path[-1])]
    assert len(biases) == 2 + 1 + 4 + 2 and all((leaf == 0).all() for leaf in biases)
    np.testing.assert_allclose(params["codes"]["embedding"].std(), 0.02, rtol=0.1)

    params = drawn(Discriminator(Size(8, 64, 4), 4, 10), LEVELS[:, :, :, :8], LABELS)["params"]
    for name in ("scale", "mlp_scale"):
        np.testing.assert_array_equal(params["blocks"][name], np.full((8, 64), 0.1, np.float32))
    np.testing.assert_allclose(params["token"].std(), 0.02, rtol=0.3)


def test_first_samples_depend_on_the_latent_as_much_as_the_gain_says():
    z, labels = jax.random.normal(jax.random.key(1), (64, 64)), jnp.zeros(64, jnp.int32)

    def share(gain: float) -> float:
        generator = Generator(Size(4, 96, 4), (28, 28, 1), 7, 10, gain=gain)
        variables = generator.init(jax.random.key(0), z[:1], labels[:1], train=False)
        levels: Any = generator.apply(variables, z, labels, train=False)
        samples = levels[:, -1]
        return float(samples.var(0).mean() / (samples**2).mean())

    assert share(0.1) < 0.002 and 0.7 < share(5.0) < 0.8


def closed(variables: Any) -> Any:
    """With gates that are 0 whatever the style."""

    def close(path, leaf):
        if "blocks" not in str(path) or "Modulation" not in str(path):
            return leaf
        # Of scale, gate, scale and gate.
        open_ = jnp.repeat(jnp.array([1.0, 0, 1, 0]), leaf.shape[-1] // 4)
        return leaf * open_.reshape(*[1] * (leaf.ndim - 1), -1)

    return jax.tree.map_with_path(close, variables)


def test_with_closed_gates_blocks_do_nothing():
    variables = drawn(GENERATOR, Z, LABELS)
    levels = run(GENERATOR, closed(variables), Z, LABELS)
    # Tokens are places then, which blocks leave alone: other blocks give the same pictures.
    other = variables["params"]["quarters"]
    shifted = other | {"blocks": jax.tree.map(lambda x: x + 0.3, other["blocks"])}
    changed = variables | {"params": variables["params"] | {"quarters": shifted}}
    np.testing.assert_array_equal(run(GENERATOR, closed(changed), Z, LABELS), levels)
    assert np.abs(run(GENERATOR, changed, Z, LABELS) - levels).max() > 0.1


def without_styles(variables: Any) -> Any:
    """With gates of 0, and heads that do not look at styles."""

    def close(path, leaf):
        return 0 * leaf if "Modulation" in str(path) else leaf

    return jax.tree.map_with_path(close, variables)


def test_with_all_gates_0_pictures_are_a_function_of_the_place_alone():
    levels = run(GENERATOR, without_styles(drawn(GENERATOR, Z, LABELS)), Z, LABELS)
    np.testing.assert_allclose(levels[0], levels[1], atol=1e-6)
    patches = levels[0, -1].reshape(2, 4, 3, 4, 3).swapaxes(1, 2)
    assert len(np.unique(np.asarray(patches[..., 0, 0, 0]).round(5))) == 6


def test_a_picture_is_the_sum_of_what_heads_made():
    variables = drawn(GENERATOR, Z, LABELS)
    levels = run(GENERATOR, variables, Z, LABELS)
    quarters = variables["params"]["quarters"]
    for kept in range(1, 4):
        still = jax.tree.map(lambda x, kept=kept: x.at[kept:].set(0), quarters["patches"])
        changed = variables | {
            "params": variables["params"] | {"quarters": quarters | {"patches": still}}
        }
        found = run(GENERATOR, changed, Z, LABELS)
        for level in range(4):
            np.testing.assert_allclose(found[:, level], levels[:, min(level, kept - 1)], atol=1e-6)
        assert np.abs(levels[:, kept] - levels[:, kept - 1]).max() > 0.1


def test_labels_and_latents_count():
    variables = drawn(GENERATOR, Z, LABELS)
    levels = run(GENERATOR, variables, Z, LABELS)
    for other in (run(GENERATOR, variables, Z, LABELS.at[1].set(2)),
                  run(GENERATOR, variables, Z.at[1, 0].add(1), LABELS)):  # fmt: skip
        np.testing.assert_allclose(other[::2], levels[::2], atol=1e-6)
        assert np.abs(other[1] - levels[1]).max() > 1e-3
    variables = drawn(DISCRIMINATOR, LEVELS, LABELS)
    scores = run(DISCRIMINATOR, variables, LEVELS, LABELS)
    other = run(DISCRIMINATOR, variables, LEVELS, LABELS.at[1].set(2))
    np.testing.assert_allclose(other[::2], scores[::2], rtol=1e-5)
    assert abs(other[1] / scores[1] - 1) > 1e-3
    for module, inputs in ((GENERATOR, Z), (DISCRIMINATOR, LEVELS)):
        with pytest.raises(ValueError, match="needs labels"):
            jax.eval_shape(lambda x, m=module: m.init(KEY, x, train=False), inputs)


def test_d_sees_all_levels_and_all_places():
    variables = drawn(DISCRIMINATOR, LEVELS, LABELS)

    def total(levels):
        return DISCRIMINATOR.apply(variables, levels, LABELS, train=False)[0]

    slopes = jax.jit(jax.grad(total))(LEVELS)
    assert (slopes[0] != 0).all() and (slopes[1:] == 0).all()


def test_averages_of_styles_are_those_of_each_class():
    variables = drawn(GENERATOR, Z, LABELS)
    kept = jnp.zeros((3, 8)).at[2].set(1.0)  # of a class that does not occur
    variables |= {"batch_stats": {"average": kept}}

    @jax.jit
    def train(variables):
        styles, moved = GENERATOR.apply(
            variables, Z, LABELS, train=True, method="to_styles", mutable="batch_stats"
        )
        return styles, variables | moved

    styles, once = train(variables)
    found = once["batch_stats"]["average"]
    np.testing.assert_allclose(found[0], 0.005 * styles[1], rtol=1e-4)
    np.testing.assert_allclose(found[1], 0.005 * (styles[0] + styles[2]) / 2, rtol=1e-4)
    np.testing.assert_array_equal(found[2], kept[2])
    _, twice = train(once)
    np.testing.assert_allclose(twice["batch_stats"]["average"][:2], 1.995 * found[:2], rtol=1e-4)

    halved = GENERATOR.clone(truncation=0.5)
    made: Any = halved.apply(once, Z, LABELS, train=False, method="to_styles")
    np.testing.assert_allclose(made, (styles + found[LABELS]) / 2, rtol=1e-4, atol=1e-6)


def test_both_may_be_unconditional():
    generator, discriminator = GENERATOR.clone(classes=None), DISCRIMINATOR.clone(classes=None)
    variables = drawn(generator, Z)
    assert variables["batch_stats"]["average"].shape == (1, 8)
    levels = run(generator, variables, Z)
    assert run(discriminator, drawn(discriminator, levels), levels).shape == (3,)
    with pytest.raises(ValueError, match="leave labels out"):
        jax.eval_shape(lambda: generator.init(KEY, Z, LABELS, train=False))


def test_g_has_as_many_blocks_for_each_level():
    with pytest.raises(ValueError, match="4 heads, which do not divide 6 blocks"):
        shapes(Generator(Size(6, 8, 2), SHAPE, 4), Z)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_networks_compute_in_the_type_of_parameters_and_inputs(dtype):
    with jax.enable_x64(True):
        for module, inputs in ((GENERATOR, Z), (DISCRIMINATOR, LEVELS)):
            inputs = jax.ShapeDtypeStruct(inputs.shape, dtype)
            variables = jax.eval_shape(
                lambda x, m=module: m.init(KEY, x, LABELS, train=False), inputs
            )
            assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
            cast = variables | {"params": jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), variables["params"]
            )}  # fmt: skip
            outputs = jax.eval_shape(
                lambda v, x, m=module: m.apply(v, x, LABELS, train=False), cast, inputs
            )
            assert outputs.dtype == dtype


@pytest.mark.slow
@pytest.mark.parametrize("name", ["S", "XL"])
def test_gradients_of_published_sizes_lower_for_accelerators(name):
    labels = jnp.zeros(2, jnp.int32)
    generator = Generator(SIZES[name], (32, 32, 4), 2, 1000)
    discriminator = Discriminator(SIZES[name], 2, 1000)
    z, levels = jnp.zeros((2, 64)), jnp.zeros((2, 4, 32, 32, 4))
    lengths = []
    for module, inputs in ((generator, z), (discriminator, levels)):
        variables = jax.eval_shape(lambda x, m=module: m.init(KEY, x, labels, train=False), inputs)

        def loss(variables, x, m=module):
            outputs: Any = m.apply(variables, x, labels, train=False)
            return (outputs**2).sum()

        program = export.export(jax.jit(jax.grad(loss)), platforms=("cuda", "tpu"))
        lowered = program(variables, inputs)
        assert lowered.platforms == ("cuda", "tpu")
        lengths.append(len(str(lowered.mlir_module()).splitlines()))
    assert max(lengths) < 5000  # as many as of S, whatever the depth
