"""Networks as pairs of functions, and the wrappers around them."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from tiny_systems import Plain, small_gan, to_float64

import jaxgan
from jaxgan import axes, losses, penalties
from jaxgan.core.gan import init
from jaxgan.core.networks import (
    always_training,
    in_dtype,
    in_microbatches,
    in_packs,
    linen,
    pack,
)
from jaxgan.core.updates import update_both
from jaxgan.nn import Dropout, batch_norm

KEY = jax.random.key(3)
IMAGES = np.random.default_rng(0).normal(1, 2, (8, 3))


class Norm(nn.Module):
    @nn.compact
    def __call__(self, inputs, train: bool):
        return batch_norm(0.5, 1e-3, train)()(inputs)


class Drop(nn.Module):
    @nn.compact
    def __call__(self, inputs, train: bool):
        return Dropout(0.5)(inputs, train)


def close(a, b, rtol: float = 1e-6, atol: float = 0.0):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=atol), a, b)


class Conditional(nn.Module):
    """Keeps a collection of its own, besides parameters and batch statistics."""

    @nn.compact
    def __call__(self, image, label, train: bool):
        seen = self.variable("counts", "calls", lambda: jnp.int32(0))
        if train:
            seen.value += 1
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(image))
        return x + nn.Embed(10, 4)(label)


def test_a_linen_network_keeps_every_collection_and_takes_several_inputs():
    network = linen(Conditional())
    inputs = jnp.asarray(IMAGES, jnp.float32), jnp.arange(8)
    params, collections = network.init(KEY, inputs)
    assert collections.keys() == {"batch_stats", "counts"}
    outputs, moved = network.apply(params, collections, inputs, KEY, True)
    assert outputs.shape == (8, 4) and moved["counts"]["calls"] == 1
    _, still = network.apply(params, moved, inputs, KEY, False)
    close(still, moved)


@pytest.mark.slow
def test_an_nnx_network_trains_like_the_same_one_of_linen():
    class Judge(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.first = nnx.Linear(3, 4, rngs=rngs)
            self.norm = nnx.BatchNorm(4, momentum=0.6, epsilon=1e-3, rngs=rngs)
            self.last = nnx.Linear(4, 1, rngs=rngs)

        def __call__(self, images):
            return self.last(jnp.tanh(self.norm(self.first(images))))[:, 0]

    ours, theirs = small_gan(), small_gan(discriminator=jaxgan.nnx(Judge))
    batch = {"image": jnp.asarray(IMAGES, jnp.float32)}
    one, two = init(ours, KEY, batch), init(theirs, KEY, batch)
    names = {"Dense_0": "first", "BatchNorm_0": "norm", "Dense_1": "last"}
    params = {names[name]: tree for name, tree in one.discriminator.params.items()}
    two = init(theirs, KEY, batch)
    judge = two.discriminator.replace(
        params=params, opt_state=theirs.discriminator_optimizer.init(params)
    )
    two = two.replace(discriminator=judge)
    steps = [jax.jit(jaxgan.make_step(update_both(gan))) for gan in (ours, theirs)]
    for _ in range(3):
        (one, expected), (two, found) = steps[0](one, batch, KEY), steps[1](two, batch, KEY)
        close(found, expected, 1e-4, 1e-5)
    statistics = one.discriminator.collections["batch_stats"]["BatchNorm_0"]
    close(two.discriminator.collections["state"]["norm"], statistics, 1e-4, 1e-5)


def test_dropout_of_an_nnx_network_follows_the_key():
    network = jaxgan.nnx(lambda rngs: nnx.Dropout(0.5, rngs=rngs))
    params, collections = network.init(KEY, jnp.ones((4, 50)))
    run = partial(network.apply, params, collections, jnp.ones((4, 50)))
    one, again, other = (run(jax.random.key(seed), True)[0] for seed in (0, 0, 1))
    close(one, again)
    assert not np.allclose(one, other)
    close(run(KEY, False)[0], np.ones((4, 50)))


def test_in_dtype_rounds_what_is_floating_and_leaves_the_rest_alone():
    class Look(nn.Module):
        @nn.compact
        def __call__(self, image, label, train: bool):
            kernel = self.param("kernel", nn.initializers.ones, (1, 3))
            assert (image.dtype, kernel.dtype, label.dtype) == ("bfloat16", "bfloat16", "int32")
            return (image * kernel).sum(1), label

    network = in_dtype(linen(Look()), jnp.bfloat16)
    inputs = jnp.asarray(IMAGES, jnp.float32), jnp.full(8, 1001, jnp.int32)
    params = {"kernel": jnp.ones((1, 3))}
    (scores, labels), _ = network.apply(params, {}, inputs, KEY, True)
    assert scores.dtype == jnp.float32 and labels.tolist() == [1001] * 8  # 1000 in bfloat16


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param(
            {"loss": losses.wasserstein, "penalty": penalties.gradient_penalty()},
            marks=pytest.mark.slow,
        ),
        pytest.param({"loss": losses.relativistic}, marks=pytest.mark.slow),
    ],
    ids=["plain", "penalty", "pairs"],
)
def test_a_step_in_microbatches_is_the_same(size, changes: dict[str, Any]):
    networks = linen(Plain(3)), linen(Plain())
    parts = [in_microbatches(network, size) for network in networks]
    whole = small_gan(generator=networks[0], discriminator=networks[1], **changes)
    split = replace(whole, generator=parts[0], discriminator=parts[1])
    with jax.enable_x64(True):
        state = to_float64(init(whole, KEY, {"image": IMAGES}))
        expected, found = (
            jax.jit(update_both(gan).apply)(state, {"image": jnp.asarray(IMAGES)}, KEY)
            for gan in (whole, split)
        )
        close(found, expected, 1e-10, 1e-12)


def test_batch_norm_in_microbatches_takes_the_mean_of_its_parts():
    network, images = linen(Norm()), jnp.asarray(IMAGES, jnp.float32)
    params, collections = network.init(KEY, images)
    outputs, moved = in_microbatches(network, 4).apply(params, collections, images, KEY, True)
    halves = [network.apply(params, collections, images[i::2], KEY, True) for i in (0, 1)]
    close((outputs[0::2], outputs[1::2]), (halves[0][0], halves[1][0]))
    close(moved, jax.tree.map(lambda a, b: (a + b) / 2, halves[0][1], halves[1][1]))


class Kept(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return x * self.variable("kept", "scale", jnp.ones, 2).value[None]


def test_what_no_microbatch_moves_stays_exactly_as_it_was():
    kept = {"kept": {"scale": jnp.asarray([0.1, 0.7])}}
    network = in_microbatches(linen(Kept()), 2)
    _, moved = network.apply({}, kept, jnp.ones((6, 2)), KEY, True)
    jax.tree.map(np.testing.assert_array_equal, moved, kept)


def test_each_microbatch_has_dropout_masks_of_its_own():
    network = in_microbatches(linen(Drop()), 2)
    outputs, _ = network.apply({}, {}, jnp.ones((8, 100)), KEY, True)
    assert len({np.asarray(row).tobytes() for row in outputs}) == 8
    assert 0.4 < float((outputs > 0).mean()) < 0.6


def test_microbatches_divide_the_batch():
    with pytest.raises(ValueError, match="microbatches of 3 do not divide a batch of 8"):
        in_microbatches(linen(Plain()), 3).apply({}, {}, jnp.zeros((8, 3)), KEY, True)


def test_devices_divide_a_microbatch():
    def run(images):
        with axes.spread("devices"):
            return in_microbatches(linen(Plain()), 3).apply({}, {}, images, KEY, True)[0]

    with pytest.raises(ValueError, match="2 devices do not divide a microbatch of 3"):
        jax.pmap(run, "devices")(jnp.zeros((2, 3, 3)))


def test_microbatches_take_less_memory():
    class Wide(nn.Module):
        @nn.compact
        def __call__(self, inputs, train: bool):
            x = nn.Dense(256)(inputs)
            for _ in range(6):
                x = nn.Dense(256)(jnp.tanh(x))
            return x.mean(1)

    def bytes_of(network) -> int:
        params, _ = network.init(KEY, jnp.zeros((1, 8)))

        def loss(params, images):
            return network.apply(params, {}, images, KEY, True)[0].mean()

        lowered = jax.jit(jax.grad(loss)).lower(params, jnp.zeros((4096, 8)))
        analysis: Any = lowered.compile().memory_analysis()
        return analysis.temp_size_in_bytes

    network = linen(Wide())
    assert bytes_of(in_microbatches(network, 256)) < bytes_of(network) / 2


def test_always_training_is_training():
    network, images = linen(Norm()), jnp.asarray(IMAGES, jnp.float32)
    params, collections = network.init(KEY, images)
    expected = network.apply(params, collections, images, KEY, True)
    close(always_training(network).apply(params, collections, images, KEY, False), expected)


def test_what_always_trains_samples_whole_batches_where_it_trains_in_microbatches():
    network, images = linen(Norm()), jnp.asarray(IMAGES, jnp.float32)
    params, collections = network.init(KEY, images)
    parts = in_microbatches(always_training(network), 3)  # which do not divide the 8
    expected = network.apply(params, collections, images, KEY, True)
    close(parts.apply(params, collections, images, KEY, False), expected)


class Sowing(nn.Module):
    @nn.compact
    def __call__(self, inputs, train: bool):
        self.sow("seen", "mean", inputs.mean())
        return nn.Dense(1)(inputs)


def test_a_module_that_sows_is_refused():
    network = linen(Sowing())
    params, collections = network.init(KEY, jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match="Sowing changes .* its collections seen when it runs"):
        network.apply(params, collections, jnp.zeros((2, 3)), KEY, True)


def test_packs_of_vectors_are_neighbors_in_a_row():
    vectors = jnp.arange(12.0).reshape(6, 2)
    assert pack(vectors, 3).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert pack(vectors, 1).tolist() == vectors.tolist()


def test_packs_of_images_have_the_channels_of_each_image_in_a_row():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 5, 3)))
    packs = pack(images, 2)
    assert packs.shape == (3, 4, 5, 6)
    for index in range(3):
        np.testing.assert_array_equal(packs[index, ..., :3], images[2 * index])
        np.testing.assert_array_equal(packs[index, ..., 3:], images[2 * index + 1])


def test_packs_of_labels_have_a_label_for_each_member():
    assert pack(jnp.arange(6), 2).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_packs_that_do_not_come_out_even_are_an_error():
    with pytest.raises(ValueError, match="packs of 3 .*8"):
        pack(jnp.ones((8, 2)), 3)


def test_a_discriminator_of_packs_starts_with_room_for_a_pack_and_scores_packs():
    gan = small_gan(discriminator=in_packs(linen(Plain()), 4))
    net = init(gan, KEY, {"image": IMAGES}).discriminator
    assert net.params["Dense_1"]["kernel"].shape == (12, 5)
    scores, _ = gan.discriminator.apply(net.params, {}, jnp.asarray(IMAGES), KEY, True)
    assert scores.shape == (2,)
