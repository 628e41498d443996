"""CycleGAN's recipe: networks, whose fakes D sees, its pools, and resuming."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from tiny_systems import make_recipe

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.core.updates import make_fakes, update_discriminator, update_generator
from jaxgan.data import batches, load
from jaxgan.recipes import find_recipe
from jaxgan.rundir.loading import load as load_run
from jaxgan.training.loop import train
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
TINY: dict[str, Any] = {
    **{"batch_size": 4, "generator_width": 2, "discriminator_width": 2, "blocks": 1},
    **{"pool_size": 6, "grid": (2, 2), "log_every": 1, "sample_every": 3, "checkpoint_every": 3},
}
SPEC = DataSpec((8, 8, 3), None, (8, 8, 3))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("faces"))


def started(**fields: Any):
    recipe: Any = make_recipe("cyclegan", **TINY | fields)
    gan = recipe.gan(SPEC)
    update = recipe.update(gan)
    image, source = jax.random.uniform(KEY, (2, 4, 8, 8, 3), minval=-1)
    batch = {"image": image, "source": source}
    return gan, update, init(gan, KEY, batch, update), batch


def test_the_papers_networks_have_the_numbers_of_parameters_of_the_source():
    kind: Any = find_recipe("cyclegan")
    recipe = kind(**kind.presets["paper"])
    gan = recipe.gan(DataSpec((256, 256, 3), None, (256, 256, 3)))
    like = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    state = jax.eval_shape(partial(init, gan), KEY, {"image": like, "source": like})
    for net, count in ((state.generator, 11_378_179), (state.discriminator, 2_764_737)):
        assert sum(x.size for x in jax.tree.leaves(net.params)) == 2 * count
    assert recipe.total_steps(1334) == recipe.decay_from + recipe.decay_steps == 266_800


@pytest.mark.slow
def test_both_players_learn_from_what_was_before_the_step():
    gan, update, state, batch = started()
    key = jax.random.fold_in(KEY, 0)  # of the first step
    real = {"a": batch["source"], "b": batch["image"]}

    @jax.jit
    def expect():
        fakes, _ = make_fakes(gan, state.generator.params, state, real, key)
        of_g, terms = update_generator(gan).apply(state, batch, key)
        of_d, metrics = update_discriminator(gan, fake=fakes).apply(state, batch, key)
        return fakes, of_g.generator, of_d.discriminator, terms | metrics

    fakes, generator, discriminator, expected = expect()
    found, metrics = jax.jit(make_step(update))(state, batch, KEY)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    assert {"loss_d", "loss_g", "terms_g", "score_real", "score_fake"} == metrics.keys()
    jax.tree.map(close, metrics, expected)
    # Biases before instance norm have no gradient but rounding, of which Adam makes whole steps.
    for net, wanted in ((found.discriminator, discriminator), (found.generator, generator)):
        for ours, theirs in zip(*map(jax.tree.leaves, (net.params, wanted.params)), strict=True):
            if ours.ndim > 1:
                close(ours, theirs)
    for name, (stored, count) in found.extra["pool"].items():  # there is room for all
        assert count == 4
        close(stored[:4], fakes[name])


@pytest.mark.slow
def test_g_pays_for_the_way_there_and_back_and_for_its_own_set():
    gan, update, state, batch = started(cycle_weight=3.0, identity_weight=0.5)
    key, real = jax.random.fold_in(KEY, 0), {"a": batch["source"], "b": batch["image"]}

    def run(pictures):
        return make_fakes(gan, state.generator.params, state, pictures, key)[0]

    def apart(pictures):
        return sum(float(jnp.abs(pictures[x] - real[x]).mean()) for x in "ab") / 2

    back, same = run(run(real)), run({"a": real["b"], "b": real["a"]})
    _, metrics = jax.jit(make_step(update))(state, batch, KEY)
    expected = 3 * apart(back) + 0.5 * apart(same)
    np.testing.assert_allclose(metrics["terms_g"], expected, rtol=1e-4)


def test_sets_are_no_pairs_and_samples_are_made_of_held_out_a(root):
    recipe: Any = make_recipe("cyclegan", **TINY | {"jitter": 0.0})
    (batch,) = batches(recipe.feed(0, root), KEY, 0, 1)
    sets = [
        np.asarray(next(batches(load(name, batch_size=900, data_dir=root), KEY, 0, 1))["image"])
        for name in ("faces", "faces#glasses")
    ]

    def places(images, among):
        return [int(np.abs(among - x).mean((1, 2, 3)).argmin()) for x in np.asarray(images)]

    a, b = places(batch["source"], sets[0]), places(batch["image"], sets[1])
    np.testing.assert_array_equal(batch["source"], sets[0][a])
    np.testing.assert_array_equal(batch["image"], sets[1][b])
    assert a != b
    source = recipe.conditions(3, SPEC, root)["source"]
    (batch,) = batches(load("faces@test", batch_size=100, data_dir=root), KEY, 0, 1)
    test = np.asarray(batch["image"])
    np.testing.assert_array_equal(source, test[places(source, test)])


def test_domains_of_other_colors_have_no_identity_term():
    recipe: Any = make_recipe("cyclegan", **TINY)
    gray = DataSpec((8, 8, 3), None, (8, 8, 1))
    with pytest.raises(UserError, match="1 and of 3 channels have no identity term: set identity"):
        recipe.gan(gray)
    gan = make_recipe("cyclegan", **TINY | {"identity_weight": 0.0}).gan(gray)
    like = {"image": gray.shape, "source": gray.source}
    batch = {x: jax.ShapeDtypeStruct((1, *shape), jnp.float32) for x, shape in like.items()}
    jax.eval_shape(partial(init, gan), KEY, batch)
    for shape, layers, message in [((10, 10, 3), 1, "multiples of 4"), ((8, 8, 3), 3, "no patch")]:
        fields = {"discriminator_layers": layers, "halvings": 2}
        own: Any = make_recipe("cyclegan", **TINY | fields)
        with pytest.raises(UserError, match=message):
            own.gan(DataSpec(shape, None, shape))


@pytest.mark.slow
def test_runs_and_their_pools_are_resumed_bit_for_bit(root, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxgan.training.observers.write_report", lambda run: run)
    recipe: Any = make_recipe("cyclegan", **TINY)
    for run, lengths in (("whole", [6]), ("halves", [3, 6])):
        for steps in lengths:
            longer = recipe.with_values({"steps": steps})
            train(longer, tmp_path / run, data_dir=root, resume=steps > lengths[0])
    whole, halves = (load_run(tmp_path / run).state for run in ("whole", "halves"))
    jax.tree.map(np.testing.assert_array_equal, whole, halves)
    assert {name: int(count) for name, (_, count) in whole.extra["pool"].items()} == {
        "a": 6,
        "b": 6,
    }


@pytest.mark.slow
def test_numbers_and_pools_do_not_depend_on_the_number_of_devices(root, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxgan.training.observers.write_report", lambda run: run)
    recipe: Any = make_recipe("cyclegan", **TINY, steps=4)
    states = [
        train(recipe, tmp_path / str(devices), data_dir=root, devices=devices) for devices in (1, 4)
    ]
    # The gradient of D's biases before instance norm is rounding alone, which Adam divides by
    # itself: a step may go by the whole learning rate, either way.
    either_way = 2 * recipe.steps * recipe.learning_rate
    for (path, one), (_, other) in zip(*map(jax.tree.leaves_with_path, states), strict=True):
        name = jax.tree_util.keystr(path)
        bias = name.startswith(".discriminator.params") and name.endswith("['bias']")
        rounding = 1e-5 + 1e-4 * np.abs(one).max(initial=0)
        bound = either_way if bias else rounding
        np.testing.assert_allclose(one, other, atol=bound, err_msg=name)


@pytest.mark.slow
def test_a_step_lowers_for_cuda_and_tpu():
    _, update, state, batch = started()
    lowered = export.export(jax.jit(make_step(update)), platforms=("cuda", "tpu"))
    assert lowered(state, batch, KEY).platforms == ("cuda", "tpu")
