"""GAT's recipes: settings of the source, what D sees, and what cannot be built."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from tiny_systems import TINY_GAT, make_recipe

from jaxgan.core.gan import Play, init, sample
from jaxgan.core.steps import make_step, run_steps
from jaxgan.features import digits
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
SPEC = DataSpec((8, 8, 1), 10)


def batch_of(n: int, spec: DataSpec = SPEC) -> dict[str, jax.Array]:
    images = jax.random.uniform(KEY, (n, *spec.shape), minval=-1.0)
    labels = {} if spec.classes is None else {"label": jnp.arange(n, dtype=jnp.int32) % 10}
    return {"image": images} | labels


def started(spec: DataSpec = SPEC, **fields: Any):
    recipe: Any = make_recipe("mnist_gat", **TINY_GAT | fields)
    gan = recipe.gan(spec)
    update, batch = recipe.update(gan), batch_of(recipe.batch_size, spec)
    return recipe, gan, make_step(update), init(gan, KEY, batch, update), batch


def test_d_sees_reals_at_all_levels_and_samples_are_the_last():
    recipe, gan, _, state, batch = started()
    seen, labels = gan.view(gan.real(batch), batch, KEY, state)
    assert seen.shape == (4, 4, 8, 8, 1)
    np.testing.assert_array_equal(labels, batch["label"])
    made: Any = jax.jit(lambda state: sample(gan, state, KEY, 4, batch))(state)
    assert made.shape == (4, 4, 8, 8, 1)
    np.testing.assert_array_equal(recipe.example(made), made[:, 3])


def test_levels_are_augmented_by_one_draw_and_hidden_afterwards(monkeypatch):
    recipe, gan, _, state, batch = started()
    alike = jnp.repeat(gan.real(batch), 4, 1)
    # The same numbers, whether a picture stands for all levels or is there four times.
    (found, _), (expected, _) = (
        gan.view(levels, batch, KEY, state) for levels in (gan.real(batch), alike)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # What is cut out of the picture holds noise alone: so augmentation comes first.
    monkeypatch.setattr(type(recipe), "augment", lambda self: lambda image, key: 0 * image)
    hidden, _ = gan.view(alike, batch, KEY, state)
    bright, _ = gan.view(9 + alike, batch, KEY, state)
    np.testing.assert_array_equal(hidden, bright)
    assert np.abs(hidden[:, 3]).max() < 0.1 < np.abs(hidden[:, 0]).max()


def test_wide_networks_learn_slowly_and_gradients_are_clipped():
    params = {"w": jnp.zeros(4)}
    for width in (8, 32):
        recipe: Any = make_recipe("mnist_gat", **TINY_GAT | {"width": width})
        optimizer = recipe.gan(SPEC).generator_optimizer
        state = optimizer.init(params)
        moved, state = optimizer.update({"w": jnp.full(4, 1000.0)}, state, params)
        np.testing.assert_allclose(moved["w"], -2e-4 * 768 / width, rtol=1e-5)
        # The second moments that Adam keeps are of a gradient of length 1.
        (second,) = [x for x in jax.tree.leaves(state) if x.shape and (x > 0).all() and x[0] < 0.1]
        np.testing.assert_allclose(second, 0.01 * 0.25, rtol=1e-5)


def test_the_small_one_learns_ever_more_slowly():
    recipe: Any = make_recipe("mnist_gat", **TINY_GAT | {"cooldown": 80})  # 20 steps
    optimizer, params = recipe.gan(SPEC).discriminator_optimizer, {"w": jnp.zeros(1)}
    state, steps = optimizer.init(params), []
    for _ in range(22):
        moved, state = optimizer.update({"w": jnp.ones(1)}, state, params)
        steps.append(-float(moved["w"][0]) / (2e-4 * 768 / 8))
    np.testing.assert_allclose([steps[i] for i in (0, 10, 20, 21)], [1, 0.525, 0.05, 0.05], 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [None, 10])
def test_a_step_moves_both_players_and_keeps_averages(classes):
    _, _, step, state, batch = started(DataSpec((8, 8, 1), classes))
    moved, metrics = jax.jit(step)(state, batch, KEY)
    assert {"loss_d", "loss_g", "penalty"} <= metrics.keys()
    assert all(np.isfinite(x) for x in metrics.values()) and metrics["penalty"] > 0
    idle = [
        jax.tree_util.keystr(path)
        for player in ("generator", "discriminator")
        for (path, before), after in zip(
            jax.tree.leaves_with_path(getattr(state, player).params),
            jax.tree.leaves(getattr(moved, player).params),
            strict=True,
        )
        if (before == after).all()
    ]
    # A real and its fake have the same label, so what a bias gives for it makes no difference,
    # unless by rounding.
    assert set(idle) <= ({"['features']['bias']"} if classes else set())
    for kept in (moved.generator, moved.extra["average"]):
        average = kept.collections["batch_stats"]["average"]
        present = sorted({*np.asarray(batch["label"])} if classes else {0})
        assert np.flatnonzero(np.abs(average).max(1)).tolist() == present


@pytest.mark.slow
def test_a_tiny_one_learns_where_its_pictures_are_bright():
    recipe, gan, step, state, batch = started(
        batch_size=16, width=16, learning_rate=1e-4, average_decay=0.9, style_gain=1.0
    )
    images = jnp.full((300, 16, 8, 8, 1), -1.0).at[:, :, :4, :4].set(1.0)
    labels = jnp.broadcast_to(batch["label"][None], (300, 16))
    state, metrics = jax.jit(lambda *args: run_steps(step, *args))(
        state, {"image": images, "label": labels}, KEY
    )
    assert all(np.isfinite(x).all() for x in metrics.values())
    made = recipe.example(jax.jit(lambda state: sample(gan, state, KEY, 16, batch))(state))
    assert made[:, :4, :4].mean() > made[:, 4:, 4:].mean() + 0.5


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"depth": 6}, "depth must be a multiple of 4, not 6"),
        ({"width": 12}, "width must be a multiple of 4 for each of the 2 heads, not 12"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        make_recipe("mnist_gat", **TINY_GAT | fields)


def test_d_learns_what_another_network_sees_in_reals():
    recipe, gan, step, state, batch = started(
        DataSpec((28, 28, 1), 10), patch=7, representation_weight=2.0, learning_rate=1e-5
    )
    seen = {"whole": jnp.ones((4, digits.FEATURES)), "patches": jnp.zeros((4, 4, 4, 128))}
    play = Play(batch, None, None, None, seen, None, state, KEY, jnp.negative, jnp.negative)
    wanted = digits.load().features((batch["image"] + 1) / 2)
    cosines = wanted.sum(1) / jnp.linalg.norm(wanted, axis=1) / np.sqrt(digits.FEATURES)
    assert gan.discriminator_terms is not None
    np.testing.assert_allclose(gan.discriminator_terms(play), 2 * (1 - cosines), rtol=1e-5)
    step, terms = jax.jit(step), []
    for _ in range(12):
        state, metrics = step(state, batch, KEY)
        terms.append(metrics["terms_d"])
    assert terms[-1] < 0.8 * terms[0] and metrics["penalty"] > 0
    assert {name for name in metrics if name.endswith("_real")} == {"score_real"}


def test_a_recipe_without_features_says_so():
    with pytest.raises(UserError, match="for digits of 28 x 28, in gray: set it to 0"):
        make_recipe("mnist_gat", **TINY_GAT | {"representation_weight": 1.0}).gan(SPEC)


def test_patches_divide_images():
    recipe: Any = make_recipe("mnist_gat", **TINY_GAT)
    with pytest.raises(UserError, match="multiples of 4 and at least 4, not 30 x 30"):
        recipe.gan(DataSpec((30, 30, 1)))


@pytest.mark.slow
def test_a_step_lowers_for_cuda_and_tpu():
    _, _, step, state, batch = started()
    lowered = export.export(jax.jit(step), platforms=("cuda", "tpu"))
    assert lowered(state, batch, KEY).platforms == ("cuda", "tpu")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_types_reach_both_networks(dtype):
    recipe: Any = make_recipe("mnist_gat", **TINY_GAT, dtype=dtype)
    gan, batch = recipe.gan(SPEC), batch_of(4)
    inputs = gan.inputs(KEY, 4, batch)
    seen = jnp.zeros((4, 4, 8, 8, 1)), batch["label"]
    for network, given in ((gan.generator, inputs), (gan.discriminator, seen)):

        def run(network=network, given=given):
            return network.apply(*network.init(KEY, given), given, KEY, True)[0]

        tokens = 4 if network is gan.generator else 5
        program = str(jax.make_jaxpr(run)())
        assert (f"bf16[4,{tokens},8]" in program) == (dtype == "bfloat16")
        assert jax.eval_shape(run).dtype == jnp.float32
