"""Stacked digits, from the recipe to the count of their modes."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from runs import TINY, command

from jaxgan.evaluation.evaluator import fitting_extractor
from jaxgan.evaluation.examples import real_examples
from jaxgan.features import extract
from jaxgan.recipes import find_recipe
from jaxgan.recipes.stacked_mnist import StackedMnist
from jaxgan.rundir.log import read_metrics

KEY = jax.random.key(0)  # which these batches do not use
RECIPE = StackedMnist(batch_size=100)


@pytest.mark.slow
def test_the_modes_of_real_examples_are_counted(mnist_dir):
    images = real_examples(RECIPE, 600, 0, mnist_dir)
    assert images.shape == (600, 28, 28, 3)
    found = RECIPE.coverage(images)
    assert found is not None
    feed = RECIPE.feed(0, mnist_dir)
    labels = [np.asarray(feed.batch(feed.arrays, row, KEY)["label"]) for row in feed.rows(0, 6)]
    assert abs(found.found - len(set(np.concatenate(labels).tolist()))) <= 6  # 99.6% are read right
    same = RECIPE.coverage(np.repeat(images[:1], 50, axis=0))
    assert same is not None
    assert (same.found, same.high_quality) == (1, 1)
    assert same.reverse_kl == pytest.approx(np.log(1000))
    assert RECIPE.coverage(images[..., :1]) is None


@pytest.mark.slow
def test_larger_pictures_have_nearly_the_same_modes(mnist_dir):
    large: Any = find_recipe("stacked_mnist_r3gan")
    small = replace(large(batch_size=50), image_size=28)  # the same digits
    images = [real_examples(each, 600, 0, mnist_dir) for each in (large(batch_size=50), small)]
    assert [x.shape[1] for x in images] == [32, 28]
    found = [large().coverage(x) for x in images]
    assert abs(found[0].found - found[1].found) <= 6


def test_the_features_are_those_of_each_channel(mnist_dir):
    images = real_examples(RECIPE, 8, 0, mnist_dir)
    features = extract(fitting_extractor(RECIPE, images.shape[1:]), images)
    one = fitting_extractor(RECIPE, (28, 28, 1))
    parts = [extract(one, images[..., channel : channel + 1]) for channel in range(3)]
    np.testing.assert_allclose(features, np.concatenate(parts, axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_it_trains_and_is_evaluated(here):
    words = [*TINY["mnist_dcgan"], "--steps", "4", "--out", "run"]
    assert command("train", "stacked_mnist", *words).status == 0
    assert len(read_metrics(here / "run")) == 1
    done = command("evaluate", "run", "--num", "20", "--draws", "1", "--metrics", "modes")
    assert [line.split()[0] for line in done.out.splitlines()[1:-1]] == [
        "modes",
        "high_quality",
        "mode_kl",
    ]


@pytest.mark.slow
def test_it_trains_on_packs(here):
    words = [*TINY["mnist_dcgan"], "--packing", "2", "--steps", "2", "--out", "run"]
    assert command("train", "stacked_mnist", *words).status == 0
    recipe = replace(RECIPE, packing=2)
    assert recipe.examples_per_step == 200
    assert 2 * recipe.total_steps(60_000) == RECIPE.total_steps(60_000)


def test_what_cannot_be_stacked_is_refused(here):
    done = command("train", "stacked_mnist", "--data", "folder:absent")
    assert (done.status, done.out) == (2, "")
