"""The recipe of autoencoders: what it learns from, and what G pays."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_systems import make_recipe

from jaxgan.core.gan import Play
from jaxgan.data import batches, spec_of
from jaxgan.features import digits
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
TINY: dict[str, Any] = {"batch_size": 4, "widths": (8, 8), "discriminator_width": 4}


def of_faces(tmp_path, monkeypatch, **fields: Any) -> tuple[Any, Any]:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    recipe: Any = make_recipe("autoencoder", **TINY, data="faces", image_size=16, **fields)
    return recipe, recipe.feed(0)


@pytest.mark.parametrize("jitter", [0.0, 0.25])
def test_pictures_are_their_own_sources_however_jittered(tmp_path, monkeypatch, jitter):
    recipe, feed = of_faces(tmp_path, monkeypatch, jitter=jitter)
    assert spec_of(feed) == DataSpec((16, 16, 3), None, (16, 16, 3))
    (batch,), (plain,) = (
        list(batches(each, KEY, 0, 1)) for each in (feed, recipe.open("faces", 0))
    )
    np.testing.assert_array_equal(batch["image"], batch["source"])
    assert (np.asarray(batch["image"]) == np.asarray(plain["image"])).all() == (jitter == 0)


@pytest.mark.parametrize("weight", [0.0, 3.0])
def test_g_pays_what_it_misses(weight):
    recipe: Any = make_recipe("autoencoder", **TINY, l1_weight=2.0, feature_weight=weight)
    gan = recipe.gan(DataSpec(digits.SHAPE, None, digits.SHAPE))
    fake, real = jax.random.uniform(KEY, (2, 4, *digits.SHAPE), minval=-1)
    state: Any = None
    play = Play({}, None, real, fake, None, None, state, KEY, jnp.negative, jnp.negative)
    features = digits.load().features
    apart = features((fake + 1) / 2) - features((real + 1) / 2)
    expected = 2 * jnp.abs(fake - real).mean((1, 2, 3)) + weight * (apart**2).mean(1)
    assert gan.generator_terms is not None
    np.testing.assert_allclose(gan.generator_terms(play), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "fields, shape, message",
    [
        ({}, (18, 18, 3), "multiples of 4 and at least 4, not 18 x 18"),
        ({"feature_weight": 1.0}, (16, 16, 3), "digits of 28 x 28, in gray: leave it at 0"),
        ({"discriminator_layers": 3}, (16, 16, 3), "choose fewer layers, or a larger image_size"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(fields, shape, message):
    with pytest.raises(UserError, match=message):
        make_recipe("autoencoder", **TINY | fields).gan(DataSpec(shape, None, shape))


def test_pairs_are_refused(tmp_path, monkeypatch):
    recipe, _ = of_faces(tmp_path, monkeypatch)
    with pytest.raises(UserError, match="faces-pairs has pairs: choose single pictures"):
        recipe.open("faces-pairs", 0)
