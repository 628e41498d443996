"""What the wiring of a GAN can express: labels, trees, views, terms, regularizers with memory."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from tiny_systems import Plain, small_gan

from jaxgan import axes, losses, penalties
from jaxgan.core.combinators import chain, every, share_key
from jaxgan.core.gan import Play, init
from jaxgan.core.networks import in_microbatches, linen
from jaxgan.core.steps import make_step, run_steps
from jaxgan.core.updates import (
    Update,
    minimize,
    stateless,
    update_both,
    update_discriminator,
    update_generator,
)
from jaxgan.keys import per_example, stream
from jaxgan.losses import Loss

KEY = jax.random.key(3)
rng = np.random.default_rng(0)
BATCH = {
    "image": jnp.asarray(rng.normal(1, 2, (8, 3)), jnp.float32),
    "label": jnp.arange(8, dtype=jnp.int32) % 4,
}


def train(gan, update, batch=BATCH, steps: int = 3):
    state = init(gan, KEY, batch, update)
    step = jax.jit(make_step(update), donate_argnums=0)
    for _ in range(steps):
        state, metrics = step(state, batch, KEY)
    return state, metrics


class Judge(nn.Module):
    """Scores and classifies."""

    @nn.compact
    def __call__(self, image, label, train: bool):
        x = jnp.tanh(nn.Dense(6)(image))
        logits = nn.Dense(4)(x)
        wrong = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        return {"score": nn.Dense(1)(x)[:, 0], "class": wrong, "logits": logits}


class Maker(nn.Module):
    @nn.compact
    def __call__(self, z, label, train: bool):
        return nn.Dense(3)(jnp.concatenate([z, nn.Embed(4, 2)(label)], axis=1))


CLASSIFYING = Loss(
    lambda real, fake: losses.hinge.discriminator(real["score"], fake["score"]) + real["class"],
    lambda fake, real: losses.hinge.generator(fake["score"], None) + fake["class"],
)
CONDITIONAL = {
    "generator": linen(Maker()),
    "discriminator": linen(Judge()),
    "loss": CLASSIFYING,
    "inputs": lambda key, n, batch: (jax.random.normal(key, (n, 2)), batch["label"]),
    "view": lambda example, batch, key, state: (example, batch["label"]),
}


@pytest.mark.parametrize("make", [update_both, lambda gan: chain(update_discriminator(gan))])
def test_labels_reach_both_players_and_every_output_is_measured(make):
    state, metrics = train(small_gan(**CONDITIONAL), make(small_gan(**CONDITIONAL)))
    assert metrics.keys() >= {"loss_d", "score_real", "score_fake", "class_real", "class_fake"}
    assert "logits_real" not in metrics
    embedding = state.generator.params["Embed_0"]["embedding"]
    if "loss_g" in metrics:
        first = init(small_gan(**CONDITIONAL), KEY, BATCH).generator.params["Embed_0"]["embedding"]
        assert np.abs(embedding - first).min() > 0  # every class has learned something


@pytest.mark.slow
def test_a_penalty_may_be_of_one_output():
    def penalty(critic, *others):
        return penalties.r1(2.0)(lambda x: critic(x)["score"], *others)

    gan = small_gan(**CONDITIONAL, penalty=penalty)
    _, metrics = train(gan, update_discriminator(gan))
    assert metrics["penalty"] > 0


def test_scores_may_be_those_of_patches():
    class Patches(nn.Module):
        @nn.compact
        def __call__(self, image, train: bool):
            return nn.Dense(6)(image).reshape(-1, 2, 3)

    gan = small_gan(discriminator=linen(Patches()), generator=linen(Plain(3)))
    state = init(gan, KEY, BATCH)
    fakes = gan.generator.apply(
        state.generator.params, {}, gan.inputs(stream(KEY, "latents"), 8, {}), KEY, True
    )[0]

    def scores(state, examples):
        return gan.discriminator.apply(state.discriminator.params, {}, examples, KEY, True)[0]

    real, fake = scores(state, BATCH["image"]), scores(state, fakes)
    after, metrics = update_both(gan).apply(state, BATCH, KEY)
    expected = {
        "loss_d": np.logaddexp(0, -real).mean() + np.logaddexp(0, fake).mean(),
        "loss_g": np.logaddexp(0, -scores(after, fakes)).mean(),
        "score_real": real.mean(),
        "score_fake": fake.mean(),
    }
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)


def test_examples_may_be_trees():
    class Pair(nn.Module):
        @nn.compact
        def __call__(self, z, train: bool):
            return {"a": nn.Dense(3)(z), "b": nn.Dense(2)(z)}

    class Both(nn.Module):
        @nn.compact
        def __call__(self, a, b, train: bool):
            return nn.Dense(1)(jnp.tanh(nn.Dense(4)(jnp.concatenate([a, b], axis=1))))[:, 0]

    gan = small_gan(
        generator=linen(Pair()),
        discriminator=linen(Both()),
        real=lambda batch: {"a": batch["a"], "b": batch["b"]},
        view=lambda example, batch, key, state: (example["a"], example["b"]),
        penalty=penalties.total(penalties.gradient_penalty(), penalties.r1(1.0)),
    )
    batch = {"a": BATCH["image"], "b": BATCH["image"][:, :2]}
    _, metrics = train(gan, update_both(gan), batch)
    assert metrics["penalty"] > 0 and np.isfinite(metrics["loss_g"])


@pytest.mark.slow
def test_both_players_pay_their_terms_and_see_the_whole_play():
    def generator_terms(play: Play):
        assert play.inputs.shape == (8, 2) and play.real_outputs.shape == (8,)
        return 3 * (play.fake**2).sum(1)

    def discriminator_terms(play: Play):
        return (play.real_outputs - play.fake_outputs) ** 2

    sgd = optax.sgd(0.1)  # whose step is the gradient
    plain = small_gan(
        generator=linen(Plain(3)),
        discriminator=linen(Plain()),
        generator_optimizer=sgd,
        discriminator_optimizer=sgd,
    )
    gan = replace(plain, generator_terms=generator_terms, discriminator_terms=discriminator_terms)
    state = init(gan, KEY, BATCH)
    key = stream(KEY, "dropout_generator")
    z = gan.inputs(stream(KEY, "latents"), 8, {})
    fake, _ = gan.generator.apply(state.generator.params, {}, z, key, True)
    judge = partial(gan.discriminator.apply, state.discriminator.params, {})
    apart = judge(BATCH["image"], key, True)[0] - judge(fake, key, True)[0]
    apart_too = share_key(update_discriminator(gan), update_generator(gan))
    _, separate = jax.jit(apart_too.apply)(state, BATCH, KEY)
    paid, metrics = jax.jit(update_both(gan).apply)(state, BATCH, KEY)
    np.testing.assert_allclose(metrics["terms_g"], 3 * (fake**2).sum(1).mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["terms_d"], (apart**2).mean(), rtol=1e-5)
    for name, value in metrics.items():
        np.testing.assert_allclose(separate[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    free, _ = jax.jit(update_both(plain).apply)(state, BATCH, KEY)
    for role in ("generator", "discriminator"):
        kernels = [getattr(x, role).params["Dense_0"]["kernel"] for x in (free, paid)]
        assert not np.allclose(*kernels, atol=1e-4)


def flip(example, batch, key, state):
    """Turns the sign of each example with a probability that the state keeps."""
    keys = per_example(key, len(example))
    signs = jax.vmap(lambda key: jax.random.bernoulli(key, state.extra["probability"]))(keys)
    return jnp.where(signs[:, None], -example, example)


def adapting(inner: Update) -> Update:
    def begin(state, batch, key):
        return inner.init(state.with_extra(probability=jnp.float32(0.25)), batch, key)

    def apply(state, batch, key):
        state, metrics = inner.apply(state, batch, key)
        probability = jnp.clip(state.extra["probability"] + 0.1, 0, 1)
        return state.with_extra(probability=probability), metrics | {"p": probability}

    return Update(begin, apply)


def test_a_view_sees_what_an_update_keeps_and_moves():
    gan = small_gan(view=flip)
    state, metrics = train(gan, adapting(update_both(gan)))
    np.testing.assert_allclose(state.extra["probability"], 0.55, rtol=1e-6)
    assert metrics["p"] == state.extra["probability"]


@pytest.mark.slow
def test_augmentation_does_not_depend_on_the_number_of_devices():
    gan = small_gan(generator=linen(Plain(3)), discriminator=linen(Plain()), view=flip)
    update = adapting(update_both(gan))
    images = jnp.asarray(rng.normal(1, 2, (3, 8, 3)), jnp.float32)
    state = init(gan, KEY, {"image": images[0]}, update)
    one = jax.jit(partial(run_steps, make_step(update)))(state, {"image": images}, KEY)
    run = partial(run_steps, make_step(update, axis_name="devices"))
    mapped = jax.pmap(run, "devices", in_axes=(None, 1, None), devices=jax.devices()[:2])
    two = mapped(state, {"image": images.reshape(3, 2, 4, 3)}, KEY)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(lambda a, b: close(b[0], a), one, jax.device_get(two))


def test_inputs_are_drawn_for_the_whole_batch_whatever_they_are_drawn_with():
    def inputs(key, n, batch):
        return jnp.concatenate([jax.random.normal(key, (n, 1)), batch["image"][:, :1]], axis=1)

    gan = small_gan(inputs=inputs, generator=linen(Plain(3)))
    state = init(gan, KEY, BATCH)

    @stateless
    def look(state, batch, key):
        n = len(batch["image"]) * axes.device_count()
        return state, {"sum": axes.share(inputs(key, n, axes.whole(batch))).sum()}

    one = make_step(look)(state, BATCH, KEY)[1]["sum"]
    halves = jax.tree.map(lambda x: x.reshape(2, 4, *x.shape[1:]), BATCH)
    step = make_step(look, axis_name="devices")
    two = jax.pmap(step, "devices", in_axes=(None, 0, None), devices=jax.devices()[:2])
    np.testing.assert_allclose(two(state, halves, KEY)[1]["sum"].sum(), one, rtol=1e-5)


@pytest.mark.parametrize("make", [update_discriminator, update_generator, update_both])
def test_inputs_of_another_number_of_examples_are_refused(make):
    gan = small_gan(inputs=lambda key, n, batch: jax.random.normal(key, (5, 2)))
    with pytest.raises(ValueError, match=r"inputs gave the shape \(5, 2\) for 8 examples"):
        make(gan).apply(init(small_gan(), KEY, BATCH), BATCH, KEY)


@pytest.mark.slow
def test_labels_may_be_a_part_of_examples_under_a_penalty_and_in_microbatches():
    class Labelled(nn.Module):
        @nn.compact
        def __call__(self, z, label, train: bool):
            return {"image": Maker()(z, label, train), "label": label}

    gan = small_gan(
        generator=in_microbatches(linen(Labelled()), 4),
        discriminator=in_microbatches(linen(Judge()), 4),
        loss=CLASSIFYING,
        inputs=CONDITIONAL["inputs"],
        real=lambda batch: {"image": batch["image"], "label": batch["label"]},
        view=lambda example, batch, key, state: (example["image"], example["label"]),
        penalty=lambda critic, *others: penalties.total(
            penalties.gradient_penalty(), penalties.r2(1.0)
        )(lambda x: critic(x)["score"], *others),
    )
    state, metrics = train(gan, update_both(gan), steps=1)
    assert metrics["penalty"] > 0 and np.isfinite(metrics["loss_g"]) and state.step == 1


def test_an_image_pool_is_an_update_that_keeps_it():
    gan = small_gan(generator=linen(Plain(3)), discriminator=linen(Plain()))

    def begin(state, batch, key):
        return state.with_extra(pool=jnp.zeros((16, 3)))

    def apply(state, batch, key):
        z = gan.inputs(stream(key, "latents"), 8, batch)
        fakes, _ = gan.generator.apply(state.generator.params, {}, z, key, True)
        pool = jnp.roll(state.extra["pool"], 8, axis=0).at[:8].set(fakes)
        chosen = jax.random.choice(stream(key, "pool"), pool, (8,), replace=False)
        state, metrics = update_discriminator(gan, fake=chosen).apply(state, batch, key)
        return state.with_extra(pool=pool), metrics

    state, metrics = train(gan, chain(Update(begin, apply), update_generator(gan)), steps=2)
    assert (jnp.abs(state.extra["pool"]).max(1) > 0).all() and "loss_d" in metrics


def test_a_regularizer_of_the_generator_is_an_update_of_its_own():
    gan = small_gan(generator=linen(Plain(3)), discriminator=linen(Plain()))

    def objective(params, state, batch, key):
        z = gan.inputs(stream(key, "path"), 4, {})
        fakes, pull = jax.vjp(lambda z: gan.generator.apply(params, {}, z, key, True)[0], z)
        (slopes,) = pull(jax.random.normal(stream(key, "direction"), fakes.shape))
        length = jnp.sqrt((slopes**2).sum(1) + 1e-8)
        mean = 0.9 * state.extra["length"] + 0.1 * length.mean()
        return ((length - mean) ** 2).mean(), ({"length": mean}, state.generator.collections)

    inner = minimize("generator", objective, gan.generator_optimizer)

    def begin(state, batch, key):
        return state.with_extra(length=jnp.float32(0))

    def apply(state, batch, key):
        state, metrics = inner.apply(state, batch, key)
        return state.with_extra(length=metrics["length"]), metrics

    update = chain(update_both(gan), every(2, Update(begin, apply)))
    state, metrics = train(gan, update, steps=4)
    assert state.extra["length"] > 0 and "length" not in metrics
    assert state.generator.opt_state[0].count == 6  # four steps, two of them twice


def test_minimize_averages_over_devices():
    gan = small_gan(discriminator=linen(Plain()), discriminator_optimizer=optax.sgd(0.1))

    def objective(params, state, batch, key):
        scores, collections = gan.discriminator.apply(params, {}, batch["image"], key, True)
        return (scores**2).mean(), ({"mean": scores.mean()}, collections)

    update = minimize("discriminator", objective, gan.discriminator_optimizer)
    state = init(gan, KEY, BATCH)
    one, expected = update.apply(state, BATCH, KEY)
    step = make_step(update, axis_name="devices")
    halves = jax.tree.map(lambda x: x.reshape(2, 4, *x.shape[1:]), BATCH)
    mapped = jax.pmap(step, "devices", in_axes=(None, 0, None), devices=jax.devices()[:2])
    two, metrics = jax.device_get(mapped(state, halves, KEY))
    np.testing.assert_allclose(metrics["mean"], np.full(2, expected["mean"]), rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(b[1], a, rtol=1e-5, atol=1e-6),
        one.discriminator.params,
        two.discriminator.params,
    )
