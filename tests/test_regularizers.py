"""Regularizers against what one works out on paper."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_systems import Plain, small_gan

from jaxgan import latents, penalties, terms
from jaxgan.core.combinators import chain, every, on_part, share_key
from jaxgan.core.gan import init
from jaxgan.core.networks import Network, linen
from jaxgan.core.steps import make_step
from jaxgan.core.updates import (
    minimize_penalty,
    update_both,
    update_discriminator,
    update_generator,
)
from jaxgan.keys import per_example, stream
from jaxgan.losses import separable
from jaxgan.models import stylegan2
from jaxgan.regularizers import (
    add_gradient,
    clip_weights,
    freeze,
    latent_consistency,
    latent_diversity,
    lazy_adam,
    orthogonality,
    orthonormality,
    path_length,
    track_scores,
)

KEY = jax.random.key(4)
BATCH = {"image": jnp.asarray(np.random.default_rng(0).normal(1, 2, (8, 3)), jnp.float32)}
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)


def plain_gan(**changes):
    """A GAN without batch norm, whose steps are gradients."""
    sgd = optax.sgd(0.1)
    fields = {"generator": linen(Plain(3)), "discriminator": linen(Plain())}
    fields |= {"generator_optimizer": sgd, "discriminator_optimizer": sgd}
    return small_gan(**fields | changes)


def matrix(w) -> Network:
    """Inputs times a matrix."""
    return Network(lambda key, inputs: (w, {}), lambda w, kept, inputs, *_: (inputs @ w, kept))


def test_frozen_layers_stay_and_the_others_move_as_before():
    free = plain_gan()
    sgd = optax.sgd(0.1)
    layers = list(init(free, KEY, BATCH).discriminator.params)
    frozen = replace(free, discriminator_optimizer=freeze(sgd, layers[:1]))
    before = init(free, KEY, BATCH)
    moved, kept = (
        jax.jit(make_step(update_discriminator(gan)))(init(gan, KEY, BATCH), BATCH, KEY)[0]
        for gan in (free, frozen)
    )
    for name in layers:
        wanted = before if name == layers[0] else moved
        jax.tree.map(
            np.testing.assert_array_equal,
            kept.discriminator.params[name],
            wanted.discriminator.params[name],
        )
    with pytest.raises(ValueError, match=r"layers are several names: write \['Conv_0'\]"):
        freeze(sgd, "Conv_0")
    with pytest.raises(ValueError, match=r"no layers \['Conv_9'\] to freeze among"):
        init(replace(free, discriminator_optimizer=freeze(sgd, ["Conv_9"])), KEY, BATCH)


def test_weights_are_clipped_after_the_step():
    optimizer = optax.chain(optax.sgd(1.0), clip_weights(0.5))
    params = {"w": jnp.array([0.25, 0.25, 0.25, 3.0, -0.5])}
    gradients = {"w": jnp.array([0.125, -2.0, 2.0, 0.0, 0.0])}
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    clipped = optax.apply_updates(params, updates)
    assert clipped == {"w": pytest.approx([0.125, 0.5, -0.5, 0.5, -0.5])}


def test_clipping_belongs_to_an_optimizer():
    rmsprop = optax.chain(optax.rmsprop(1.0), clip_weights(0.01))
    gan = plain_gan(discriminator_optimizer=rmsprop)
    state, _ = jax.jit(update_both(gan).apply)(init(gan, KEY, BATCH), BATCH, KEY)
    largest = jax.tree.map(lambda x: float(jnp.abs(x).max()), state.discriminator.params)
    close(jax.tree.leaves(largest), [0.01] * 4)


FILTERS = jnp.array([[1.0, 2.0], [0.0, 1.0], [1.0, -1.0]])  # three of them, of two inputs


def test_orthogonality_is_about_the_products_of_different_filters():
    params = {"kernel": FILTERS.T, "bias": jnp.ones(3)}
    value, slopes = jax.value_and_grad(orthogonality)(params)
    assert value == 12 and slopes["bias"].tolist() == [0] * 3
    assert slopes["kernel"].T.tolist() == [[-4, 12], [4, 20], [-4, -12]]
    convolution = FILTERS.T.reshape(1, 2, 1, 3)
    assert orthogonality([FILTERS.T, convolution]) == 24
    assert orthogonality([jnp.array([[3.0, 4.0], [-4.0, 3.0]])]) == 0


def test_stacked_blocks_are_taken_one_by_one():
    blocks = {"kernel": jnp.stack([FILTERS.T, 2 * FILTERS.T]), "scale": jnp.ones((2, 3))}
    assert jax.vmap(orthogonality)(blocks).sum() == 12 * (1 + 2**4)


def test_a_network_without_filters_is_told():
    for measure in (orthogonality, orthonormality):
        with pytest.raises(ValueError, match="there are no filters"):
            measure({"scale": jnp.ones(3)})


def test_orthonormality_is_also_about_their_lengths():
    assert orthonormality({"kernel": FILTERS.T, "bias": jnp.ones(3)}) == 12 + 4**2 + 0 + 1
    assert orthonormality([jnp.array([[0.0, 1.0], [-1.0, 0.0]])]) == 0


def test_the_gradient_of_a_function_of_parameters_is_added():
    def regularizer(params):
        return 0.5 * orthogonality(params)

    mask = {"a": True, "b": False}
    regularized = optax.masked(add_gradient(regularizer), mask)
    optimizer = optax.chain(regularized, optax.sgd(0.1))
    params = {"a": FILTERS.T, "b": FILTERS.T}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates: Any = optimizer.update(zeros, optimizer.init(params), params)[0]
    close(updates["a"].T, -0.2 * np.array([[-1, 3], [1, 5], [-1, -3]]))
    assert (updates["b"] == 0).all()


@pytest.mark.parametrize(
    ("period", "rate", "b2"), [(4, 0.002, 0.991992), (16, 0.00235294, 0.990585)]
)
def test_lazy_adam_makes_up_for_its_additional_steps(period, rate, b2):
    with jax.enable_x64(True):
        lazy, plain = lazy_adam(period, 0.0025, 0.0, 0.99), optax.adam(rate, 0.0, b2)
        params = jnp.zeros(2)
        states = [optimizer.init(params) for optimizer in (lazy, plain)]
        for gradient in ([1.0, -2.0], [3.0, 0.5]):
            found: Any
            expected: Any
            found, states[0] = lazy.update(jnp.array(gradient), states[0], params)
            expected, states[1] = plain.update(jnp.array(gradient), states[1], params)
            np.testing.assert_allclose(found, expected, rtol=3e-6)


def test_a_penalty_is_minimized_alone():
    gan = plain_gan(penalty=penalties.total(penalties.r1(2.0), penalties.gradient_penalty()))
    state = init(gan, KEY, BATCH)
    apart = replace(gan, penalty=None)
    lone, metrics = jax.jit(minimize_penalty(gan).apply)(state, BATCH, KEY)
    paid, expected = jax.jit(update_discriminator(gan).apply)(state, BATCH, KEY)
    free, _ = jax.jit(update_discriminator(apart).apply)(state, BATCH, KEY)
    assert metrics.keys() == {"penalty"}
    close(metrics["penalty"], expected["penalty"])
    jax.tree.map(
        lambda lone, first, paid, free: close(lone - first, paid - free),
        *(x.discriminator.params for x in (lone, state, paid, free)),
    )
    with pytest.raises(ValueError, match="no penalty"):
        minimize_penalty(apart)


A = np.random.default_rng(1).normal(size=(2, 3))
W = np.array([0.5, -1.0, 2.0])


def linear_gan(**changes):
    sgd = optax.sgd(0.1)
    return small_gan(
        generator=matrix(jnp.asarray(A, jnp.float32)),
        discriminator=matrix(jnp.asarray(W, jnp.float32)),
        generator_optimizer=sgd,
        discriminator_optimizer=sgd,
        **changes,
    )


@pytest.mark.parametrize("together", [True, False])
def test_a_change_of_latents_should_change_images_but_not_scores(together):
    gan = linear_gan(
        loss=separable(jnp.zeros_like, jnp.zeros_like, jnp.zeros_like),
        discriminator_terms=latent_consistency(0.5, 3.0),
        generator_terms=latent_diversity(0.5, 7.0),
    )
    apart = share_key(update_discriminator(gan), update_generator(gan))
    update = update_both(gan) if together else apart
    state, metrics = jax.jit(update.apply)(init(gan, KEY, BATCH), BATCH, KEY)

    def draw(name):
        keys = per_example(stream(stream(KEY, name), "neighbors"), 8)
        keys = [jax.random.fold_in(key, 0) for key in keys]
        return 0.5 * np.array([jax.random.normal(key, (2,)) for key in keys])

    moves = draw("discriminator_terms") @ A
    close(metrics["terms_d"], 3 * ((moves @ W) ** 2).mean())
    close(state.discriminator.params, W - 0.1 * 6 * (moves @ W) @ moves / 8)
    noise = draw("generator_terms")
    close(metrics["terms_g"], -7 * ((noise @ A) ** 2).mean())
    close(state.generator.params, A + 0.1 * 14 / 3 * noise.T @ noise @ A / 8)


def test_labels_stay_while_latents_change():
    def inputs(key, n, batch):
        return jax.random.normal(key, (n, 2)), batch["label"]

    def apply(w, kept, inputs, *_):
        return inputs[0] @ w + inputs[1][:, None], kept

    gan = linear_gan(inputs=inputs, generator_terms=latent_diversity(0.0))
    gan = replace(gan, generator=Network(gan.generator.init, apply))
    batch = BATCH | {"label": jnp.arange(8)}
    _, metrics = jax.jit(update_both(gan).apply)(init(gan, KEY, batch), batch, KEY)
    assert metrics["terms_g"] == 0


def test_inputs_of_g_change_independently():
    def inputs(key, n, batch):
        return jnp.zeros((n, 2)), jnp.zeros((n, 2))

    def apply(w, kept, inputs, *_):
        return (inputs[0] - inputs[1]) @ w, kept

    gan = linear_gan(inputs=inputs, generator_terms=latent_diversity(0.5))
    gan = replace(gan, generator=Network(gan.generator.init, apply))
    _, metrics = jax.jit(update_both(gan).apply)(init(gan, KEY, BATCH), BATCH, KEY)
    assert metrics["terms_g"] < 0


def lecam_term(play):
    averages = play.state.extra["scores"]
    return 0.3 * terms.one_sided_lecam(play.real_outputs, play.fake_outputs, **averages)


def test_averages_of_scores_follow_the_scores():
    gan = plain_gan(discriminator_terms=lecam_term)
    update = track_scores(update_both(gan), lambda step: jnp.where(step < 1, 0.0, 0.75))
    state = init(gan, KEY, BATCH, update)
    assert state.extra == {"scores": {"mean_real": 0, "mean_fake": 0}}
    step = jax.jit(make_step(update))
    expected = None
    for _ in range(3):
        before = state.extra["scores"]
        state, metrics = step(state, BATCH, KEY)
        scores = np.array([metrics["score_real"], metrics["score_fake"]])
        expected = scores if expected is None else 0.75 * expected + 0.25 * scores
        close([state.extra["scores"][name] for name in ("mean_real", "mean_fake")], expected)
    assert before["mean_real"] != 0 and metrics["terms_d"] > 0


def test_scores_that_an_update_does_not_tell_cannot_be_followed():
    update = track_scores(every(2, update_both(plain_gan())))
    with pytest.raises(ValueError, match=r"without the metrics \['score_fake', 'score_real'\]"):
        update.apply(init(plain_gan(), KEY, BATCH, update), BATCH, KEY)


def halves_of(layers: int):
    """Styles that are the latents, the same for all layers, which have equal shares."""

    def halves(params, kept, inputs, key):
        styles = jnp.repeat(inputs[:, None], layers, 1)
        return styles, lambda styles: styles.mean(1) @ params

    return halves


def drawn(gan, n: int):
    """Latents and noise of a step with `KEY`."""
    z = gan.inputs(stream(KEY, "latents"), n)
    keys = per_example(stream(KEY, "noise"), n)
    return z, np.array([jax.random.normal(key, (3,)) for key in keys])


def test_path_lengths_of_a_linear_generator_are_those_of_its_matrix():
    gan = linear_gan()
    _, noise = drawn(gan, 8)
    lengths = np.linalg.norm(noise @ A.T, axis=1)
    for halves, shared in ((None, lengths), (halves_of(4), lengths / 4)):
        update = path_length(gan, 3.0, halves=halves, decay=0.75)
        state = init(gan, KEY, BATCH, update).with_extra(path_length=jnp.float32(2.0))
        state, metrics = jax.jit(update.apply)(state, BATCH, KEY)
        average = 0.75 * 2 + 0.25 * shared.mean()
        close(state.extra["path_length"], average)
        close(metrics["path_penalty"], 3 * ((shared - average) ** 2).mean())


def test_noise_of_images_has_unit_size():
    """Of orthogonal columns of length c, the mean square of lengths is c^2 d / (H W)."""
    columns = 3 * np.linalg.qr(np.random.default_rng(0).normal(size=(8, 2)))[0]

    def apply(w, kept, inputs, *_):
        return (inputs @ w).reshape(-1, 4, 2, 1), kept

    network = Network(lambda key, inputs: (jnp.asarray(columns.T, jnp.float32), {}), apply)
    gan = linear_gan()
    gan = replace(gan, generator=network, discriminator=linen(Plain()), real=lambda b: b["a"])
    update = path_length(gan, 1.0, decay=0.0)
    batch = {"a": jnp.zeros((4000, 1))}
    _, metrics = jax.jit(update.apply)(init(gan, KEY, batch, update), batch, KEY)
    squares = metrics["path_length"] ** 2 + metrics["path_penalty"]  # mean^2 + variance
    np.testing.assert_allclose(squares, 9 * 2 / 8, rtol=0.05)


def test_a_flat_generator_has_no_gradient_of_path_lengths():
    gan = plain_gan()
    update = path_length(gan)
    state = init(gan, KEY, BATCH, update)
    flat = jax.tree.map(jnp.zeros_like, state.generator.params)
    state = state.replace(generator=state.generator.replace(params=flat))
    after, metrics = jax.jit(update.apply)(state, BATCH, KEY)
    assert metrics["path_length"] == 0 and all(
        (x == 0).all() for x in jax.tree.leaves(after.generator.params)
    )


def test_what_regularizers_draw_and_keep_is_the_same_on_two_devices():
    gan = plain_gan(
        discriminator_terms=lambda play: lecam_term(play) + latent_consistency(0.5, 3.0)(play),
        generator_terms=latent_diversity(0.5, 7.0),
    )
    update = chain(track_scores(update_both(gan), 0.5), every(1, on_part(path_length(gan), 0, 2)))
    state = init(gan, KEY, BATCH, update)
    one, expected = jax.jit(make_step(update))(state, BATCH, KEY)
    halves = {"image": BATCH["image"].reshape(2, 4, 3)}
    step = make_step(update, axis_name="devices")
    mapped = jax.pmap(step, "devices", in_axes=(None, 0, None), devices=jax.devices()[:2])
    two, found = jax.device_get(mapped(state, halves, KEY))
    jax.tree.map(lambda a, b: close(b[1], a), (one, expected), (two, found))


@pytest.mark.slow
def test_path_lengths_of_stylegan2_are_by_its_styles():
    generator = stylegan2.Generator((4, 3), 1, style_size=5, mapping_depth=2)

    def halves(params, collections, latents, key):
        variables = {"params": params, **collections}
        rngs = {"params": key}
        styles, _ = generator.apply(
            variables, latents, train=True, method="to_styles", rngs=rngs, mutable="batch_stats"
        )
        return styles, lambda styles: generator.apply(
            variables, styles, method="to_images", rngs=rngs
        )

    gan = plain_gan(
        generator=linen(generator),
        discriminator=linen(stylegan2.Discriminator((4, 3))),
        inputs=latents.normal(6),
        generator_optimizer=lazy_adam(2, 1e-3, 0.0, 0.99),
    )
    update = every(2, path_length(gan, halves=halves))
    batch = {"image": jnp.zeros((4, 8, 8, 1))}
    state = init(gan, KEY, batch, update)
    step = jax.jit(make_step(update))
    counts = []
    for _ in range(3):
        state, _ = step(state, batch, KEY)
        counts.append(int(state.generator.opt_state[0].count))
    assert counts == [1, 1, 2] and state.extra["path_length"] > 0
