"""Standing statistics against those of batches computed by hand."""

from typing import Any

import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from tiny_systems import small_gan, to_float64

from jaxgan import axes
from jaxgan.core.combinators import update_average
from jaxgan.core.gan import init
from jaxgan.core.networks import Network, linen, nnx
from jaxgan.core.standing import standing_statistics
from jaxgan.keys import stream
from jaxgan.nn.layers import batch_norm

KEY = jax.random.key(0)
BATCH = {"image": jnp.zeros((8, 3))}


def start(gan, batch=BATCH, update=None) -> Any:
    return jax.jit(lambda: init(gan, KEY, batch, update))()


def standing(gan, state, passes=3, batch=BATCH, key=KEY) -> Any:
    return jax.jit(lambda state: standing_statistics(gan, state, key, passes, batch))(state)


def statistics(state, z) -> list[np.ndarray]:
    """Mean and variance of what `tiny_systems.Generator` normalizes, by hand."""
    return of_layer(state.generator.params["Dense_0"], z)


def of_layer(layer, z) -> list[np.ndarray]:
    z, kernel, bias = (np.asarray(x) for x in (z, layer["kernel"], layer["bias"]))
    x = z @ kernel + bias
    return [x.mean(0), x.var(0)]


def kept(net) -> list[np.ndarray]:
    found = net.collections["batch_stats"]["BatchNorm_0"]
    return [found["mean"], found["var"]]


@pytest.mark.parametrize("passes", [1, 5])
def test_passes_over_one_batch_give_the_statistics_of_that_batch(passes):
    with jax.enable_x64(True):
        z = 3 * jax.random.normal(KEY, (8, 2)) + 1
        gan = small_gan(inputs=lambda key, n, batch: z)
        state = to_float64(start(gan))
        found = standing(gan, state, passes)
        for one, expected in zip(kept(found.generator), statistics(state, z), strict=True):
            np.testing.assert_allclose(one, expected, rtol=1e-12)


def test_statistics_are_the_mean_over_batches_in_any_order_whatever_they_were_before():
    gan = small_gan()
    state = start(gan)
    found = standing(gan, state)
    keys = [stream(jax.random.fold_in(KEY, index), "latents") for index in (2, 0, 1)]
    each = [statistics(state, gan.inputs(key, 8, {})) for key in keys]
    for one, expected in zip(kept(found.generator), np.mean(each, 0), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)
    again = standing(gan, found)
    jax.tree.map(np.testing.assert_array_equal, again, found)
    unmoved = found.replace(generator=state.generator)
    jax.tree.map(np.testing.assert_array_equal, unmoved, state)


def test_the_moving_average_of_g_gets_statistics_of_its_own():
    gan = small_gan()
    state = start(gan, update=update_average(0.5))
    other = state.extra["average"].replace(
        params=jax.tree.map(lambda x: -2 * x, state.generator.params)
    )
    state = state.with_extra(average=other)
    found = standing(gan, state)
    as_generator = standing(gan, state.replace(generator=other, extra={}))
    for one, expected in zip(
        kept(found.extra["average"]), kept(as_generator.generator), strict=True
    ):
        np.testing.assert_array_equal(one, expected)
    jax.tree.map(np.testing.assert_array_equal, found.generator, state.generator)


class Spectral(nn.Module):
    @nn.compact
    def __call__(self, latents, train):
        x = nn.SpectralNorm(nn.Dense(3))(latents, update_stats=train)
        return nn.BatchNorm(momentum=0.9, use_running_average=not train)(x)


def test_what_is_no_statistic_stays_as_it_is():
    gan = small_gan(generator=linen(Spectral()))
    state = start(gan)
    before, after = (x.generator.collections["batch_stats"] for x in (state, standing(gan, state)))
    jax.tree.map(np.testing.assert_array_equal, after["SpectralNorm_0"], before["SpectralNorm_0"])
    assert not np.allclose(after["BatchNorm_0"]["var"], before["BatchNorm_0"]["var"])


class Frozen(nn.Module):
    @nn.compact
    def __call__(self, latents, train):
        x = nn.BatchNorm(use_running_average=True)(nn.Dense(3)(latents))
        return nn.BatchNorm(momentum=0.9, use_running_average=not train)(x)


def test_a_layer_that_does_not_move_keeps_its_averages():
    gan = small_gan(generator=linen(Frozen()))
    state = start(gan)
    found = standing(gan, state).generator.collections["batch_stats"]
    assert found["BatchNorm_0"]["mean"].tolist() == [0, 0, 0]
    assert found["BatchNorm_0"]["var"].tolist() == [1, 1, 1]
    assert np.isfinite(found["BatchNorm_1"]["var"]).all()


def test_statistics_take_a_pass():
    gan = small_gan()
    with pytest.raises(ValueError, match="at least 1 pass, not 0"):
        standing(gan, start(gan), passes=0)


def test_collections_may_hold_tuples():
    def init(key, inputs):
        return {}, {"kept": (jnp.zeros(2), [jnp.ones(3)])}

    def apply(params, collections, inputs, key, train):
        return inputs, collections

    gan = small_gan(generator=Network(init, apply))
    state = start(gan)
    jax.tree.map(np.testing.assert_array_equal, standing(gan, state), state)


class Newer(flax.nnx.Module):
    def __init__(self, rngs):
        self.layer = flax.nnx.Linear(2, 3, rngs=rngs)
        self.norm = flax.nnx.BatchNorm(3, momentum=0.9, rngs=rngs)

    def __call__(self, latents):
        return self.norm(self.layer(latents))


def test_nnx_modules_have_standing_statistics_too():
    gan = small_gan(generator=nnx(Newer))
    state = start(gan)
    z = gan.inputs(stream(jax.random.fold_in(KEY, 0), "latents"), 8, {})
    found = standing(gan, state, 1).generator.collections["state"]["norm"]
    mean, var = of_layer(state.generator.params["layer"], z)
    np.testing.assert_allclose(found["mean"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["var"], var, rtol=1e-5)


class Mapped(nn.Module):
    @nn.compact
    def __call__(self, latents, train):
        return batch_norm(0.9, 1e-5, train)()(nn.Dense(3)(latents))


def test_two_devices_find_what_one_finds():
    gan = small_gan(generator=linen(Mapped()))
    state = start(gan)

    def mapped(batch):
        with axes.spread(axis_name="devices"):
            return standing_statistics(gan, state, KEY, 2, batch).generator.collections

    shares = {"image": BATCH["image"].reshape(2, 4, 3)}
    found = jax.pmap(mapped, "devices", devices=jax.devices()[:2])(shares)
    one = standing(gan, state, 2).generator.collections
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, np.stack([y, y]), rtol=1e-5, atol=1e-6),
        found,
        one,
    )
