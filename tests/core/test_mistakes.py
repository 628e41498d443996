"""What a stranger forgets when wiring a GAN, and what tells them."""

import inspect
from copy import copy
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn

import jaxgan
from jaxgan import latents, losses, penalties
from jaxgan.core import combinators
from jaxgan.models import mlp
from jaxgan.nn.labels import Embed
from jaxgan.types import Metrics

KEY = jax.random.key(0)
BATCH = {"image": jnp.zeros((4, 2))}
GENERATOR = mlp.Generator((2,), widths=(4,))
GAN = jaxgan.GAN(
    generator=jaxgan.linen(GENERATOR),
    discriminator=jaxgan.linen(mlp.Discriminator(widths=(4,))),
    generator_optimizer=optax.sgd(0.1),
    discriminator_optimizer=optax.sgd(0.1),
    loss=losses.non_saturating,
    inputs=latents.normal(3),
)


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_a_module_that_is_no_network(part):
    gan = copy(GAN)
    object.__setattr__(gan, part, GENERATOR)  # past the type checker of these tests
    with pytest.raises(TypeError, match=rf"{part} is a Generator.*wrap a Linen module in jaxgan.l"):
        gan.__post_init__()


class Judge(nn.Module):
    """D by projection."""

    @nn.compact
    def __call__(self, examples, labels, train):
        return (nn.Dense(4)(examples) * Embed(3, 4)(labels)).sum(1)


def test_init_without_the_update_whose_state_the_view_reads():
    gan = replace(GAN, view=lambda example, batch, key, state: example * state.extra["p"])
    with pytest.raises(KeyError, match="p") as raised:
        jax.eval_shape(lambda: jaxgan.init(gan, KEY, BATCH))
    assert "jaxgan.init(gan, key, batch, update)" in raised.value.__notes__[0]


def test_a_missing_label():
    gan = replace(GAN, view=lambda example, batch, key, state: (example, batch["label"]))
    with pytest.raises(KeyError, match="label"):
        jax.eval_shape(lambda: jaxgan.init(gan, KEY, BATCH, jaxgan.update_both(gan)))


@pytest.mark.parametrize(
    "part, value, told",
    [
        ("generator_optimizer", optax.adam, "generator_optimizer is a function, not an optimizer"),
        ("discriminator_optimizer", 1e-4, "discriminator_optimizer is a float, not an optimizer"),
        ("loss", losses.separable, "loss is a function, not a jaxgan.losses.Loss"),
        ("inputs", latents.normal, r"inputs is not a function of key, n, batch: it is normal\("),
        ("inputs", 100, "inputs is not a function of key, n, batch: it is a int"),
        ("inputs", None, "inputs is not a function of key, n, batch: it is a NoneType"),
        ("view", lambda example: example, "view is not a function of example, batch, key, state"),
        ("penalty", penalties.r1, r"penalty is not a function of .*: it is r1\(gamma"),
        ("generator_terms", lambda: 0, "generator_terms is not a function of play"),
    ],
)
def test_parts_that_are_none(part, value, told):
    gan = copy(GAN)
    object.__setattr__(gan, part, value)  # past the type checker of these tests
    with pytest.raises(TypeError, match=told):
        gan.__post_init__()


@pytest.mark.parametrize("update", [None, jaxgan.update_both], ids=["nothing", "not called"])
@pytest.mark.parametrize(
    "use",
    [
        lambda update: inspect.unwrap(jaxgan.make_step)(update),
        lambda update: inspect.unwrap(jaxgan.chain)(jaxgan.update_both(GAN), update),
        lambda update: inspect.unwrap(jaxgan.share_key)(update),
        lambda update: inspect.unwrap(jaxgan.repeat)(update, 2),
        lambda update: inspect.unwrap(jaxgan.on_part)(update, 0, 2),
        lambda update: inspect.unwrap(jaxgan.every)(2, update),
    ],
    ids=["make_step", "chain", "share_key", "repeat", "on_part", "every"],
)
def test_an_update_that_is_none(use, update, monkeypatch):
    for name in ("on_part", "share_key", "_with_own_key", "require_update"):
        function = inspect.unwrap(getattr(combinators, name))
        monkeypatch.setattr(combinators, name, function)  # past the type checker of these tests
    with pytest.raises(TypeError, match=f"a {type(update).__name__}, not an Update, such as"):
        use(update)


def step_of(gan: jaxgan.GAN, update=jaxgan.update_both) -> Metrics:
    """Traces a first step, and gives the shapes of its metrics."""

    def first_step():
        state = jaxgan.init(gan, KEY, BATCH)
        return jaxgan.make_step(update(gan))(state, BATCH, KEY)

    return jax.eval_shape(first_step)[1]


class InRows(nn.Module):
    @nn.compact
    def __call__(self, points, train):
        return nn.Dense(1)(points)


@pytest.mark.parametrize("update", [jaxgan.update_discriminator, jaxgan.update_both])
def test_scores_in_rows(update):
    gan = replace(GAN, discriminator=jaxgan.linen(InRows()))
    with pytest.raises(ValueError, match=r"scores of the shape \(4, 1\): let it end in `\[:, 0\]`"):
        step_of(gan, update)


@pytest.mark.parametrize(
    "part, function",
    [
        ("penalty", lambda critic, real, fake, keys: real**2),
        ("discriminator_terms", lambda play: play.real**2),
        ("generator_terms", lambda play: play.fake_outputs[:, None] - play.real_outputs[None]),
    ],
)
def test_what_is_added_for_each_number_of_an_example(part, function):
    gan = copy(GAN)
    object.__setattr__(gan, part, function)
    with pytest.raises(ValueError, match=rf"{part} gave the shape \(4, [24]\), not a number for"):
        step_of(gan)


@pytest.mark.parametrize(
    "part, function, told",
    [
        ("penalty", lambda *_: lambda *_: 0.0, "penalty gave a function, not numbers: call it to"),
        (
            "discriminator_terms",
            lambda _: lambda _: 0.0,
            "discriminator_terms gave a function, not",
        ),
        ("generator_terms", lambda _: None, "generator_terms gave a NoneType, not numbers\n"),
        ("generator_terms", lambda _: {"a": 0.0}, "generator_terms gave a dict, not numbers\n"),
    ],
)
def test_what_is_added_is_numbers(part, function, told):
    gan = copy(GAN)
    object.__setattr__(gan, part, function)
    with pytest.raises(TypeError, match=told):
        step_of(gan)


def test_a_third_player():
    def objective(params, state, batch, key):
        return 0.0, ({}, {})

    player: Any = "encoder"
    told = "'encoder' is no player: make a third network a part of one, or keep it in state.extra"
    with pytest.raises(ValueError, match=told):
        inspect.unwrap(jaxgan.minimize)(player, objective, optax.sgd(0.1))
    with pytest.raises(ValueError, match=told):
        inspect.unwrap(jaxgan.update_average)(0.9, of=player, name="slow")


def test_an_objective_with_other_collections():
    def objective(params, state, batch, key):
        return optax.tree.norm(params), ({}, {"seen": jnp.zeros(3)})

    with pytest.raises(
        ValueError, match=r"gave collections .*\(3,\)\}, but the generator's are \{\}"
    ):
        step_of(GAN, lambda gan: jaxgan.minimize("generator", objective, optax.sgd(0.1)))


def test_two_updates_that_keep_different_things_by_one_name():
    pools = (jaxgan.update_discriminator_from_pool(GAN, size) for size in (8, 16))
    with pytest.raises(ValueError, match=r"keep different things, both as 'pool': .*8.*16"):
        jax.eval_shape(lambda: jaxgan.init(GAN, KEY, BATCH, jaxgan.chain(*pools)))
    one = jaxgan.update_discriminator_from_pool(GAN, 8)
    jax.eval_shape(lambda: jaxgan.init(GAN, KEY, BATCH, jaxgan.chain(one, one)))


def test_one_number_for_the_whole_batch_may_be_added():
    metrics = step_of(replace(GAN, generator_terms=lambda play: jnp.mean(play.fake_outputs) ** 2))
    assert metrics["terms_g"].shape == ()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda update: jaxgan.on_part(update, 2, 2), "there is no part 2 of 2"),
        (lambda update: jaxgan.on_part(update, slice(2, 4), 2), "there is no part slice"),
        (lambda update: jaxgan.on_part(update, 0, 0), "there is no part 0 of 0"),
        (lambda update: jaxgan.every(0, update), "a period is at least 1 step, not 0"),
        (lambda _: jaxgan.in_packs(GAN.discriminator, 0), "size must be at least 1, not 0"),
        (lambda _: jaxgan.in_microbatches(GAN.generator, -2), "size must be at least 1, not -2"),
        (
            lambda _: jaxgan.update_discriminator_from_pool(GAN, 0),
            "a pool has at least 1 place, not 0",
        ),
        (
            lambda _: jaxgan.update_discriminator(
                replace(GAN, loss=losses.non_saturating), on="real", fake=jnp.zeros((4, 2))
            ),
            "learns nothing from fakes",
        ),
    ],
)
def test_numbers_that_do_nothing(make, told):
    with pytest.raises(ValueError, match=told):
        make(jaxgan.update_both(GAN))


def test_packs_within_microbatches():
    packs = jaxgan.in_packs(jaxgan.linen(mlp.Discriminator(widths=(4,))), 2)
    gan = replace(GAN, discriminator=jaxgan.in_microbatches(packs, 2))
    update = jaxgan.update_both(gan)
    with pytest.raises(ValueError, match=r"in_packs\(in_microbatches\(discriminator"):
        state = jaxgan.init(gan, KEY, BATCH, update)
        jax.eval_shape(jaxgan.make_step(update), state, BATCH, KEY)


def test_labels_of_packs_for_a_network_that_knows_single_ones():
    discriminator = jaxgan.in_packs(jaxgan.linen(Judge()), 2)
    with pytest.raises(ValueError, match=r"labels \[2, 2\] are those of packs"):
        discriminator.init(KEY, (jnp.zeros((4, 2)), jnp.zeros(4, int)))
