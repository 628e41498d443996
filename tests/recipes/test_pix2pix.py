"""Pix2Pix's recipes: networks, pairs and their jitter, what G pays, and resuming."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from runs import contents
from tiny_systems import make_recipe

from jaxgan.core.gan import generate, init
from jaxgan.core.steps import make_step
from jaxgan.core.updates import draw_inputs, make_fakes
from jaxgan.data import batches, held_out, load
from jaxgan.recipes import find_recipe
from jaxgan.rundir.loading import load as load_run
from jaxgan.training.loop import train
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
TINY: dict[str, Any] = {
    **{"batch_size": 4, "generator_width": 4, "discriminator_width": 4},
    **{"discriminator_layers": 1, "downs": 2, "grid": (2, 2)},
}
SPEC = DataSpec((8, 8, 3), None, (8, 8, 1))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("faces"))


def tiny(name: str = "pix2pix", **fields: Any) -> Any:
    return make_recipe(name, **TINY | fields)


def started(recipe: Any, spec: DataSpec = SPEC):
    gan = recipe.gan(spec)
    update = recipe.update(gan)
    assert spec.source is not None
    batch = {
        name: jax.random.uniform(jax.random.fold_in(KEY, n), (4, *shape), minval=-1)
        for n, (name, shape) in enumerate({"image": spec.shape, "source": spec.source}.items())
    }
    return gan, update, init(gan, KEY, batch, update), batch


def one_batch(feed: Any) -> Any:
    (batch,) = batches(feed, KEY, 0, 1)
    return batch


def test_the_papers_networks_have_its_numbers_of_parameters():
    kind: Any = find_recipe("pix2pix")
    gan = kind(**kind.presets["paper"]).gan(DataSpec((256, 256, 3), None, (256, 256, 3)))
    like = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    state = jax.eval_shape(partial(init, gan), KEY, {"image": like, "source": like})
    counts = [
        sum(x.size for x in jax.tree.leaves(net.params))
        for net in (state.generator, state.discriminator)
    ]
    assert counts == [54_413_955, 2_768_705]


@pytest.mark.parametrize("name, downs", [("openmoji_color", 5), ("mnist_restore", 5)])
def test_small_recipes_go_down_to_a_pixel(name, downs):
    recipe: Any = make_recipe(name, generator_width=1)
    side, colors, source = (32, 3, 1) if name == "openmoji_color" else (28, 1, 1)
    spec = DataSpec((side, side, colors), None, (side, side, source))
    like = {"image": spec.shape, "source": spec.source}
    batch = {x: jax.ShapeDtypeStruct((1, *shape), jnp.float32) for x, shape in like.items()}
    state = jax.eval_shape(partial(init, recipe.gan(spec)), KEY, batch)
    assert len([x for x in state.generator.params if x.startswith("Conv_")]) == downs


@pytest.mark.slow
def test_g_pays_the_adversarial_loss_and_the_distance_by_their_weights():
    gan, update, state, batch = started(tiny(l1_weight=7.0, adversarial_weight=0.5, dropouts=0))
    key = jax.random.fold_in(KEY, 0)  # of the first step
    fakes, _ = make_fakes(gan, state.generator.params, state, draw_inputs(gan, batch, key), key)
    after, metrics = jax.jit(make_step(update))(state, batch, KEY)
    np.testing.assert_allclose(
        metrics["terms_g"], 7 * np.abs(fakes - batch["image"]).mean(), rtol=1e-4
    )
    seen = (batch["source"], fakes)
    net = after.discriminator
    scores, _ = gan.discriminator.apply(net.params, net.collections, seen, key, True)
    np.testing.assert_allclose(metrics["loss_g"], 0.5 * jax.nn.softplus(-scores).mean(), rtol=1e-4)
    # At the start, D is undecided: ln 2 for reals and for fakes.
    np.testing.assert_allclose(metrics["loss_d"], 2 * np.log(2), atol=0.15)


def test_dropout_stays_on_and_pictures_do_not_depend_on_each_other():
    gan, _, state, batch = started(tiny(dropouts=1))
    make = jax.jit(partial(generate, gan, state))
    images = make(batch["source"], KEY)
    assert float(jnp.abs(make(batch["source"], jax.random.key(1)) - images).max()) > 1e-6
    others = batch["source"].at[1:].set(0.5)
    np.testing.assert_allclose(make(others, KEY)[0], images[0], atol=1e-6)


def test_the_learning_rate_is_constant_and_then_falls_to_0():
    optimizer = tiny(learning_rate=1.0, decay_from=3, decay_steps=4).adam()
    state, sizes = optimizer.init(jnp.zeros(())), []
    for _ in range(9):
        change, state = optimizer.update(jnp.ones(()), state)
        sizes.append(-float(change))
    np.testing.assert_allclose(sizes, [1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0], atol=1e-5)


@pytest.mark.slow
def test_a_run_cannot_be_resumed_beyond_what_it_learns(root, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxgan.training.observers.write_report", lambda run: run)
    recipe = tiny(data="faces-pairs", dropouts=0, decay_from=1, decay_steps=1, steps=2)
    train(recipe, tmp_path / "run", data_dir=root)
    before = contents(tmp_path / "run")
    longer = recipe.with_values({"steps": 3})
    with pytest.raises(UserError, match="run of 3 steps would learn nothing after step 2, "):
        train(longer, tmp_path / "run", data_dir=root, resume=True)
    assert contents(tmp_path / "run") == before


def test_a_pair_has_one_jitter(root):
    batch = one_batch(tiny(data="faces#image,image").feed(0, root))
    np.testing.assert_array_equal(batch["image"], batch["source"])
    plain = one_batch(tiny(data="faces#image,image", jitter=0.0).feed(0, root))
    assert not np.array_equal(batch["image"], plain["image"])


def test_degraded_pictures_are_pairs_and_the_hole_stays_in_the_center(root):
    for jitter in (0.0, 0.2):
        recipe = tiny(data="faces", degrade="mask", jitter=jitter)
        batch = one_batch(recipe.feed(0, root))
        hole = np.zeros((16, 16, 1), bool)
        hole[4:12, 4:12] = True
        expected = np.where(hole, 0, batch["image"])
        np.testing.assert_allclose(batch["source"], expected, atol=1e-6)
        plain = one_batch(load("faces", batch_size=4, data_dir=root))
        assert np.allclose(batch["image"], plain["image"], atol=1e-6) == (jitter == 0)


def test_samples_are_made_from_pictures_that_training_does_not_see(root):
    assert held_out("openmoji-pairs@train[:9]") == "openmoji-pairs@test"
    assert held_out("faces@train#glasses") == "faces@test#glasses"
    assert held_out("folder:PATH#A,B") == "folder:PATH#A,B"
    for all_or_others in ("mnist@train+test", "mnist@test[:9]", "openmoji@all#drawing"):
        assert held_out(all_or_others) == all_or_others  # as training sees them too
    recipe = tiny(data="faces-pairs@train[:8]")
    spec = DataSpec((16, 16, 3), None, (16, 16, 3))
    found = recipe.conditions(120, spec, root)["source"]
    test = one_batch(load("faces@test#glasses", batch_size=100, data_dir=root))["image"]
    ours, theirs = (np.unique(np.asarray(x), axis=0) for x in (found[:100], test))
    np.testing.assert_array_equal(ours, theirs)
    own = tiny(data="faces-pairs", held_out="faces-pairs@train[:1]").conditions(2, spec, root)
    np.testing.assert_array_equal(*own["source"])


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"data": "faces-pairs", "degrade": "blur"}, "faces-pairs has pairs already"),
        ({"data": "mnist"}, "single ones: choose pairs, .* or make them by degrade"),
        ({"data": "mnist", "degrade": "gray"}, "have 1 channels, not 3, so there are no colors"),
    ],
)
def test_pictures_that_cannot_be_degraded_are_refused(fields, message, root, mnist_dir):
    with pytest.raises(UserError, match=message):
        tiny(**fields).feed(0, mnist_dir if fields["data"] == "mnist" else root)


@pytest.mark.parametrize(
    "spec, fields, message",
    [
        (DataSpec((8, 8, 1)), {}, "single ones: choose pairs"),
        (SPEC, {"downs": 4}, "downs must be at most 3 for pictures of 8 x 8, not 4"),
        (SPEC, {"discriminator_layers": 2}, "2 layers that halve the size leaves no patch of 8"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(spec, fields, message):
    with pytest.raises(UserError, match=message):
        tiny(**fields).gan(spec)


@pytest.mark.slow
@pytest.mark.parametrize("degrade", ["mask", "blur", "downscale", "noise", "edges", "gray"])
def test_runs_are_resumed_bit_for_bit(degrade, root, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxgan.training.observers.write_report", lambda run: run)
    every = {"log_every": 1, "sample_every": 2, "checkpoint_every": 2}
    recipe = tiny("mnist_restore", data="faces", degrade=degrade, jitter=0.1, **every)
    for run, lengths in (("whole", [4]), ("halves", [2, 4])):
        for steps in lengths:
            longer = recipe.with_values({"steps": steps})
            train(longer, tmp_path / run, data_dir=root, resume=steps > lengths[0])
    whole, halves = (load_run(tmp_path / run).state for run in ("whole", "halves"))
    jax.tree.map(np.testing.assert_array_equal, whole, halves)
    samples = [contents(tmp_path / run / "samples") for run in ("whole", "halves")]
    assert len(samples[0]) == 3 and samples[0] == samples[1]


@pytest.mark.slow
def test_a_step_lowers_for_cuda_and_tpu():
    _, update, state, batch = started(tiny())
    lowered = export.export(jax.jit(make_step(update)), platforms=("cuda", "tpu"))
    assert lowered(state, batch, KEY).platforms == ("cuda", "tpu")
