"""A batch computed part by part is the batch computed at once, in less memory."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from runs import TINY, command
from tiny_systems import make_recipe, small_gan, to_float64

import jaxgan
from jaxgan import losses, penalties
from jaxgan.core.gan import apply, init
from jaxgan.core.updates import update_both
from jaxgan.nn.layers import Dropout, batch_norm
from jaxgan.rundir.log import read_metrics

KEY = jax.random.key(3)
IMAGES = np.random.default_rng(0).normal(1, 2, (8, 3))


class Plain(nn.Module):
    """A network without batch norm and dropout: `[B, n]` to `[B, outputs]`, or scores `[B]`."""

    outputs: int = 0

    @nn.compact
    def __call__(self, inputs, train: bool, axis_name: str | None = None):
        x = nn.Dense(max(1, self.outputs))(jnp.tanh(nn.Dense(5)(inputs)))
        return x if self.outputs else x[:, 0]


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": losses.relativistic},
        {"loss": losses.wasserstein, "penalty": penalties.gradient_penalty()},
        {"penalty": penalties.total(penalties.r1(0.3), penalties.r2(0.2)), "packing": 2},
    ],
    ids=["plain", "pairs", "penalty", "packs"],
)
def test_a_step_is_the_same(size, changes: dict[str, Any]):
    whole = small_gan(generator=Plain(3), discriminator=Plain(), **changes)
    with jax.enable_x64(True):
        state = to_float64(init(whole, KEY, {"image": IMAGES}))
        results = [
            jax.jit(update_both(gan))(state, {"image": jnp.asarray(IMAGES)}, KEY)
            for gan in (whole, replace(whole, microbatch=size))
        ]
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12), *results)


def test_batch_norm_takes_the_mean_of_its_parts():
    class Norm(nn.Module):
        @nn.compact
        def __call__(self, inputs, train: bool, axis_name: str | None = None):
            return batch_norm(0.5, 1e-3, train, axis_name)()(inputs)

    module, images = Norm(), jnp.asarray(IMAGES, jnp.float32)
    variables: Any = module.init(KEY, images, train=False)
    run = partial(apply, module, variables["params"], variables["batch_stats"], train=True)
    outputs, moved = run(images, microbatch=4)
    halves = [run(part) for part in (images[:4], images[4:])]
    np.testing.assert_allclose(outputs, jnp.concatenate([half[0] for half in halves]), rtol=1e-6)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, halves[0][1], halves[1][1])
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), moved, mean)


def test_each_part_has_dropout_masks_of_its_own():
    class Drop(nn.Module):
        @nn.compact
        def __call__(self, inputs, train: bool, axis_name: str | None = None):
            return Dropout(0.5)(inputs, train, axis_name)

    ones = jnp.ones((8, 100))
    outputs, _ = apply(Drop(), {}, {}, ones, train=True, key=KEY, microbatch=2)
    assert len({np.asarray(row).tobytes() for row in outputs}) == 8
    assert 0.4 < float((outputs > 0).mean()) < 0.6


def test_it_takes_less_memory():
    def bytes_for(microbatch: int | None) -> int:
        recipe = make_recipe("mnist_conv", batch_size=64, microbatch=microbatch)
        gan = recipe.gan((28, 28, 1))
        step = jax.jit(jaxgan.make_step(recipe.update(gan)))
        batch = {"image": jax.ShapeDtypeStruct((64, 28, 28, 1), jnp.float32)}
        state = jax.eval_shape(partial(init, gan, batch=batch), KEY)
        analysis: Any = step.lower(state, batch, KEY).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    assert bytes_for(4) < bytes_for(None) / 2


def test_microbatches_divide_the_inputs():
    with pytest.raises(ValueError, match="microbatches of 3 do not divide 8"):
        apply(Plain(), {}, {}, jnp.zeros((8, 3)), train=True, microbatch=3)


def test_without_one_nothing_changes_and_a_large_one_is_the_batch():
    batch = {"image": jnp.asarray(IMAGES, jnp.float32)}
    state = init(small_gan(), KEY, batch)
    lowered = [
        jax.jit(update_both(small_gan(microbatch=size))).lower(state, batch, KEY)
        for size in (None, 64)
    ]
    assert lowered[0].as_text() == lowered[1].as_text()


def test_it_is_an_option(here):
    words = [*TINY["mnist_dcgan"], "--steps", "4", "--microbatch", "2", "--out", "run"]
    done = command("train", "mnist_dcgan", *words)
    assert done.status == 0, done.err
    assert len(read_metrics(here / "run")) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--batch-size 8 --microbatch 3", "microbatch must divide the batch size 8, not 3"),
        ("--microbatch 0", "microbatch must be at least 1"),
        ("--batch-size 12 --microbatch 4 --devices 2", "a microbatch of 4 does not divide"),
    ],
)
def test_what_does_not_divide_is_refused(words, told, here):
    done = command("train", "mnist_mlp", *words.split())
    assert (done.status, done.out) == (2, "")
    assert told in done.err
    assert not any(here.iterdir())
