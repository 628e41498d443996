"""Samplers of tiny GANs, of which several tests make exports."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import pytest
from families import tiny

from jaxgan.data import scale, unscale
from jaxgan.evaluation.translating import Pictures, translate
from jaxgan.export.sampler import Sampler, sampler


@pytest.fixture(scope="session")
def sampler_of(tmp_path_factory) -> Callable[[str], Sampler]:
    """Samplers by the name of a family; `faces-pairs`, where one needs it, is made once."""
    made: dict[str, Sampler] = {}
    root = str(tmp_path_factory.mktemp("faces"))

    def make(name: str) -> Sampler:
        if name not in made:
            made[name] = sampler(tiny(name), root)
        return made[name]

    return make


class Way(NamedTuple):
    """A sampler of pictures from pictures, and what `jaxgan translate` makes of some."""

    sampler: Sampler
    given: jax.Array
    translated: np.ndarray

    def assert_same(self, made: np.ndarray) -> None:
        """Asserts that what was made of `given` is what was translated, but for rounding."""
        apart = np.asarray(unscale(made, -1.0, 1.0)).astype(int) - self.translated
        assert np.abs(apart).max() <= 1 and self.translated.std() > 10


@pytest.fixture(scope="session")
def way_back(tmp_path_factory) -> Way:
    """The way back of a CycleGAN."""
    trained = tiny("cyclegan")
    images = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), np.uint8)
    given = scale(images, -1.0, 1.0)
    key = jax.random.key(0)
    made = translate(trained, Pictures(["0", "1", "2"], given), key, "a")
    assert (made != translate(trained, Pictures(["0", "1", "2"], given), key)).any()
    return Way(sampler(trained, str(tmp_path_factory.mktemp("faces")), "a"), given, made)
