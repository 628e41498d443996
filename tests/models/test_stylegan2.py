"""StyleGAN2's networks: sizes, first values, styles, noise, and groups of the batch."""

import math
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxgan import axes, latents, losses, penalties
from jaxgan.core.combinators import chain, update_average
from jaxgan.core.gan import GAN, init, sample
from jaxgan.core.networks import linen
from jaxgan.core.steps import make_step
from jaxgan.core.updates import update_both
from jaxgan.models.stylegan2 import (
    CIFAR,
    PAPER256,
    Block,
    Discriminator,
    Generator,
    Layer,
    mix,
    style_matrix,
    truncate,
)

KEY = jax.random.key(0)
WIDTHS = (4, 3)  # of images of 8 x 8
SMALL: Any = Generator(WIDTHS, style_size=5, mapping_depth=2)
Z = jax.random.normal(KEY, (4, 6))


def shapes(module, *inputs) -> Any:
    """Variables and outputs of a module, without computing them."""

    def run(key, *inputs):
        return module.init_with_output(key, *inputs, train=False)

    outputs, variables = jax.eval_shape(run, KEY, *inputs)
    return variables, outputs


def count(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    "pair, classes, counts, layers",
    [
        (CIFAR, None, (19_947_539, 20_720_641), 8),
        (CIFAR, 10, (20_215_315, 23_089_664), 8),
        (PAPER256, None, (24_767_458, 24_001_089), 14),
    ],
    ids=["cifar", "cifar_conditional", "paper256"],
)
def test_the_settings_of_the_source_have_its_numbers_of_parameters(pair, classes, counts, layers):
    generator, discriminator = (module.clone(classes=classes) for module in pair)
    labels = () if classes is None else (jnp.zeros(32, jnp.int32),)
    variables, images = shapes(generator, jnp.zeros((32, 512)), *labels)
    assert count(variables["params"]) == counts[0]
    side = 4 * 2 ** (layers // 2 - 1)
    assert images.shape == (32, side, side, 3)
    variables, scores = shapes(discriminator, jnp.zeros(images.shape), *labels)
    assert count(variables["params"]) == counts[1]
    assert scores.shape == (32,)


def drawn(module, *inputs) -> Any:
    """Normal numbers for all variables: the first ones leave noise and biases out.

    Those of a mapping are a hundred times larger, as what they are multiplied with is smaller.
    """
    random = np.random.default_rng(0)

    def draw(path, leaf):
        layers = jax.tree_util.keystr(path).lower()
        slow = "mapping" in layers and "labels" not in layers
        return jnp.asarray((100 if slow else 1) * random.normal(size=leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes(module, *inputs)[0])


@cache
def variables() -> Any:
    return drawn(SMALL, Z)


@cache
def first() -> Any:
    return jax.jit(lambda: SMALL.init(KEY, Z, train=False))()


@cache
def compiled(module: Any, **settings: Any) -> Any:
    """A method of a generator as a function of variables, inputs and what keys are for."""

    def run(variables, *args, **rngs):
        return module.apply(variables, *args, rngs=rngs, **settings)

    return jax.jit(run)


def to_styles(module=SMALL, z=Z) -> Any:
    return compiled(module, method="to_styles", train=False)(variables(), z)


def train(module, key=KEY) -> Any:
    run = compiled(module, method="to_styles", train=True, mutable="batch_stats")
    return run(variables(), Z, mixing=key)


def to_images(styles, *noise, key=KEY) -> Any:
    return compiled(SMALL, method="to_images")(variables(), styles, *noise, noise=key)


@pytest.mark.slow
def test_parameters_start_as_the_source_says():
    for path, leaf in jax.tree_util.tree_leaves_with_path(first()["params"]):
        *layers, name = [entry.key for entry in path]
        if name in ("bias", "noise_strength"):
            assert (leaf == ("affine" in layers)).all()
        else:
            deviation = 100 if layers[0] == "mapping" else 1
            slack = 4 / math.sqrt(2 * leaf.size)
            assert abs(float(leaf.std()) / deviation - 1) < slack, path


@pytest.mark.slow
def test_both_halves_make_the_whole():
    whole = jax.jit(lambda v, z: SMALL.apply(v, z, train=False, rngs={"noise": KEY}))
    styles = to_styles()
    assert styles.shape == (4, 4, 5)  # one for each layer
    np.testing.assert_array_equal(whole(variables(), Z), to_images(styles))


def test_latents_and_their_size_do_not_count_but_their_direction_does():
    np.testing.assert_allclose(to_styles(z=7 * Z), to_styles(), rtol=1e-4)
    assert not np.allclose(to_styles(z=-Z), to_styles(), rtol=0.1)


def test_a_style_changes_only_its_own_size_and_larger_ones():
    styles = to_styles()
    run = compiled(
        SMALL,
        method="to_images",
        mutable="intermediates",
        capture_intermediates=lambda module, _: type(module).__name__ == "Layer",
    )

    def features(styles) -> list[jax.Array]:
        layers = run(variables(), styles, noise=KEY)[1]["intermediates"]["synthesis"]
        return [layers[f"Layer_{index}"]["__call__"][0] for index in range(3)]

    before = features(styles)
    for changed in range(4):  # the last is that of colors alone
        after = features(styles.at[:, changed].add(1.0))
        same = [bool((a == b).all()) for a, b in zip(before, after, strict=True)]
        assert same == [layer < changed for layer in range(3)]
    assert (to_images(styles.at[:, 3].add(1.0)) != to_images(styles)).any()


def test_truncation_moves_styles_to_their_average():
    styles, average = to_styles(), variables()["batch_stats"]["average"]
    half = to_styles(SMALL.clone(truncation=0.5))
    np.testing.assert_allclose(half, (styles + average.reshape(1, 1, 5)) / 2, rtol=1e-4)
    alone = to_styles(SMALL.clone(truncation=0.0))
    images = to_images(alone, [jnp.zeros((1, side, side, 1)) for side in (4, 8, 8)])
    np.testing.assert_allclose(images, np.tile(images[:1], (4, 1, 1, 1)), rtol=1e-4, atol=1e-5)
    some = truncate(styles, average, 0.5, layers=3)
    np.testing.assert_allclose(some[:, :3], half[:, :3], rtol=1e-5)
    np.testing.assert_array_equal(some[:, 3:], styles[:, 3:])
    np.testing.assert_array_equal(truncate(styles, average, 1.0), styles)


def test_a_grid_of_mixed_styles_has_layers_of_its_column_in_the_others_of_its_row():
    rows, columns = to_styles()[:2], to_styles(z=-Z)[:3]
    grid = mix(rows[:, None], columns[None], jnp.arange(4) < 2)
    assert grid.shape == (2, 3, 4, 5)
    for row in range(2):
        for column in range(3):
            np.testing.assert_array_equal(grid[row, column, :2], columns[column, :2])
            np.testing.assert_array_equal(grid[row, column, 2:], rows[row, 2:])


def test_a_direction_that_the_style_matrix_does_not_see_changes_nothing():
    styles, params = to_styles(), variables()["params"]
    noise = [jnp.zeros((1, side, side, 1)) for side in (4, 8, 8)]
    images = to_images(styles, noise)
    for layer in (0, 2, 3):  # style 1 passes two layers
        directions = latents.sefa(style_matrix(params, [layer]))
        unseen, most = (styles.at[:, layer].add(directions[place]) for place in (-1, 0))
        np.testing.assert_allclose(to_images(unseen, noise), images, rtol=1e-3, atol=1e-3)
        assert not np.allclose(to_images(most, noise), images, rtol=0.01, atol=0.01)
    sizes = [style_matrix(params, layers).shape for layers in ([1], [0, 1, 2, 3])]
    assert sizes == [(5, 4), (5, 4 + 4 + 3 + 3)]
    for layer in (-1, 4):
        with pytest.raises(ValueError, match=f"layers of this G are 0 to 3, not {layer}"):
            style_matrix(params, [layer])


@pytest.mark.slow
def test_the_average_follows_the_styles_of_training():
    styles, moved = train(SMALL.clone(mixing=0.0))
    average = variables()["batch_stats"]["average"]
    expected = 0.995 * average + 0.005 * np.asarray(styles)[:, 0].mean(0)
    np.testing.assert_allclose(moved["batch_stats"]["average"], expected, rtol=1e-5)
    np.testing.assert_allclose(styles, to_styles(), rtol=1e-5)
    # Latents that are mixed in do not count.
    _, mixed = train(SMALL.clone(mixing=1.0))
    np.testing.assert_allclose(mixed["batch_stats"]["average"], expected, rtol=1e-5)


@pytest.mark.slow
def test_in_training_later_layers_take_the_styles_of_other_latents():
    own, places = np.asarray(to_styles()), set()
    for seed in range(12):
        styles = np.asarray(train(SMALL.clone(mixing=1.0), jax.random.key(seed))[0])
        place = int(np.isclose(styles[0], own[0], rtol=1e-4).all(1).sum())
        places.add(place)
        np.testing.assert_allclose(styles[:, :place], own[:, :place], rtol=1e-4)
        others = styles[:, place:]
        np.testing.assert_array_equal(others, others[:, :1].repeat(4 - place, 1))
        assert len(np.unique(styles[:, -1, 0])) == 4  # each example has its own
    assert places == {1, 2, 3}


def test_styles_are_mixed_in_a_share_of_the_batches():
    half = compiled(SMALL.clone(mixing=0.5), method="to_styles", train=True, mutable="batch_stats")
    runs = jax.jit(jax.vmap(lambda key: half(variables(), Z, mixing=key)[0]))
    styles = np.asarray(runs(jax.random.split(KEY, 400)))
    mixed = (styles[:, 0, 0] != styles[:, 0, -1]).any(-1)
    assert abs(mixed.mean() - 0.5) < 0.1


def test_noise_has_a_strength_that_starts_at_0():
    styles = to_styles()
    run, others = compiled(SMALL, method="to_images"), jax.random.key(1)
    images = run(variables(), styles, noise=KEY)
    assert not np.allclose(run(variables(), styles, noise=others), images, atol=0.1)
    unmoved = run(first(), styles, noise=others)
    np.testing.assert_array_equal(unmoved, run(first(), styles, noise=KEY))
    noise = compiled(SMALL, method="draw_noise", n=4)(variables(), noise=KEY)
    assert [x.shape for x in noise] == [(4, side, side, 1) for side in (4, 8, 8)]
    np.testing.assert_allclose(run(variables(), styles, noise), images, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_two_devices_make_what_one_makes():
    module: Any = Generator((4,), style_size=5, mapping_depth=1, mixing=1.0)
    variables = drawn(module, Z)

    def run(z):
        rngs = {"noise": KEY, "mixing": jax.random.key(3)}
        images, moved = module.apply(variables, z, train=True, rngs=rngs, mutable="batch_stats")
        return images, axes.mean(moved)

    def mapped(z):
        with axes.spread(axis_name="devices"):
            return run(z)

    images, moved = jax.pmap(mapped, "devices", devices=jax.devices()[:2])(Z.reshape(2, 2, 6))
    expected, average = jax.jit(run)(Z)
    np.testing.assert_allclose(images.reshape(expected.shape), expected, rtol=1e-3, atol=1e-4)
    for found in moved["batch_stats"]["average"]:
        np.testing.assert_allclose(found, average["batch_stats"]["average"], rtol=1e-5)


X = jax.random.normal(KEY, (4, 8, 8, 3))


@pytest.mark.slow
def test_scores_depend_on_the_other_examples_of_a_group():
    module = Discriminator(WIDTHS, group=2)  # pairs (0, 2) and (1, 3)
    judge = jax.jit(partial(module.apply, drawn(module, X), train=True))
    scores: Any = np.asarray(judge(X))
    for order in ([1, 0, 3, 2], [2, 3, 0, 1], [2, 1, 0, 3]):
        np.testing.assert_allclose(judge(X[np.array(order)]), scores[order], rtol=1e-4)
    broken = [1, 0, 2, 3]
    assert not np.allclose(judge(X[np.array(broken)]), scores[broken], rtol=1e-3)


@pytest.mark.slow
def test_labels_count_and_are_asked_for():
    labels = jnp.array([0, 1, 2, 0])
    for make, inputs in ((Generator, Z), (Discriminator, X[:, :4, :4])):
        module: Any = make((4,), classes=3)
        variables = drawn(module, inputs, labels)
        with pytest.raises(ValueError, match="needs labels"):
            module.apply(variables, inputs, train=False)
        with pytest.raises(ValueError, match="leave labels out"):
            module.clone(classes=None).apply(variables, inputs, labels, train=False)
        run = jax.jit(partial(module.apply, variables, train=False, rngs={"noise": KEY}))
        outputs, others = (run(inputs, given) for given in (labels, labels.at[3].set(1)))
        np.testing.assert_allclose(others[:3], outputs[:3], rtol=1e-4, atol=1e-5)
        assert not np.allclose(others[3], outputs[3], rtol=1e-2)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="2 widths are for images of 8 x 8, not 28 x 28"):
        shapes(Discriminator(WIDTHS), jnp.zeros((4, 28, 28, 3)))
    with pytest.raises(ValueError, match="groups of 3 do not divide a batch of 4"):
        shapes(Discriminator(WIDTHS, group=3), X)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_networks_compute_in_the_type_of_parameters_and_inputs(dtype):
    labels = jnp.zeros(4, jnp.int32)
    with jax.enable_x64(True):
        for module, like in (
            (Generator(WIDTHS, classes=3), Z),
            (Discriminator(WIDTHS, classes=3), X),
            (Discriminator(WIDTHS, Block, classes=3), X),
        ):
            inputs = jax.ShapeDtypeStruct(like.shape, dtype)
            variables, _ = shapes(module, inputs, labels)
            assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
            params = variables["params"]
            variables["params"] = jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, dtype), params
            )
            settings: Any = {"train": True, "mutable": "batch_stats"}
            run = partial(module.apply, rngs={"noise": KEY, "mixing": KEY}, **settings)
            outputs, moved = jax.eval_shape(run, variables, inputs, labels)
            assert outputs.dtype == dtype
            assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(moved))


@pytest.mark.slow
def test_a_gan_trains_with_r1_and_samples_from_an_average_near_the_average_style():
    generator = Generator((3,), 1, style_size=3, mapping_depth=1)
    gan = GAN(
        generator=linen(generator),
        discriminator=linen(Discriminator((3,), group=2)),
        generator_optimizer=optax.adam(1e-2, 0.0),
        discriminator_optimizer=optax.adam(1e-2, 0.0),
        loss=losses.non_saturating,
        inputs=latents.normal(4),
        penalty=penalties.r1(1.0),
    )
    update = chain(update_both(gan), update_average(0.5))
    batch = {"image": jax.random.normal(KEY, (2, 4, 4, 1))}
    first = init(gan, KEY, batch, update)
    state, metrics = jax.jit(make_step(update))(first, batch, KEY)
    assert all(np.isfinite(value) for value in metrics.values()) and metrics["penalty"] > 0
    for player in ("generator", "discriminator"):
        before, after = getattr(first, player).params, getattr(state, player).params
        for path, moved in jax.tree_util.tree_leaves_with_path(
            jax.tree.map(lambda a, b: (a != b).any(), before, after)
        ):
            assert moved, path
    average = state.extra["average"].collections["batch_stats"]["average"]
    assert (average != 0).all()
    alone = replace(gan, generator=linen(generator.clone(truncation=0.0)))
    images = np.asarray(sample(alone, state, KEY, 3))
    assert images.shape == (3, 4, 4, 1)
    assert np.ptp(images, 0).max() < 0.1  # what differs is noise alone, which has hardly begun


def test_the_smallest_size_may_be_another_one():
    variables, images = shapes(SMALL.clone(smallest=7), Z)
    assert variables["params"]["synthesis"]["constant"].shape == (1, 7, 7, 4)
    assert images.shape == (len(Z), 14, 14, 3)
    _, scores = shapes(Discriminator(WIDTHS, smallest=7), jnp.zeros(images.shape))
    assert scores.shape == (len(Z),)


@pytest.mark.slow
@pytest.mark.parametrize(
    "whole, kind, inputs, sides",
    [
        (SMALL, Layer, Z, {4: jnp.float32, 8: jnp.bfloat16}),
        # Its block makes 4 x 4 of 8 x 8.
        (Discriminator(WIDTHS), Block, jnp.ones((4, 8, 8, 3)), {4: jnp.bfloat16}),
    ],
    ids=["generator", "discriminator"],
)
def test_the_largest_sizes_alone_compute_in_bfloat16(whole, kind, inputs, sides):
    scoped = whole.clone(in_bfloat16=1)
    rngs = {"params": KEY, "noise": KEY}
    variables = whole.init(rngs, inputs, train=False)
    variables = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(KEY, x.shape), variables)

    def dtypes(module) -> dict[int, Any]:
        seen = {}

        def look(call, arguments, settings, context):
            outputs = call(*arguments, **settings)
            if isinstance(context.module, kind):
                seen[outputs.shape[1]] = outputs.dtype
            return outputs

        with nn.intercept_methods(look):
            outputs = module.apply(variables, inputs, train=False, rngs=rngs)
        expected = whole.apply(variables, inputs, train=False, rngs=rngs)
        assert outputs.dtype == jnp.float32
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=0.05 * abs(expected).max())
        return seen

    assert dtypes(scoped) == sides
    assert dtypes(whole) == dict.fromkeys(sides, jnp.float32)
