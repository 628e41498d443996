"""Pictures at every setting of the knob, of a generator whose latents show in its pictures."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import beside
from flax import linen as nn

from jaxgan import latents
from jaxgan.core.gan import init
from jaxgan.core.networks import linen
from jaxgan.evaluation.synthesizing import (
    WAY,
    Knob,
    Sources,
    check,
    find_sources,
    search_steps,
    synthesize,
)
from jaxgan.rundir import loading
from jaxgan.util.errors import UserError

pytestmark = pytest.mark.slow
KEY = jax.random.key(0)
SIZE = 4  # numbers of a latent
LARGEST = 4.0  # that a picture shows


class Striped(nn.Module):
    """Pictures whose stripes of 7 columns are as bright as the latent's numbers."""

    @nn.compact
    def __call__(self, latents, train):
        scale = self.param("scale", nn.initializers.ones, ())
        stripes = jnp.clip(scale * latents / LARGEST, -1, 1)
        rows = jnp.repeat(stripes, 7, axis=1)
        return jnp.broadcast_to(rows[:, None, :, None], (len(latents), 28, 28, 1))


@pytest.fixture(scope="module")
def striped(whole_run):
    trained = loading.load(whole_run("mnist_mlp"))
    gan = replace(trained.gan, generator=linen(Striped()), inputs=latents.normal(SIZE))
    return trained._replace(gan=gan, state=init(gan, KEY, {"image": jnp.zeros((2, 28, 28, 1))}))


def numbers(images: np.ndarray) -> np.ndarray:
    """The latents that pictures show, to 1 / 32."""
    return (images[:, 0, ::7, 0].astype(np.float64) / 127.5 - 1) * LARGEST


def made(trained, count: int, knob: Knob, sources=None, key=KEY) -> np.ndarray:
    parts = list(synthesize(trained, count, knob, key, sources))
    assert all(part.labels is None for part in parts)
    return numbers(np.concatenate([part.images for part in parts]))


@pytest.fixture(scope="module")
def sources(striped):
    found = jnp.array([[1.5, -1.0, 0.5, 0.0], [-0.5, 0.0, 1.0, -1.5]])
    return Sources(np.zeros((2, 28, 28, 1), np.uint8), None, found)


def test_the_most_similar_pictures_are_those_of_the_sources_in_turn(striped, sources):
    found = made(striped, 5, Knob(1.0), sources)
    np.testing.assert_allclose(found, sources.inputs[np.array([0, 1, 0, 1, 0])], atol=0.03)


def test_a_knob_between_mixes_and_keeps_the_spread(striped, sources):
    found = made(striped, 2000, Knob(0.6), sources)
    own = np.tile(np.asarray(sources.inputs), (1000, 1))
    left = found - np.sqrt(1 - 0.4**2) * own  # what was drawn
    assert left.mean() == pytest.approx(0, abs=0.03)
    assert left.std() == pytest.approx(0.4, abs=0.02)


def test_the_first_pictures_do_not_depend_on_the_number(striped):
    few, many = (made(striped, count, Knob()) for count in (3, 700))
    np.testing.assert_array_equal(few, many[:3])
    assert many.std() == pytest.approx(1, abs=0.05)
    assert (made(striped, 3, Knob(), key=jax.random.key(1)) != few).any()


def test_a_generator_may_return_more_than_the_images(striped, sources):
    both, knob = (striped, beside(striped)), Knob(0.5)
    assert all(map(check, both, [knob] * 2))
    one, other = (made(gan, 4, knob, sources) for gan in both)
    np.testing.assert_array_equal(one, other)
    images = np.zeros((2, 28, 28, 1), np.uint8)
    one, other = (find_sources(gan, images, None, KEY, way=WAY._replace(steps=10)) for gan in both)
    np.testing.assert_array_equal(one.inputs, other.inputs)


def test_truncation_draws_again_what_is_beyond(striped):
    found = made(striped, 2000, Knob(truncation=0.5))
    assert 0.45 < np.abs(found).max() < 0.53
    assert found.std() == pytest.approx(0.281, abs=0.02)  # of N(0, 1) within half a deviation


def test_latents_of_pictures_are_found(striped, sources):
    pictures = np.concatenate(
        [part.images for part in synthesize(striped, 2, Knob(1.0), KEY, sources)]
    )
    ticks = []
    way = WAY._replace(steps=300, starts=2)
    # Latents keep the length of a draw, so only directions can agree.
    found = find_sources(striped, pictures, None, KEY, lambda *told: ticks.append(told), way)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (found.inputs, sources.inputs))
    assert (np.asarray(a * b).sum(1) > 0.8).all()
    assert len(ticks) > 1 and ticks[-1][0] <= search_steps(2, way)
    np.testing.assert_array_equal(found.images, pictures)


@pytest.mark.parametrize(
    ("knob", "told"),
    [
        (Knob(1.5), "similarity must be from 0 to 1"),
        (Knob(float("nan")), "similarity"),
        (Knob(0.5, 0.0), "truncation must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(striped, knob, told):
    with pytest.raises(UserError, match=told):
        check(striped, knob)


def test_latents_that_cannot_be_mixed_allow_independent_pictures_alone(striped):
    uniform = striped._replace(gan=replace(striped.gan, inputs=latents.uniform(SIZE)))
    assert check(striped, Knob(0.5))
    assert not check(uniform, Knob())
    for knob in (Knob(0.5), Knob(truncation=1.0)):
        with pytest.raises(UserError, match="not all from N"):
            check(uniform, knob)
