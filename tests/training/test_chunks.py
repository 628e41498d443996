import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np
import pytest

from jaxgan.core.updates import Update
from jaxgan.data import Feed, Resident
from jaxgan.recipes.pattern_1010 import Pattern1010
from jaxgan.training.chunks import Chunk, compile_steps, train_in_chunks
from jaxgan.training.experiment import set_up


@dataclass(frozen=True, kw_only=True)
class Stored(Pattern1010):
    """Learns patterns that are stored rather than drawn."""

    name: ClassVar[str] = "stored"

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        return Resident(np.ones((23, 4), np.float32), batch_size=self.batch_size, seed=seed)


@pytest.mark.parametrize("devices", [1, 2])
def test_stored_examples_are_on_each_device_once(devices):
    experiment = set_up(Stored(batch_size=2, steps=1), devices=devices)
    advance = compile_steps(experiment, experiment.draw_first())
    found = [x for x in jax.live_arrays() if x.shape == (23, 4)]
    shards = [shard.data for x in found for shard in x.addressable_shards]
    assert len({shard.unsafe_buffer_pointer() for shard in shards}) == devices
    del advance


@dataclass(frozen=True, kw_only=True)
class Told(Pattern1010):
    """Has one metric, of a name that may be chosen; none if that is empty."""

    name: ClassVar[str] = "told"

    metric: str = ""

    def update(self, gan):
        inner = super().update(gan)

        def apply(state, batch, key):
            state, metrics = inner.apply(state, batch, key)
            return state, {self.metric: metrics["loss_g"]} if self.metric else {}

        return Update(inner.init, apply)


@pytest.mark.parametrize("name", ["step", "digest", "images_per_second"])
def test_a_metric_with_the_name_of_another_column_of_the_log_is_refused(name):
    experiment = set_up(Told(metric=name, steps=1))
    with pytest.raises(ValueError, match=f"a metric cannot be called '{name}': "):
        next(train_in_chunks(experiment, experiment.draw_first()))


def test_a_chunk_without_metrics_has_its_digests():
    experiment = set_up(Told(steps=1))
    (chunk,) = train_in_chunks(experiment, experiment.draw_first())
    assert [line.keys() for line in chunk.records] == [{"step", "digest", "images_per_second"}]
    assert chunk.last == {}


def test_what_is_shown_is_the_mean_over_the_members_that_are_finite():
    state: Any = None
    history = {
        "some": np.array([[9.0, 9.0], [3.0, math.inf]], np.float32),
        "none": np.array([[0.0, 0.0], [math.nan, math.inf]], np.float32),
        "alone": np.array([1.0, 2.0], np.float32),
    }
    last = Chunk(state, 2, 2, history, {}, 1.0).last
    assert last == {"some": 3.0, "none": pytest.approx(math.nan, nan_ok=True), "alone": 2.0}
