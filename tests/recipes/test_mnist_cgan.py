"""The conditional recipes of small networks: what they train, and what they draw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from runs import command

from jaxgan.recipes.mnist_cgan import MnistCgan
from jaxgan.rundir import load
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

TINY = [
    *"--batch-size 8 --latent-size 3 --grid 2 2 --log-every 2".split(),
    *"--generator-width 4 --generator-channels 3 2".split(),
    *"--discriminator-channels 2 3 --discriminator-width 4".split(),
]


def test_it_trains_and_draws_each_class(here):
    words = ["--data", "mnist@train[:64]", "--steps", "4", "--out", "run"]
    done = command("train", "mnist_cgan", *TINY, *words)
    assert done.status == 0, done.err
    done = command("sample", "run", "--label", "each", "--num", "20", "--out", "each.npz")
    assert done.status == 0, done.err
    with np.load(here / "each.npz") as found:
        (images,) = found.values()
    assert images.shape == (20, 28, 28, 1)
    assert command("sample", "run", "--label", "7", "--num", "9", "--out", "7.png").status == 0
    with Image.open(here / "7.png") as picture:
        assert picture.width >= 3 * 28


def test_emoji_are_augmented_for_the_discriminator_alone(here, tmp_path):
    words = ["--data", "openmoji@train[:64]", "--steps", "2", "--out", "run"]
    done = command("train", "openmoji_cgan", *TINY, *words, "--data-dir", tmp_path / "emoji")
    assert done.status == 0, done.err
    trained = load(here / "run")
    gan, state = trained.gan, trained.state
    images, label = jnp.ones((4, 32, 32, 3)), jnp.arange(4)
    seen, labels = gan.view(images, {"label": label}, jax.random.key(0), state)
    assert (seen != images).any((1, 2, 3)).all() and labels is label
    again, _ = gan.view(images, {"label": label}, jax.random.key(1), state)
    assert (seen != again).any()


def test_data_without_labels_are_refused():
    with pytest.raises(UserError, match="need labels"):
        MnistCgan().gan(DataSpec((28, 28, 1)))
