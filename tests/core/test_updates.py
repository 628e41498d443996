from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from tiny_systems import Discriminator, small_gan, to_float64

from jaxgan import losses, penalties
from jaxgan.core.combinators import chain, on_part, repeat, share_key
from jaxgan.core.gan import GAN, init
from jaxgan.core.networks import in_packs, linen
from jaxgan.core.state import GANState
from jaxgan.core.updates import (
    generator_objective,
    scores,
    update_both,
    update_discriminator,
    update_generator,
)
from jaxgan.keys import stream

KEY = jax.random.key(5)
IMAGES = jnp.asarray(np.random.default_rng(0).normal(1, 2, (8, 3)), jnp.float32)
BATCH = {"image": IMAGES}
PAIRED = {"loss": losses.relativistic}


def first(gan: GAN, seed: int = 0) -> GANState:
    return init(gan, jax.random.key(seed), BATCH)


def run(update, state, batch=BATCH, key=KEY):
    return update.apply(state, batch, key)


def parts_moved(before: GANState, after: GANState) -> set[str]:
    """Names of the parts of the state that are not what they were."""
    parts = set()
    leaves = jax.tree_util.tree_leaves_with_path(before)
    for (path, old), new in zip(leaves, jax.tree.leaves(after), strict=True):
        if not np.array_equal(old, new):
            parts.add(".".join(str(entry).lstrip(".") for entry in path[:2]))
    return parts


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def close(a, b, rtol: float = 1e-6, atol: float = 1e-7):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=atol), a, b)


D = {"discriminator.params", "discriminator.collections", "discriminator.opt_state"}
G = {"generator.params", "generator.collections", "generator.opt_state"}


@pytest.mark.parametrize(
    ("make", "changes", "moves"),
    [
        (update_discriminator, {}, D),
        (partial(update_discriminator, on="real"), {}, D),
        (partial(update_discriminator, on="fake"), {}, D),
        (update_discriminator, PAIRED, D),
        (update_generator, {}, G),
        (update_generator, PAIRED, G),
    ],
)
def test_an_update_moves_its_own_network_only(make, changes, moves):
    gan = small_gan(**changes)
    before = first(gan)
    after, _ = run(make(gan), before)
    assert parts_moved(before, after) == moves


@pytest.mark.parametrize("on", ["real", "fake"])
def test_a_loss_of_pairs_has_no_part_on_one_kind(on):
    with pytest.raises(ValueError, match=f"pairs.*{on}"):
        update_discriminator(small_gan(**PAIRED), on=on)


def forward(network, params, collections, inputs):
    return network.apply(params, collections, inputs, KEY, True)


def by_hand(gan: GAN, state: GANState, images, keys) -> GANState:
    """D's step, then G's step through the new D, as one would write it down."""
    d, g = state.discriminator, state.generator
    z_d, z_g = (gan.inputs(stream(key, "latents"), len(images), {}) for key in keys)
    fakes, _ = forward(gan.generator, g.params, g.collections, z_d)

    def loss_d(params):
        real, stats = forward(gan.discriminator, params, d.collections, images)
        fake, stats = forward(gan.discriminator, params, stats, fakes)
        return gan.loss.discriminator(real, fake).mean(), stats

    gradients, stats = jax.grad(loss_d, has_aux=True)(d.params)
    changes, opt_state = gan.discriminator_optimizer.update(gradients, d.opt_state, d.params)
    params_d = optax.apply_updates(d.params, changes)
    new_d = d.replace(params=params_d, collections=stats, opt_state=opt_state)

    def loss_g(params):
        fakes, stats = forward(gan.generator, params, g.collections, z_g)
        fake, _ = forward(gan.discriminator, params_d, new_d.collections, fakes)
        real, _ = forward(gan.discriminator, params_d, new_d.collections, images)
        return gan.loss.generator(fake, real).mean(), stats

    gradients, stats = jax.grad(loss_g, has_aux=True)(g.params)
    changes, opt_state = gan.generator_optimizer.update(gradients, g.opt_state, g.params)
    params_g = optax.apply_updates(g.params, changes)
    new_g = g.replace(params=params_g, collections=stats, opt_state=opt_state)
    return state.replace(discriminator=new_d, generator=new_g)


PACKED = PAIRED | {"discriminator": in_packs(linen(Discriminator()), 4)}


@pytest.mark.parametrize(
    ("combine", "changes"),
    [
        (chain, {}),
        pytest.param(share_key, {}, marks=pytest.mark.slow),
        pytest.param(chain, PAIRED, marks=pytest.mark.slow),
        pytest.param(share_key, PAIRED, marks=pytest.mark.slow),
        pytest.param(chain, PACKED, marks=pytest.mark.slow),
        pytest.param(share_key, PACKED, marks=pytest.mark.slow),
    ],
)
def test_a_chain_is_what_one_would_write_by_hand(combine, changes):
    gan = small_gan(**changes)
    update = combine(update_discriminator(gan), update_generator(gan))
    with jax.enable_x64(True):
        state = expected = to_float64(first(gan))
        images = jnp.asarray(np.asarray(IMAGES, float))
        ours, theirs = jax.jit(update.apply), jax.jit(partial(by_hand, gan))
        for step in range(3):
            key = jax.random.key(step)
            own = [key if combine is share_key else jax.random.fold_in(key, i) for i in (0, 1)]
            state, _ = ours(state, {"image": images}, key)
            expected = theirs(expected, images, own)
        # In float64 even a bias before batch norm agrees: its true gradient is 0, and the rounding
        # that Adam makes steps of is far below its epsilon.
        close(state, expected, 1e-8, 1e-10)


def test_the_order_of_a_chain_matters():
    gan = small_gan()
    d, g = update_discriminator(gan), update_generator(gan)
    one, two = run(chain(d, g), first(gan))[1], run(chain(g, d), first(gan))[1]
    # After D's step its loss on the same batch is another, and so is G's against it.
    assert abs(float(one["loss_g"]) - float(two["loss_g"])) > 1e-3


@pytest.mark.parametrize("changes", [{}, pytest.param(PAIRED, marks=pytest.mark.slow)])
def test_both_at_once_is_one_after_the_other(changes):
    gan = small_gan(**changes)
    with jax.enable_x64(True):
        state, batch = to_float64(first(gan)), to_float64(BATCH)
        expected = jax.jit(share_key(update_discriminator(gan), update_generator(gan)).apply)
        found = jax.jit(update_both(gan).apply)
        for seed in range(3):
            key = jax.random.key(seed)
            close(found(state, batch, key), expected(state, batch, key), 1e-10, 1e-12)
            state, _ = found(state, batch, key)


def test_both_at_once_makes_the_fakes_once():
    gan = small_gan()

    def operations(update) -> float:
        lowered = jax.jit(update.apply).lower(first(gan), BATCH, KEY)
        cost: Any = lowered.cost_analysis()
        return cost["flops"]

    apart = share_key(update_discriminator(gan), update_generator(gan))
    assert operations(apart) - operations(update_both(gan)) > 2 * 8 * (2 * 4 + 4 * 3)  # G's layers


def drawn_keys(make_update) -> list[int]:
    """Numbers the keys of the latents that an update draws, in order."""
    log = []

    def draw(key, n, batch):
        log.append(tuple(jax.random.key_data(key).tolist()))
        return jax.random.normal(key, (n, 2))

    make_update(small_gan(inputs=draw)).apply(first(small_gan()), BATCH, KEY)
    return [log.index(key) for key in log]


def test_each_member_of_a_chain_draws_its_own_latents():
    def five_to_one(gan):
        return chain(*[update_discriminator(gan)] * 5, update_generator(gan))

    assert drawn_keys(five_to_one) == [0, 1, 2, 3, 4, 5]


def test_updates_that_share_a_key_draw_the_same_latents():
    def shared(gan):
        return share_key(update_discriminator(gan), update_generator(gan))

    assert drawn_keys(shared) == [0, 0]
    assert drawn_keys(lambda gan: repeat(shared(gan), 2)) == [0, 0, 2, 2]
    assert drawn_keys(update_both) == [0]


def test_metrics_are_the_losses_and_scores_before_the_step():
    gan = small_gan()
    state = first(gan)
    _, metrics = run(update_discriminator(gan), state)
    d, g = state.discriminator, state.generator
    z = gan.inputs(stream(KEY, "latents"), 8, {})
    fakes, _ = forward(gan.generator, g.params, g.collections, z)
    real, _ = forward(gan.discriminator, d.params, d.collections, IMAGES)
    fake, _ = forward(gan.discriminator, d.params, d.collections, fakes)
    loss_d = gan.loss.discriminator(real, fake).mean()
    expected = {"loss_d": loss_d, "score_real": real.mean(), "score_fake": fake.mean()}
    assert metrics.keys() == expected.keys()
    close(metrics, expected, 1e-5, 1e-6)
    _, metrics = run(update_generator(gan), state)
    assert metrics.keys() == {"loss_g"}
    close(metrics["loss_g"], gan.loss.generator(fake, None).mean(), 1e-5)
    assert all(value.shape == () for value in metrics.values())


def test_scores_are_those_that_the_metrics_of_a_step_are_means_of():
    gan = small_gan()
    state = first(gan)
    found = scores(gan, state, BATCH, KEY)
    _, metrics = run(update_discriminator(gan), state)
    assert {name: x.shape for name, x in found.items()} == dict.fromkeys(
        ("score_real", "score_fake"), (8,)
    )
    close({name: x.mean() for name, x in found.items()}, {name: metrics[name] for name in found})


def test_a_step_on_one_kind_learns_from_this_kind_alone():
    gan = small_gan()
    assert gan.loss.real is not None and gan.loss.fake is not None
    state = first(gan)
    d, g = state.discriminator, state.generator
    z = gan.inputs(stream(KEY, "latents"), 8, {})
    fakes, _ = forward(gan.generator, g.params, g.collections, z)
    cases: list[Any] = [("real", IMAGES, gan.loss.real), ("fake", fakes, gan.loss.fake)]
    for on, images, half in cases:
        after, metrics = run(update_discriminator(gan, on=on), state)

        def loss(params, images=images, half=half):
            scores, stats = forward(gan.discriminator, params, d.collections, images)
            return half(scores).mean(), (scores, stats)

        (value, (scores, stats)), gradients = jax.value_and_grad(loss, has_aux=True)(d.params)
        assert metrics.keys() == {f"loss_d_{on}", f"score_{on}"}
        close(metrics[f"loss_d_{on}"], value, 1e-5)
        close(metrics[f"score_{on}"], scores.mean(), 1e-5, 1e-6)
        close(after.discriminator.collections, stats, 1e-5, 1e-6)
        moments = after.discriminator.opt_state[0].mu  # of Adam, after one step with beta1 0.5
        close(moments, jax.tree.map(lambda g: 0.5 * g, gradients), 1e-3, 1e-6)


def test_a_step_on_both_is_no_step_on_each():
    gan = small_gan()
    both = run(update_discriminator(gan), first(gan))[0]
    two = chain(update_discriminator(gan, on="real"), update_discriminator(gan, on="fake"))
    apart, metrics = run(two, first(gan))
    assert metrics.keys() == {"loss_d_real", "score_real", "loss_d_fake", "score_fake"}
    assert apart.discriminator.opt_state[0].count == 2
    assert both.discriminator.opt_state[0].count == 1


def test_an_update_that_pairs_uses_each_real_with_its_own_fake():
    gan = small_gan(**PAIRED)
    _, metrics = run(update_generator(gan), first(gan))
    _, other = run(update_generator(gan), first(gan), {"image": IMAGES[::-1]})
    assert abs(float(metrics["loss_g"]) - float(other["loss_g"])) > 1e-4


class Linear(nn.Module):
    """A critic whose slope is its kernel."""

    @nn.compact
    def __call__(self, inputs, train: bool):
        return nn.Dense(1, use_bias=False)(inputs)[:, 0]


def test_a_discriminator_descends_its_loss_and_its_penalty():
    gan = small_gan(
        discriminator=linen(Linear()),
        discriminator_optimizer=optax.sgd(0.1),
        loss=losses.wasserstein,
        penalty=penalties.gradient_penalty(3.0),
    )
    state = first(gan)
    w = np.asarray(state.discriminator.params["Dense_0"]["kernel"])[:, 0]
    fakes, _ = forward(
        gan.generator,
        state.generator.params,
        state.generator.collections,
        gan.inputs(stream(KEY, "latents"), 8, {}),
    )
    apart = np.asarray(fakes.mean(0) - IMAGES.mean(0))  # the slope of the Wasserstein loss
    length = np.linalg.norm(w)
    for make in (update_discriminator, update_both):
        after, metrics = run(make(gan), state)
        close(metrics["loss_d"], apart @ w, 1e-5)
        close(metrics["penalty"], 3 * (length - 1) ** 2, 1e-5)
        moved = w - 0.1 * (apart + 6 * (1 - 1 / length) * w)
        close(after.discriminator.params["Dense_0"]["kernel"][:, 0], moved, 1e-5, 1e-6)


def test_an_objective_is_differentiable_through_imagined_steps_of_d():
    """G of an unrolled GAN, against D's step written by hand."""
    gan = small_gan(
        discriminator=linen(Linear()),
        discriminator_optimizer=optax.sgd(0.1),
        loss=losses.wasserstein,
        generator_terms=lambda play: (play.fake**2).sum(1),
    )
    imagined, of_generator = update_discriminator(gan), generator_objective(gan)

    def unrolled(params, state, batch, key):
        state = state.replace(generator=state.generator.replace(params=params))
        state, _ = imagined.apply(state, batch, stream(key, "ahead"))
        return of_generator(params, state, batch, key)

    state = first(gan)
    w = state.discriminator.params["Dense_0"]["kernel"][:, 0]
    kept = state.generator.collections

    def by_hand(params):
        ahead, now = (
            forward(gan.generator, params, kept, gan.inputs(stream(key, "latents"), 8, {}))[0]
            for key in (stream(KEY, "ahead"), KEY)
        )
        moved = w - 0.1 * (ahead.mean(0) - IMAGES.mean(0))
        return -(now @ moved).mean() + (now**2).sum(1).mean()

    params = state.generator.params
    (_, (metrics, _)), found = jax.value_and_grad(unrolled, has_aux=True)(params, state, BATCH, KEY)
    loss, expected = jax.value_and_grad(by_hand)(params)
    close(found, expected, 1e-4, 1e-6)
    close(metrics["loss_g"] + metrics["terms_g"], loss, 1e-5)


def test_a_penalty_leaves_the_running_averages_and_the_other_metrics_alone():
    plain = small_gan(**PAIRED)
    paying = small_gan(**PAIRED, penalty=penalties.total(penalties.r1(1.0), penalties.r2(1.0)))
    state = first(plain)
    after, metrics = run(update_discriminator(plain), state)
    paid, found = run(update_discriminator(paying), state)
    assert found.pop("penalty") > 0
    close(found, metrics)
    close(paid.discriminator.collections, after.discriminator.collections)
    moved = [s.discriminator.params["Dense_0"]["kernel"] for s in (after, paid)]
    assert not np.allclose(*moved, atol=1e-3)
    assert parts_moved(state, paid) == D


def test_penalties_see_reals_and_fakes_and_a_key_for_each():
    seen = []

    def look(critic, real, fake, keys):
        seen.append((real, fake, keys))
        return critic(real)

    gan = small_gan(penalty=look)
    state = first(gan)
    run(update_discriminator(gan), state)
    ((real, fake, keys),) = seen
    g = state.generator
    z = gan.inputs(stream(KEY, "latents"), 8, {})
    equal(real, IMAGES)
    close(fake, forward(gan.generator, g.params, g.collections, z)[0])
    assert len({tuple(row) for row in jax.random.key_data(keys).tolist()}) == 8


@pytest.mark.parametrize("on", ["real", "fake"])
def test_a_penalty_has_no_part_on_one_kind(on):
    with pytest.raises(ValueError, match=f"need reals and fakes, not {on}"):
        update_discriminator(small_gan(penalty=penalties.r1(1.0)), on=on)


@pytest.mark.slow
def test_penalties_of_packs_are_of_the_slope_by_a_whole_pack():
    gan = small_gan(discriminator=in_packs(linen(Linear()), 4), penalty=penalties.r1(2.0))
    state = first(gan)
    _, metrics = run(update_discriminator(gan), state)
    close(metrics["penalty"], (state.discriminator.params["Dense_0"]["kernel"] ** 2).sum(), 1e-5)


@pytest.mark.slow
def test_parts_of_a_batch_are_packed_by_themselves():
    packs = in_packs(linen(Discriminator()), 2)
    gan = small_gan(discriminator=packs, loss=losses.wasserstein)
    state = first(gan)
    _, found = run(on_part(update_discriminator(gan), 1, 2), state)
    d = state.discriminator
    real, _ = forward(gan.discriminator, d.params, d.collections, IMAGES[1::2])
    close(found["score_real"], real.mean(), 1e-5)
