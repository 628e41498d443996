"""The conditional recipe: what it trains, and what it draws."""

import numpy as np
import pytest
from PIL import Image
from runs import command

from jaxgan.recipes.mnist_cgan import MnistCgan
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

TINY = [
    *"--data mnist@train[:64] --batch-size 8 --latent-size 3 --grid 2 2 --log-every 2".split(),
    *"--generator-width 4 --generator-channels 3 2".split(),
    *"--discriminator-channels 2 3 --discriminator-width 4".split(),
]


def test_it_trains_and_draws_each_class(here):
    done = command("train", "mnist_cgan", *TINY, "--steps", "4", "--out", "run")
    assert done.status == 0, done.err
    done = command("sample", "run", "--label", "each", "--num", "20", "--out", "each.npz")
    assert done.status == 0, done.err
    with np.load(here / "each.npz") as found:
        (images,) = found.values()
    assert images.shape == (20, 28, 28, 1)
    assert command("sample", "run", "--label", "7", "--num", "9", "--out", "7.png").status == 0
    with Image.open(here / "7.png") as picture:
        assert picture.width >= 3 * 28


def test_data_without_labels_are_refused():
    with pytest.raises(UserError, match="need labels"):
        MnistCgan().gan(DataSpec((28, 28, 1)))
