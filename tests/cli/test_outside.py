"""A conditional recipe of one's own, in a file outside the package: `--import` and `--label`."""

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runs import assert_refused, command, copy

from jaxgan import training
from jaxgan.recipes import find_recipe, recipe
from jaxgan.rundir.loading import Trained, is_conditional
from jaxgan.types import DataSpec

CLASSES = 10
MY_GAN = '''
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import optax
from flax import linen as nn

from jaxgan import GAN, latents, linen, losses, update_both
from jaxgan.recipes import Count, ImageRecipe


class Generator(nn.Module):
    @nn.compact
    def __call__(self, latent, label, train):
        bias = self.param("bias", nn.initializers.zeros, ())
        return jnp.broadcast_to((bias + label / 10)[:, None, None, None], (len(label), 28, 28, 1))


class Discriminator(nn.Module):
    @nn.compact
    def __call__(self, image, train):
        return nn.Dense(1)(image.reshape(len(image), -1))[:, 0]


@dataclass(frozen=True, kw_only=True)
class MyGan(ImageRecipe):
    """Gray pictures, the brighter the higher their label."""

    name: ClassVar[str] = "my_gan"
    value_range: ClassVar = (0.0, 1.0)
    default_length: ClassVar = {"steps": 2}

    batch_size: Count = 8
    log_every: Count = 1
    sample_every: Count = 2
    checkpoint_every: Count = 2
    grid: tuple[Count, Count] = (1, 10)
    temperature: float = 0.7  # a hyperparameter of my own

    def gan(self, spec):
        normal = latents.normal(1)
        return GAN(
            generator=self.network(Generator()),
            discriminator=self.network(Discriminator()),
            generator_optimizer=optax.sgd(1e-6),
            discriminator_optimizer=optax.sgd(1e-6),
            loss=losses.non_saturating,
            inputs=lambda key, n, batch: (normal(key, n), batch["label"]),
        )

    def update(self, gan):
        return update_both(gan)
'''


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The file of the recipe."""
    path = tmp_path_factory.mktemp("outside") / "my_gan.py"
    path.write_text(MY_GAN)
    yield path
    forget(path)


def forget(path: Path) -> None:
    """Lets the recipe be as unknown as in another process."""
    sys.modules.pop(str(path), None)
    recipe.known.pop("my_gan", None)


@pytest.fixture(scope="module")
def mine(source, tmp_path_factory, mnist_dir):
    """A run of the recipe; only to be read."""
    run = tmp_path_factory.mktemp("mine") / "run"
    words = ["--data", "mnist@train[:64]", "--data-dir", mnist_dir, "--out", run]
    done = command("train", "my_gan", *words, "--import", source)
    assert done.status == 0, done.err
    return run


def brightness(npz: Path) -> np.ndarray:
    """The class that each sample looks like."""
    return np.round(np.load(npz)["samples"].mean((1, 2, 3)) / 25.5).astype(int)


def test_a_recipe_from_a_file_has_help_like_all_others(source):
    done = command("train", "my_gan", "--import", source, "--help")
    assert (done.status, done.err) == (0, "")
    assert "Gray pictures, the brighter the higher their label." in done.out
    assert "a hyperparameter of my own (default: 0.7)" in " ".join(done.out.split())
    assert "my_gan" in command("recipes", "--import", source).out


@pytest.mark.slow
def test_its_runs_are_loaded_with_the_same_import(mine, source, here):
    run = copy(mine, here / "run")
    assert command("report", "run", "--import", source).status == 0
    for words in (["sample", "run", "--num", "4"], ["verify", "run"]):
        forget(source)
        assert_refused(command(*words), f"--import {source}")
        done = command(*words, "--import", source)
        assert done.status == 0, done.err
    assert (run / "sample_step2_seed0.png").exists()


def test_the_hint_to_go_on_repeats_the_import(source, here, monkeypatch):
    def stop(*_, **__):
        raise training.Interrupted(15, 3)

    monkeypatch.setattr(training, "train", stop)
    done = command("train", "my_gan", "--import", source, "--seed", "4", "--data-dir", "d")
    assert done.status == 128 + 15
    again = shlex.split(done.err.partition("go on with: ")[2])
    run = "runs/my_gan-seed4"
    assert again == [
        *["jaxgan", "train", "my_gan", "--out", run, "--resume"],
        *["--import", str(source), "--data-dir", "d"],
    ]


def test_samples_of_one_class(mine, source, here):
    words = ["sample", mine, "--import", source, "--num", "6"]
    assert command(*words, "--label", "7", "--out", "seven.npz").status == 0
    assert brightness(here / "seven.npz").tolist() == [7] * 6
    assert command(*words, "--out", "all.npz").status == 0
    assert brightness(here / "all.npz").tolist() == [0, 1, 2, 3, 4, 5]


def test_samples_of_each_class_make_a_row_each(mine, source, here):
    run = copy(mine, here / "run")
    done = command("sample", "run", "--import", source, "--label", "each", "--num", "21")
    assert (done.status, done.out) == (0, "run/sample_step2_label_each_seed0.png\n")
    with Image.open(run / "sample_step2_label_each_seed0.png") as picture:
        assert picture.height > 3 * picture.width  # 3 columns, as 21 is rounded up to 30
        left = np.asarray(picture)[:, 5]
    rows = np.round(left[np.linspace(0, len(left), CLASSES, endpoint=False).astype(int) + 5] / 25.5)
    assert rows.tolist() == list(range(CLASSES))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--label", "10"], "--label must be from 0 to 9, or each, not '10'"),
        (["--label", "-1"], "--label must be from 0 to 9, or each, not '-1'"),
        (["--label", "seven"], "--label must be from 0 to 9, or each, not 'seven'"),
        (["--label", "each", "--num", "0"], "num must be from 1 to"),
        (["--label", "3", "--num", "10000000000000"], "num must be from 1 to"),
    ],
)
def test_labels_that_there_are_not_get_one_line(words, told, mine, source):
    assert_refused(command("sample", mine, "--import", source, *words), told)


def test_an_unconditional_run_has_no_labels_to_choose(whole_run):
    done = command("sample", whole_run("pattern_1010"), "--label", "1")
    assert_refused(done, "is not conditioned on labels: leave out --label")


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [("my_gan", CLASSES, True), ("mnist_mlp", CLASSES, False), ("mnist_mlp", None, False)],
)
def test_a_gan_is_conditional_if_its_inputs_use_labels(name, classes, expected, source):
    command("recipes", "--import", source)
    made = find_recipe(name)()  # pyright: ignore
    spec = DataSpec((28, 28, 1), classes)
    state: object = None
    assert is_conditional(Trained(made, spec, made.gan(spec), state)) == expected  # pyright: ignore
