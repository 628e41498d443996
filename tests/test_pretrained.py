"""The GANs that come with the package: what their cards say is true, and they draw pictures."""

import hashlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxgan
from jaxgan import pretrained, rundir
from jaxgan.data import unscale
from jaxgan.evaluation import translating
from jaxgan.features import digits, extract

NAMES = pretrained.names()


def test_there_are_some():
    assert "mnist" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_those_of_the_card(name):
    folder = pretrained.bundle(name)
    card, weights = (folder / "README.md").read_text(), (folder / rundir.WEIGHTS).read_bytes()
    assert f"SHA-256 {hashlib.sha256(weights).hexdigest()}" in card
    config = rundir.read_config(folder)
    assert re.search(rf"jaxgan train {config.recipe} --seed {config.seed}\b", card)
    assert len(weights) < 10 << 20


@pytest.mark.slow
def test_digits_are_as_asked():
    trained = jaxgan.load_pretrained("mnist")
    label = np.repeat(np.arange(10), 50)
    images = rundir.draw(trained, len(label), jax.random.key(0), label.tolist())
    read = digits.load()
    assert read.logits is not None
    found = read.logits(jnp.asarray(extract(read, images))).argmax(-1)
    assert (found == label).mean() > 0.98


@pytest.mark.slow
def test_drawings_are_colored(tmp_path):
    trained = jaxgan.load_pretrained("colors")
    pairs = translating.read("data:openmoji-pairs@test[:64]", trained, data_dir=str(tmp_path))
    made = translating.translate(trained, pairs, jax.random.key(0))
    assert pairs.truth is not None
    given = np.broadcast_to(unscale(pairs.images, -1.0, 1.0), pairs.truth.shape)
    scores = [translating.score(x, pairs.truth)["psnr"] for x in (given, made)]
    assert scores[1] > scores[0] + 2
