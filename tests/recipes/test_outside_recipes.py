"""Recipes from outside the package: found, trained and loaded again like those in it."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from runs import command

import jaxgan.recipes
from jaxgan import rundir
from jaxgan.keys import from_seed
from jaxgan.recipes import find_recipe, load_from, recipes, source_of
from jaxgan.recipes.pattern_1010 import Pattern1010
from jaxgan.recipes.recipe import known
from jaxgan.training import train
from jaxgan.training.verify import verify
from jaxgan.util.errors import UserError

# Hyperparameters of many types, whose annotations are only text at run time.
FILE = '''
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxgan.recipes import Positive
from jaxgan.recipes.pattern_1010 import Pattern1010


@dataclass(frozen=True, kw_only=True)
class Outside(Pattern1010):
    """A recipe of somebody else."""

    name: ClassVar[str] = "outside"

    checkpoint_every: int = 4  # steps between two checkpoints
    log_every: int = 2
    weights: tuple[float, ...] = (0.5, -1.5)  # of something
    shift: float = -2.0
    rate: Positive | None = None
    mode: Literal["soft", "hard"] = "soft"  # how
'''


CONDITIONAL = '''
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import optax
from flax import linen as nn

from jaxgan import GAN, latents, linen, losses, update_both
from jaxgan.recipes import ImageRecipe, require_classes


class Generator(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, z, label, train):
        # The class is the brightness of the whole picture, whatever is learned.
        shade = label[:, None, None, None] / self.classes
        return 0 * nn.Dense(1)(z)[:, :, None, None] + 2 * shade * jnp.ones((1, 28, 28, 1)) - 1


class Discriminator(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, image, label, train):
        x = jnp.concatenate([image.reshape(len(image), -1), nn.Embed(self.classes, 4)(label)], 1)
        return nn.Dense(1)(x)[:, 0]


@dataclass(frozen=True, kw_only=True)
class Conditional(ImageRecipe):
    """Classes."""

    name: ClassVar[str] = "conditional"
    default_length: ClassVar = {"steps": 2}
    batch_size: int = 4
    log_every: int = 1
    sample_every: int = 2
    checkpoint_every: int = 2
    grid: tuple[int, int] = (2, 10)

    def gan(self, spec):
        classes = require_classes(spec)
        normal = latents.normal(3)
        return GAN(
            generator=linen(Generator(classes)),
            discriminator=linen(Discriminator(classes)),
            generator_optimizer=optax.sgd(0.1),
            discriminator_optimizer=optax.sgd(0.1),
            loss=losses.non_saturating,
            inputs=lambda key, n, batch: (normal(key, n), batch["label"]),
            view=lambda example, batch, key, state: (example, batch["label"]),
        )

    def update(self, gan):
        return update_both(gan)
'''


@pytest.fixture(autouse=True)
def forget():
    """Forgets the recipes that a test defines, as a new process would; again when called."""
    before = dict(recipes())

    def forget_all(*files):
        known.clear()
        known.update(before)
        for file in files:
            del sys.modules[str(file)]

    yield forget_all
    forget_all()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory, where runs end without a report."""
    monkeypatch.setattr("jaxgan.training.observers.write_report", lambda run: run)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def file(place):
    path = place / "my gan.py"
    path.write_text(FILE)
    return path


def test_a_file_is_imported_once_and_its_recipe_found(file):
    with pytest.raises(UserError, match="no recipe 'outside'"):
        find_recipe("outside")
    load_from("my gan.py")
    kind = find_recipe("outside")
    load_from(str(file))
    assert find_recipe("outside") is kind is recipes()["outside"]


def test_a_recipe_in_a_file_trains_and_its_run_is_loaded(file, forget):
    words = "--out run --steps 4 --weights 1 -2.5 --shift -0.5 --rate 0.1 --mode hard"
    done = command("train", "outside", "--import", "my gan.py", *words.split())
    assert done.status == 0, done.err
    config = json.loads(Path("run/config.json").read_text())
    values = {"weights": [1, -2.5], "shift": -0.5, "rate": 0.1, "mode": "hard", "steps": 4}
    assert config["hyperparameters"].items() >= values.items()
    assert config["source"] == str(file.resolve())

    forget(file)
    told = f"run was made by the recipe 'outside' of {file}: add --import '{file}'"
    with pytest.raises(UserError, match=re.escape(told)):
        rundir.load(Path("run"))
    rundir.check_free(Path("run"), overwrite=True)  # a new run may take its place all the same

    load_from(str(file))
    trained = rundir.load(Path("run"))
    kind: Any = find_recipe("outside")
    assert trained.recipe == kind(**values | {"weights": (1.0, -2.5)})
    assert rundir.draw(trained, 3, from_seed(0)).shape == (3, 4)
    assert verify(Path("run")).differs is None
    done = command("evaluate", "run", *"--num 20 --draws 1 --metrics fd".split())
    assert done.out.splitlines()[1].startswith("fd_")


def test_a_module_is_imported_by_its_name(place, monkeypatch):
    (place / "my_package").mkdir()
    (place / "my_package" / "gans.py").write_text(FILE)
    monkeypatch.syspath_prepend(place)
    load_from("my_package.gans")
    assert source_of(find_recipe("outside")) == "my_package.gans"
    (place / "my_package" / "broken.py").write_text("import no_such_module_at_all")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):  # not the user's typo
        load_from("my_package.broken")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("absent.py", "there is no file .*/absent.py to import"),
        ("absent", "there is no module 'absent' to import"),
        ("jaxgan.absent.more", "there is no module 'jaxgan.absent' to import"),
        ("", "cannot import '': give the name of a module or a .py file"),
        (".absent", "cannot import '.absent'"),
        ("a folder/", "cannot import 'a folder/'"),
    ],
)
def test_what_cannot_be_imported_is_named(source, told, place):
    with pytest.raises(UserError, match=told):
        load_from(source)


def test_installed_packages_declare_recipes(place, monkeypatch):
    """What `pip install` leaves behind of a package: a module and its metadata."""
    (place / "their_gans.py").write_text(FILE)
    (place / "theirs-1.0.dist-info").mkdir()
    for name, text in {
        "METADATA": "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n",
        "entry_points.txt": "[jaxgan.recipes]\na = no_such_module\nb = their_gans\n",
    }.items():
        (place / "theirs-1.0.dist-info" / name).write_text(text)
    monkeypatch.syspath_prepend(place)
    jaxgan.recipes.import_installed.cache_clear()
    assert source_of(recipes()["outside"]) == "their_gans"  # though another one cannot be imported
    jaxgan.recipes.import_installed.cache_clear()


def test_two_recipes_of_one_name_are_an_error_that_names_both(file):
    load_from("my gan.py")
    copy = file.with_name("copy.py")
    copy.write_text(FILE)
    with pytest.raises(UserError) as error:
        load_from("copy.py")
    assert all(str(path) in str(error.value) for path in (file, copy))
    assert find_recipe("outside").__module__ == str(file)


def test_a_class_may_be_defined_again():
    def define(value):
        @dataclass(frozen=True, kw_only=True)
        class Again(Pattern1010):
            name: ClassVar[str] = "again"
            width: int = value

        return Again

    define(3)
    second = define(4)
    assert find_recipe("again") is second


def test_an_incomplete_class_makes_no_recipe():
    class Nameless(Pattern1010):  # its run would be loaded as one of pattern_1010
        pass

    class Undecorated(Pattern1010):  # whose width would still be 3
        name: ClassVar[str] = "undecorated"
        width: int = 9

    with pytest.raises(TypeError, match="Nameless needs a `name` of its own"):
        Nameless()
    with pytest.raises(TypeError, match="Undecorated has fields, so it must be a @dataclass"):
        Undecorated()


def test_a_conditional_recipe_trains_samples_by_label_and_shows_each_class(here):
    (here / "conditional.py").write_text(CONDITIONAL)
    load_from("conditional.py")
    kind: Any = find_recipe("conditional")
    train(kind(data="mnist@train[:64]"), Path("run"))
    trained = rundir.load(Path("run"))
    shade = np.arange(10) * 25.5  # of each class

    def shades(images):
        return images.reshape(len(images), -1).mean(1)

    in_turn = rundir.draw(trained, 20, from_seed(0))
    np.testing.assert_allclose(shades(in_turn), np.tile(shade, 2), atol=1)
    sevens = rundir.draw(trained, 3, from_seed(0), labels=[7, 7, 1])
    np.testing.assert_allclose(shades(sevens), shade[[7, 7, 1]], atol=1)
    for labels, told in (([10, 0], "labels must be from 0 to 9, not 10"), ([0], "1 labels.* 2")):
        with pytest.raises(UserError, match=told):
            rundir.draw(trained, 2, from_seed(0), labels=labels)


MEASURED = """
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax

from jaxgan import GAN, data, latents, linen, losses, update_both
from jaxgan.models import mlp
from jaxgan.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Measured(Recipe):
    '''Series, each beside the loudness that it has.'''

    name: ClassVar[str] = "measured"
    default_length: ClassVar = {"steps": 3}

    batch_size: int = 4
    log_every: int = 1
    sample_every: int = 3
    checkpoint_every: int = 3
    grid: tuple[int, int] = (1, 4)
    made: tuple[int, ...] = (6,)  # shape of what G makes

    def feed(self, seed, data_dir=None):
        series = jax.random.normal(jax.random.key(0), (10, 6))
        feed = data.Resident(series, batch_size=self.batch_size, seed=seed)
        return data.Mapped(feed, lambda x, key: x | {"loudness": jnp.abs(x["image"]).mean(1)})

    def conditions(self, count, spec, data_dir=None):
        return {"loudness": jnp.linspace(0, 1, count)}

    def gan(self, spec):
        draw = latents.normal(3)

        def inputs(key, n, batch):
            return jnp.concatenate([draw(key, n), batch["loudness"][:, None]], 1)

        return GAN(
            generator=linen(mlp.Generator(self.made, widths=(4,))),
            discriminator=linen(mlp.Discriminator(widths=(4,))),
            generator_optimizer=optax.sgd(0.1),
            discriminator_optimizer=optax.sgd(0.1),
            loss=losses.non_saturating,
            inputs=inputs,
            view=lambda x, batch, key, state: x.reshape(len(x), -1),
        )

    def update(self, gan):
        return update_both(gan)
"""


def test_a_batch_may_hold_arrays_of_any_names(here):
    (here / "measured.py").write_text(MEASURED)
    load_from("measured.py")
    kind: Any = find_recipe("measured")
    train(kind(), Path("run"))
    config = json.loads(Path("run/config.json").read_text())
    assert config["entries"] == {"loudness": {"shape": [], "dtype": "float32"}}
    trained = rundir.load(Path("run"))
    assert rundir.draw(trained, 5, from_seed(0)).shape == (5, 6)
    for words in (
        "export run --out bundle",
        "sample bundle --out x.npz",
        "evaluate run --num 5",
    ):
        done = command(*words.split(), "--import", "measured.py")
        assert done.status == 0, done.err
    assert json.loads(Path("bundle/config.json").read_text())["source"] == "measured.py"
    train(kind(steps=6), Path("run"), resume=True)
    with pytest.raises(ValueError, match=r"G of measured makes .* \(6, 1\), but .* have \(6,\)"):
        train(kind(made=(6, 1)), Path("other"))


def test_data_without_labels_is_an_error_where_labels_are_needed(here, whole_run):
    (here / "conditional.py").write_text(CONDITIONAL)
    load_from("conditional.py")
    (here / "pictures").mkdir()
    Image.new("L", (28, 28)).save(here / "pictures" / "1.png")
    kind: Any = find_recipe("conditional")
    with pytest.raises(UserError, match="need labels, which this data set does not have"):
        train(kind(data="folder:pictures", batch_size=1), here / "run")
    with pytest.raises(UserError, match="the data of pattern_1010 has no labels"):
        rundir.draw(rundir.load(whole_run("pattern_1010")), 1, from_seed(0), labels=[0])
