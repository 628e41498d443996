"""Terms against what one works out on paper."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from tiny_systems import Plain, small_gan

from jaxgan import terms
from jaxgan.core.gan import init
from jaxgan.core.networks import linen
from jaxgan.core.steps import make_step
from jaxgan.core.updates import update_both
from jaxgan.losses import separable

LABELS = jnp.array([1, 0, 2])
draw = np.random.default_rng(0).normal


def log_softmax(logits, labels) -> np.ndarray:
    logits, rows = np.asarray(logits), np.arange(len(labels))
    return logits[rows, labels] - np.log(np.exp(logits).sum(1))


def test_an_auxiliary_classifier_learns_both_kinds():
    real, fake = draw(size=(2, 3, 3))
    found = terms.auxiliary_classifier.discriminator(real, fake, LABELS)
    by_hand = -log_softmax(real, LABELS) - log_softmax(fake, LABELS)
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    found = terms.auxiliary_classifier.generator(fake, LABELS)
    np.testing.assert_allclose(found, -log_softmax(fake, LABELS), rtol=1e-5)


def test_of_twin_classifiers_one_learns_reals_and_the_other_fakes():
    real, fake, twin = draw(size=(3, 3, 3))
    unused = np.full((3, 3), np.nan)
    found = terms.twin_classifiers.discriminator((real, unused), (unused, twin), LABELS)
    by_hand = -log_softmax(real, LABELS) - log_softmax(twin, LABELS)
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    found = terms.twin_classifiers.generator((fake, twin), LABELS)
    by_hand = log_softmax(twin, LABELS) - log_softmax(fake, LABELS)
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    assert terms.twin_classifiers.generator((fake, fake), LABELS).tolist() == [0] * 3


def test_a_discriminative_classifier_has_two_classes_of_each():
    real, fake = draw(size=(2, 3, 6))
    found = terms.discriminative_classifier.discriminator(real, fake, LABELS)
    by_hand = -log_softmax(real, [2, 0, 4]) - log_softmax(fake, [3, 1, 5])
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    found = terms.discriminative_classifier.generator(fake, LABELS)
    by_hand = log_softmax(fake, [3, 1, 5]) - log_softmax(fake, [2, 0, 4])
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    undecided = np.repeat(fake[:, ::2], 2, axis=1)
    assert terms.discriminative_classifier.generator(undecided, LABELS).tolist() == [0] * 3


def at(*degrees: float) -> jax.Array:
    angles = np.radians(degrees)
    return jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], 1))


def four():
    """Embeddings, proxies and labels, at angles."""
    return at(0, 30, 100, 160), at(10, 10, 120, 120), jnp.array([0, 0, 1, 1])


CONTRASTS = {
    "contrastive": (terms.contrastive, 0.2981748),
    "data_to_data": (terms.data_to_data, 1.3367569),
}
contrasts = pytest.mark.parametrize("name", CONTRASTS)


@contrasts
def test_contrasts_are_of_directions_and_of_no_order(name):
    function, mean = jax.jit(CONTRASTS[name][0]), CONTRASTS[name][1]
    with jax.enable_x64(True):
        embeddings, proxies, labels = four()
        found = function(embeddings, proxies, labels)
        np.testing.assert_allclose(found.mean(), mean, atol=5e-8)
        order = np.array([2, 0, 3, 1])
        moved = function(3 * embeddings[order], proxies[order] / 7, labels[order])
        np.testing.assert_allclose(moved, found[order], rtol=1e-12)


@contrasts
def test_contrasts_are_finite_at_zero_and_in_a_batch_of_one_class(name):
    function, _ = CONTRASTS[name]

    @jax.jit
    @jax.value_and_grad
    def run(embeddings):
        return function(embeddings, at(0, 90), jnp.zeros(2, int)).sum()

    value, slopes = run(jnp.zeros((2, 2)))
    assert np.isfinite(value) and np.isfinite(slopes).all()


def test_data_to_data_leaves_alone_what_is_near_its_proxy_and_far_from_other_classes():
    @jax.jit
    @jax.grad
    def slopes(embeddings):
        _, proxies, labels = four()
        return terms.data_to_data(embeddings, proxies, labels).sum()

    assert (slopes(at(9, 12, 119, 121)) == 0).all()
    assert (jnp.abs(slopes(at(9, 40, 119, 121))).max(1) > 0).tolist() == [False, True, True, True]


class Embedding(nn.Module):
    @nn.compact
    def __call__(self, inputs, train: bool):
        x = jnp.tanh(nn.Dense(4)(inputs))
        return {"score": nn.Dense(1)(x)[:, 0], "embedding": nn.Dense(3)(x), "features": x}


def test_terms_of_the_whole_batch_are_the_same_on_two_devices():
    def contrast(outputs, batch):
        embeddings, labels = outputs["embedding"], batch["label"]
        proxies = jnp.eye(3)[labels]
        found = [function(embeddings, proxies, labels) for function, _ in CONTRASTS.values()]
        return found[0] + found[1]

    sgd = optax.sgd(0.1)
    gan = small_gan(
        generator=linen(Plain(3)),
        discriminator=linen(Embedding()),
        loss=terms_only(),
        generator_optimizer=sgd,
        discriminator_optimizer=sgd,
        discriminator_terms=lambda play: contrast(play.real_outputs, play.batch),
        generator_terms=lambda play: (
            contrast(play.fake_outputs, play.batch)
            + terms.feature_matching(play.real_outputs["features"], play.fake_outputs["features"])
        ),
    )
    key, update = jax.random.key(0), update_both(gan)
    batch = {"image": jnp.asarray(draw(size=(6, 3)), jnp.float32), "label": jnp.arange(6) // 2}
    state = init(gan, key, batch)
    one, expected = jax.jit(make_step(update))(state, batch, key)
    halves = jax.tree.map(lambda x: x.reshape(2, 3, *x.shape[1:]), batch)
    step = make_step(update, axis_name="devices")
    mapped = jax.pmap(step, "devices", in_axes=(None, 0, None), devices=jax.devices()[:2])
    two, found = jax.device_get(mapped(state, halves, key))
    for term in ("terms_d", "terms_g"):
        np.testing.assert_allclose(found[term], np.full(2, expected[term]), rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(b[1], a, rtol=1e-4, atol=1e-6),
        (one.generator.params, one.discriminator.params),
        (two.generator.params, two.discriminator.params),
    )


def terms_only():
    """A loss that leaves all learning to the terms."""
    zero = lambda outputs: 0 * outputs["score"]  # noqa: E731
    return separable(zero, zero, zero)


def test_codes_that_are_read_off_cost_their_entropy_alone():
    codes = jnp.array([[0.5, -1.0], [0.0, 2.0]])
    constant = np.log(2 * np.pi)  # half of it for each of two codes
    np.testing.assert_allclose(terms.gaussian_code(codes, codes), [constant] * 2, rtol=1e-6)
    means = codes + jnp.array([[1.0, 0.0], [2.0, -2.0]])
    found = terms.gaussian_code(codes, means)
    np.testing.assert_allclose(found, constant + np.array([0.5, 4.0]), rtol=1e-6)
    found = terms.gaussian_code(codes, means, jnp.full((2, 2), 4.0))
    np.testing.assert_allclose(found, constant + np.log(4) + np.array([0.125, 1.0]), rtol=1e-6)


def test_feature_matching_compares_means_of_the_batch():
    real, fake = jnp.array([[1.0, 0.0], [3.0, 2.0]]), jnp.array([[2.0, 4.0], [0.0, 0.0]])
    found, slopes = jax.value_and_grad(lambda f: terms.feature_matching(real, f).mean())(fake)
    assert terms.feature_matching(real, fake).tolist() == [1, 1] and found == 1
    assert slopes.tolist() == [[-0.25, 0.25]] * 2  # of features below and above those of reals


def test_misalignment_is_of_directions():
    found, wanted = jnp.asarray(draw(size=(2, 3, 5, 4)))
    cosines = [
        [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*each, strict=True)]
        for each in zip(np.asarray(found), np.asarray(wanted), strict=True)
    ]
    expected = 1 - np.mean(cosines, 1)
    np.testing.assert_allclose(terms.misalignment(found, 7 * wanted), expected, rtol=1e-5)
    np.testing.assert_allclose(terms.misalignment(found, found), 0, atol=1e-6)
    np.testing.assert_allclose(terms.misalignment(found, -found), 2, rtol=1e-6)
    slope = jax.grad(lambda x: terms.misalignment(x, wanted).sum())(jnp.zeros_like(found))
    assert np.isfinite(slope).all()


def test_lecam_keeps_scores_near_the_average_of_the_other_kind():
    real, fake, means = jnp.array([1.0, 2.0, -1.0]), jnp.array([0.0, -2.0, 3.0]), (0.5, -0.5)
    np.testing.assert_allclose(terms.lecam(real, fake, *means).mean(), 7.1666667, rtol=1e-6)
    np.testing.assert_allclose(terms.one_sided_lecam(real, fake, *means).mean(), 5, rtol=1e-6)
    crossed = terms.one_sided_lecam(jnp.array([-0.5, -3.0]), jnp.array([0.5, 2.0]), *means)
    assert crossed.tolist() == [0, 0]
