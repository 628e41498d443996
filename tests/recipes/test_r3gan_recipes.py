"""R3GAN's recipes: the schedules of the source, who sees which reals, and what cannot be built."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from tiny_systems import make_recipe

from jaxgan.core.gan import init
from jaxgan.core.state import GANState, TrainState
from jaxgan.core.steps import make_step
from jaxgan.data import spec_of
from jaxgan.recipes import find_recipe
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
TINY: dict[str, Any] = {"batch_size": 4, "widths": (4, 4), "group_size": 4, "latent_size": 3}
COUNTS = {  # parameters of G and D in the source
    "cifar10_r3gan": (DataSpec((32, 32, 3), 10), 20_781_952, 21_280_512),
    "stacked_mnist_r3gan": (DataSpec((32, 32, 3), 1000), 20_732_160, 20_683_776),
}


def started(spec: DataSpec, **fields: Any):
    recipe: Any = make_recipe("mnist_r3gan", **TINY | fields)
    gan = recipe.gan(spec)
    update = recipe.update(gan)
    batch = {"image": jax.random.normal(KEY, (recipe.examples_per_step, *spec.shape))}
    return jax.jit(make_step(update)), init(gan, KEY, batch, update), batch


def test_settings_move_as_published():
    # CIFAR-10's, after 5 M images of a burn-in of 20 M.
    recipe: Any = make_recipe("mnist_r3gan", batch_size=500, burn_in=20_000_000)
    step = jnp.asarray(10_000)
    for pair, expected in [
        ((2e-4, 5e-5), 1.780330e-4),
        ((0.9, 0.99), 0.913180),
        ((0.05, 0.005), 0.0434099),
        ((0.0, 0.55), 0.0805456),
        ((0.0, 5_000_000.0), 732_233.0),
    ]:
        np.testing.assert_allclose(recipe.burning(pair)(step), expected, rtol=3e-6)


@pytest.mark.slow
def test_each_player_has_reals_of_its_own_and_the_average_starts_as_g():
    step, state, batch = started(DataSpec((8, 8, 1)))
    moved, metrics = step(state, batch, KEY)
    assert {"loss_d", "loss_g", "penalty"} <= metrics.keys()
    assert all(np.isfinite(x) for x in metrics.values())
    jax.tree.map(
        np.testing.assert_array_equal, moved.extra["average"].params, moved.generator.params
    )
    for part, same_d in [(0, False), (1, True)]:  # D learns from every other real, G from the rest
        other = {"image": batch["image"].at[part::2].add(1.0)}
        changed, _ = step(state, other, KEY)
        equal = jax.tree.map(
            lambda a, b: bool((a == b).all()),
            (moved.discriminator.params, moved.generator.params),
            (changed.discriminator.params, changed.generator.params),
        )
        assert all(jax.tree.leaves(equal[0])) == same_d
        assert not all(jax.tree.leaves(equal[1]))


@pytest.mark.parametrize(
    "shape, message", [((28, 20, 1), "square"), ((30, 30, 1), "multiples of 4"), ((3,), "images")]
)
def test_examples_that_do_not_fit_are_refused(shape, message):
    recipe: Any = make_recipe("mnist_r3gan")
    with pytest.raises(UserError, match=message):
        recipe.gan(DataSpec(shape))


def test_groups_divide_the_channels():
    with pytest.raises(UserError, match="group_size must divide 2 times each of the widths"):
        make_recipe("mnist_r3gan", group_size=24)


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_networks_have_the_published_numbers_of_parameters(name):
    spec, *counts = COUNTS[name]
    recipe: Any = make_recipe(name)
    gan = recipe.gan(spec)
    batch = {
        "image": jax.ShapeDtypeStruct((2, *spec.shape), jnp.float32),
        "label": jax.ShapeDtypeStruct((2,), jnp.int32),
    }
    state = jax.eval_shape(lambda key, batch: init(gan, key, batch), KEY, batch)
    players = state.generator, state.discriminator
    assert [sum(x.size for x in jax.tree.leaves(each.params)) for each in players] == counts


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_small_presets_train_and_lower_for_accelerators(name):
    kind: Any = find_recipe(name)
    recipe: Any = make_recipe(name, **kind.presets["small"] | TINY)
    spec = DataSpec((8, 8, 3), 10)
    gan = recipe.gan(spec)
    update, n = recipe.update(gan), recipe.examples_per_step
    image = jax.random.normal(KEY, (n, *spec.shape))
    batch = {"image": image, "label": jnp.arange(n, dtype=jnp.int32)}
    state = init(gan, KEY, batch, update)
    step = jax.jit(make_step(update))
    _, metrics = step(state, batch, KEY)
    assert all(np.isfinite(x) for x in metrics.values())
    lowered = export.export(step, platforms=("cuda", "tpu"))
    assert lowered(state, batch, KEY).platforms == ("cuda", "tpu")


@pytest.mark.slow
def test_augmentation_grows_with_what_d_has_seen():
    recipe: Any = make_recipe("cifar10_r3gan", batch_size=8, burn_in=80)
    images = jax.random.normal(KEY, (8, 8, 8, 3))
    nobody = TrainState({}, {}, ())
    first, late = (
        recipe.show(images, KEY, GANState(jnp.asarray(step), nobody, nobody, {}))
        for step in (0, 10)
    )
    np.testing.assert_allclose(first, images, atol=1e-4)
    assert float(jnp.abs(late - images).max()) > 0.1


@pytest.mark.parametrize("sizes", [None, 1])
def test_sizes_in_bfloat16_reach_both_networks(sizes):
    recipe: Any = make_recipe("mnist_r3gan", in_bfloat16=sizes)
    gan, z = recipe.gan(DataSpec((28, 28, 1))), jnp.ones((4, recipe.latent_size))
    for network, inputs in ((gan.generator, z), (gan.discriminator, jnp.ones((4, 28, 28, 1)))):

        def run(network=network, inputs=inputs):
            return network.apply(*network.init(KEY, inputs), inputs, KEY, True)[0]

        assert ("bf16[4,28,28" in str(jax.make_jaxpr(run)())) == (sizes == 1)


def test_no_more_sizes_are_in_bfloat16_than_there_are():
    with pytest.raises(UserError, match="in_bfloat16 must be at most 3, one for each of the"):
        make_recipe("mnist_r3gan", in_bfloat16=4)


def test_emoji_are_of_32_pixels_as_its_sizes_and_length_are_chosen_for(tmp_path):
    recipe: Any = find_recipe("openmoji_r3gan")
    feed = recipe().feed(0, str(tmp_path))
    assert spec_of(feed) == DataSpec((32, 32, 3), 12)
