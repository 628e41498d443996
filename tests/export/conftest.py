"""Samplers of tiny GANs, of which several tests make exports."""

from collections.abc import Callable

import pytest
from families import tiny

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
