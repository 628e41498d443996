"""What a recipe of pairs, or of two sets of pictures, finds ready: data, shapes, runs, resuming."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from runs import contents

from jaxgan import GAN, augment, degradations, linen, losses, update_both
from jaxgan.data import Mapped, Unpaired, batches, degraded, jointly, load, on_images
from jaxgan.evaluation.examples import real_examples
from jaxgan.recipes import ImageRecipe, require_source
from jaxgan.recipes import recipe as recipes
from jaxgan.rundir.config import read_config
from jaxgan.rundir.loading import draw
from jaxgan.rundir.loading import load as load_run
from jaxgan.training.loop import train
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

HELD_OUT = "faces-pairs@test"


def slow(name: str):
    return pytest.param(name, marks=pytest.mark.slow)


class Generator(nn.Module):
    channels: int

    @nn.compact
    def __call__(self, source, train):
        return nn.Conv(self.channels, (3, 3))(source)


class Discriminator(nn.Module):
    @nn.compact
    def __call__(self, image, source, train):
        return nn.Conv(1, (3, 3))(jnp.concatenate([image, source], axis=-1)).mean((1, 2, 3))


@pytest.fixture(scope="module")
def kinds():
    """The recipes, known by their names only here."""

    @dataclass(frozen=True, kw_only=True)
    class Translating(ImageRecipe):
        """A little Pix2Pix."""

        name: ClassVar[str] = "translating"
        default_length: ClassVar = {"steps": 6}
        data: str = "faces-pairs"
        batch_size: int = 4
        log_every: int = 1
        sample_every: int = 3
        checkpoint_every: int = 3
        grid: tuple[int, int] = (2, 3)

        def feed(self, seed, data_dir=None):
            jitter = augment.of_batch(augment.jitter())
            return Mapped(super().feed(seed, data_dir), jointly(jitter))

        def conditions(self, count, spec, data_dir=None):
            feed = load(HELD_OUT, batch_size=count, data_dir=data_dir)
            (batch,) = batches(feed, jax.random.key(0), 0, 1)
            return {"source": batch["source"]}

        def gan(self, spec):
            require_source(spec)
            return GAN(
                generator=linen(Generator(spec.shape[-1])),
                discriminator=linen(Discriminator()),
                generator_optimizer=optax.sgd(0.1),
                discriminator_optimizer=optax.sgd(0.1),
                loss=losses.non_saturating,
                inputs=lambda key, n, batch: batch["source"],
                view=lambda example, batch, key, state: (example, batch["source"]),
                generator_terms=lambda play: jnp.abs(play.fake - play.real).mean((1, 2, 3)),
            )

        def update(self, gan):
            return update_both(gan)

    @dataclass(frozen=True, kw_only=True)
    class Restoring(Translating):
        name: ClassVar[str] = "restoring"

        def feed(self, seed, data_dir=None):
            blur = augment.of_batch(degradations.blur())
            return Mapped(ImageRecipe.feed(self, seed, data_dir), degraded(blur))

    @dataclass(frozen=True, kw_only=True)
    class Crossing(Translating):
        name: ClassVar[str] = "crossing"
        data: str = "faces#glasses"
        source: str = "faces"

        def feed(self, seed, data_dir=None):
            feeds = [self.open(data, seed, data_dir) for data in (self.data, self.source)]
            jitter = on_images(augment.of_batch(augment.jitter()))
            return Unpaired(*(Mapped(feed, jitter) for feed in feeds), seed=seed)

    made = {kind.name: kind for kind in (Translating, Restoring, Crossing)}
    yield made
    for name in made:
        del recipes.known[name]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("faces"))


@pytest.fixture(autouse=True)
def without_reports(monkeypatch):
    monkeypatch.setattr("jaxgan.training.observers.write_report", lambda run: run)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["translating", slow("crossing")])
def test_a_run_is_resumed_bit_by_bit_and_sampled(kinds, root, tmp_path, monkeypatch, name):
    recipe = kinds[name]()
    options: dict[str, Any] = {"data_dir": root, "seed": 3}
    train(recipe, tmp_path / "whole", **options)
    train(replace(recipe, steps=3), tmp_path / "halves", **options)
    train(recipe, tmp_path / "halves", **options, resume=True)
    whole, halves = (load_run(tmp_path / run) for run in ("whole", "halves"))
    jax.tree.map(np.testing.assert_array_equal, whole.state, halves.state)
    assert whole.spec == DataSpec((16, 16, 3), None, (16, 16, 3))
    samples = [sorted((tmp_path / run / "samples").iterdir()) for run in ("whole", "halves")]
    assert len(samples[0]) == 3
    for one, other in zip(*samples, strict=True):
        assert one.read_bytes() == other.read_bytes()
    monkeypatch.setenv("TFDS_DATA_DIR", root)
    held_out = load(HELD_OUT, batch_size=5, data_dir=root)
    (batch,) = batches(held_out, jax.random.key(0), 0, 1)
    params, collections = whole.state.generator.params, whole.state.generator.collections
    made, _ = whole.gan.generator.apply(
        params, collections, batch["source"], jax.random.key(0), False
    )
    found = draw(whole, 5, jax.random.key(1))
    np.testing.assert_allclose(found, np.clip(127.5 * (made + 1), 0, 255), atol=0.51)


@pytest.mark.slow
@pytest.mark.parametrize("name", [slow("translating"), slow("restoring"), "crossing"])
def test_numbers_do_not_depend_on_the_number_of_devices(kinds, root, tmp_path, name):
    recipe = replace(kinds[name](), steps=4)
    states = [
        train(recipe, tmp_path / str(devices), data_dir=root, devices=devices) for devices in (1, 4)
    ]
    for one, other in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)  # rounding


def test_the_shape_of_the_source_is_kept_and_compared(kinds, root, tmp_path):
    with pytest.raises(UserError, match="single ones: choose pairs, such as openmoji-pairs"):
        kinds["translating"]().gan(DataSpec((16, 16, 3)))
    recipe = kinds["restoring"](data="faces")
    train(recipe, tmp_path / "run", data_dir=root)
    before = contents(tmp_path / "run")
    config = read_config(tmp_path / "run")
    assert config.spec.source == config.source_shape == (16, 16, 3)
    path = tmp_path / "run" / "config.json"
    shape = '"source_shape": [\n    {},'
    path.write_text(path.read_text().replace(shape.format(16), shape.format(8)))
    with pytest.raises(UserError, match=r"made from others of shape \(8, 16, 3\), but its data"):
        train(replace(recipe, steps=9), tmp_path / "run", data_dir=root, resume=True)
    assert contents(tmp_path / "run").keys() == before.keys()


@pytest.mark.slow
def test_a_population_learns_pairs_of_its_own(kinds, root):
    from jaxgan.rundir import Members
    from jaxgan.training.chunks import train_in_chunks
    from jaxgan.training.experiment import set_up

    recipe = replace(kinds["crossing"](), steps=3)
    both = set_up(recipe, 5, members=Members(2), data_dir=root)
    (*_, last) = train_in_chunks(both, both.draw_first())
    alone = set_up(recipe, 6, data_dir=root)
    (*_, second) = train_in_chunks(alone, alone.draw_first())
    for one, other in zip(*map(jax.tree.leaves, (last.state, second.state)), strict=True):
        np.testing.assert_allclose(one[1], other, atol=1e-5)


def test_real_examples_of_pairs_are_the_targets(kinds, root):
    recipe = kinds["restoring"](data="faces@test")
    images = real_examples(recipe, 8, 0, root)
    assert images.shape == (8, 16, 16, 3) and images.dtype == np.uint8
