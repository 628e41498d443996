from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgan import axes, losses
from jaxgan.losses import Loss, separable

LOG2 = 0.6931471805599453
SEPARABLE = {
    "binary_cross_entropy": losses.binary_cross_entropy,
    "non_saturating": losses.non_saturating,
    "least_squares": losses.least_squares,
    "hinge": losses.hinge,
    "wasserstein": losses.wasserstein,
    "minimax": losses.minimax,
}
ALL = SEPARABLE | {"relativistic": losses.relativistic}

# score: (D's loss on it as a real, D's loss on it as a fake, G's loss on it as a fake)
VALUES = {
    "binary_cross_entropy": {  # of sigmoids 0, 0.1, 0.5, 0.75 and 1
        -1e4: (100.0, 0.0, 100.0),
        -2.1972245773362196: (2.302585092994046, 0.10536051565782628, 2.302585092994046),
        0.0: (LOG2, LOG2, LOG2),
        1.0986122886681098: (0.2876820724517809, 1.3862943611198906, 0.2876820724517809),
        1e4: (0.0, 100.0, 0.0),
    },
    "non_saturating": {
        -1e4: (1e4, 0.0, 1e4),
        -2.0: (2.1269280110429727, 0.1269280110429726, 2.1269280110429727),
        0.0: (LOG2, LOG2, LOG2),
        1.0: (0.31326168751822286, 1.3132616875182228, 0.31326168751822286),
        1e4: (0.0, 1e4, 0.0),
    },
    "least_squares": {
        -2.0: (9.0, 4.0, 9.0),
        0.0: (1.0, 0.0, 1.0),
        0.5: (0.25, 0.25, 0.25),
        1.0: (0.0, 1.0, 0.0),
        3.0: (4.0, 9.0, 4.0),
    },
    "hinge": {
        -2.0: (3.0, 0.0, 2.0),
        -1.0: (2.0, 0.0, 1.0),
        0.0: (1.0, 1.0, 0.0),
        0.5: (0.5, 1.5, -0.5),
        1.0: (0.0, 2.0, -1.0),
        4.0: (0.0, 5.0, -4.0),
    },
    "wasserstein": {
        -2.0: (2.0, -2.0, 2.0),
        0.0: (0.0, 0.0, 0.0),
        3.5: (-3.5, 3.5, -3.5),
    },
    "minimax": {
        -1e4: (1e4, 0.0, 0.0),
        -2.0: (2.1269280110429727, 0.1269280110429726, -0.1269280110429726),
        0.0: (LOG2, LOG2, -LOG2),
        1.0: (0.31326168751822286, 1.3132616875182228, -1.3132616875182228),
        1e4: (0.0, 1e4, -1e4),
    },
}


def parts(loss: Loss):
    assert loss.real is not None and loss.fake is not None
    return loss.real, loss.fake


def slope(function, at) -> list[float]:
    return jax.vmap(jax.grad(lambda score: function(score[None])[0]))(jnp.asarray(at)).tolist()


@pytest.mark.parametrize("name", SEPARABLE)
def test_values(name):
    scores = jnp.array(list(VALUES[name]))
    real, fake, generator = np.array(list(VALUES[name].values())).T
    loss = SEPARABLE[name]
    on_real, on_fake = parts(loss)
    np.testing.assert_allclose(on_real(scores), real, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(on_fake(scores), fake, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(loss.generator(scores, None), generator, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", SEPARABLE)
def test_the_discriminators_loss_is_the_sum_of_its_halves(name):
    scores = list(VALUES[name])
    real = jnp.repeat(jnp.array(scores), len(scores))
    fake = jnp.tile(jnp.array(scores), len(scores))
    expected = [VALUES[name][r][0] + VALUES[name][f][1] for r in scores for f in scores]
    found = SEPARABLE[name].discriminator(real, fake)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", SEPARABLE)
def test_the_generators_loss_looks_at_fakes_alone(name):
    fake = jnp.array([0.1, 0.9])
    loss = SEPARABLE[name].generator
    np.testing.assert_array_equal(loss(fake, None), loss(fake, jnp.array([0.3, 0.2])))


def test_relativistic_losses_pair_each_real_with_one_fake():
    real, fake = jnp.array([2.0, -1.0, 0.0, 1e4, -1e4]), jnp.array([1.0, 0.0, 0.0, -1e4, 1e4])
    assert losses.relativistic.real is None and losses.relativistic.fake is None
    # softplus of fake - real for D, of real - fake for G.
    np.testing.assert_allclose(
        losses.relativistic.discriminator(real, fake),
        [0.31326168751822286, 1.3132616875182228, LOG2, 0, 2e4],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        losses.relativistic.generator(fake, real),
        [1.3132616875182228, 0.31326168751822286, LOG2, 2e4, 0],
        rtol=1e-6,
    )
    swapped = losses.relativistic.discriminator(real, fake[jnp.array([1, 0, 2, 3, 4])])
    assert not np.allclose(swapped, losses.relativistic.discriminator(real, fake))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("batch", [1, 3])
def test_losses_are_per_sample(name, batch):
    real, fake = jnp.full(batch, 0.3), jnp.full(batch, 0.6)
    assert ALL[name].discriminator(real, fake).shape == (batch,)
    assert ALL[name].generator(fake, real).shape == (batch,)


@pytest.mark.parametrize("name", ALL)
def test_losses_of_patches_are_one_for_each(name):
    real, fake = jax.random.normal(jax.random.key(0), (2, 2, 3, 4))
    for loss in (ALL[name], losses.from_logits(ALL[name])):
        found = loss.discriminator(real, fake), loss.generator(fake, real)
        reals, fakes = real.ravel(), fake.ravel()
        flat = loss.discriminator(reals, fakes), loss.generator(fakes, reals)
        for of_patches, of_each in zip(found, flat, strict=True):
            assert of_patches.shape == real.shape
            np.testing.assert_allclose(of_patches.ravel(), of_each, rtol=1e-6)


def test_a_relativistic_average_is_over_patches_too():
    real, fake = jax.random.normal(jax.random.key(0), (2, 2, 3, 4))
    loss = losses.relativistic_average(losses.hinge)
    found, flat = loss.discriminator(real, fake), loss.discriminator(real.ravel(), fake.ravel())
    np.testing.assert_allclose(found.ravel(), flat, rtol=1e-6)


def test_top_k_refuses_patches():
    with pytest.raises(ValueError, match=r"top_k .* not by scores \(2, 3, 4\) of patches"):
        losses.top_k(1, losses.hinge).generator(jnp.zeros((2, 3, 4)), None)


def test_cross_entropy_of_an_impossible_probability_is_100_with_gradient_0():
    on_real, on_fake = parts(losses.binary_cross_entropy)
    assert on_real(jnp.array([-1e4])).tolist() == [100] and slope(on_real, [-1e4]) == [0]
    assert on_fake(jnp.array([1e4])).tolist() == [100] and slope(on_fake, [1e4]) == [0]
    low = [-87.0, -69.0]  # logarithms of normal float32 numbers stay above the bound of -100
    np.testing.assert_allclose(on_real(jnp.array(low)), -np.array(low), rtol=1e-6)
    with jax.enable_x64(True):  # where there are probabilities whose logarithm is below -100
        assert on_real(jnp.array([-138.0])).tolist() == [100]


SLOPES = {  # d/ds of D's loss on reals and on fakes, by the chain rule on paper
    "binary_cross_entropy": (lambda s: 1 / (1 + np.exp(-s)) - 1, lambda s: 1 / (1 + np.exp(-s))),
    "non_saturating": (lambda s: 1 / (1 + np.exp(-s)) - 1, lambda s: 1 / (1 + np.exp(-s))),
    "least_squares": (lambda s: 2 * (s - 1), lambda s: 2 * s),
    "hinge": (lambda s: -1.0 * (s < 1), lambda s: 1.0 * (s > -1)),
    "wasserstein": (lambda s: -np.ones_like(s), np.ones_like),
    "minimax": (lambda s: 1 / (1 + np.exp(-s)) - 1, lambda s: 1 / (1 + np.exp(-s))),
}
# Of G's loss, where it is not that of D's loss on reals.
OF_GENERATOR = {"hinge": lambda s: -np.ones_like(s), "minimax": lambda s: -1 / (1 + np.exp(-s))}


@pytest.mark.parametrize("name", SEPARABLE)
def test_gradients_are_the_analytic_ones(name):
    scores = np.array([-3.0, -0.4, 0.05, 0.3, 0.5, 0.95, 2.0])
    on_real, on_fake = parts(SEPARABLE[name])
    for half, expected in zip((on_real, on_fake), SLOPES[name], strict=True):
        np.testing.assert_allclose(slope(half, scores), expected(scores), rtol=1e-5)
    generator = OF_GENERATOR.get(name, SLOPES[name][0])(scores)
    loss = SEPARABLE[name]
    np.testing.assert_allclose(slope(lambda s: loss.generator(s, None), scores), generator, 1e-5)


AROUND_ZERO = separable(lambda s: (s - 1) ** 2, lambda s: (s + 1) ** 2, lambda s: (s - 1) ** 2)


@pytest.mark.parametrize(
    ("loss", "of_d", "of_g"),
    [
        (losses.non_saturating, 1.687369, 2.354036),  # RaSGAN
        (losses.hinge, 2 * 1.055556, 2 * 1.611111),  # RaHingeGAN, without the source's 1/2
        (AROUND_ZERO, 2 * 3.333333, 2 * 4.666667),  # RaLSGAN, likewise
    ],
    ids=["standard", "hinge", "least squares"],
)
def test_a_relativistic_average_is_against_the_mean_of_the_others(loss, of_d, of_g):
    real, fake = jnp.array([1.0, 2.0, -1.0]), jnp.array([0.0, -2.0, 3.0])
    average = losses.relativistic_average(loss)
    for shift in (0, 7):  # which changes nothing
        found = average.discriminator(real + shift, fake + shift), average.generator(fake, real)
        np.testing.assert_allclose([x.mean() for x in found], (of_d, of_g), rtol=2e-6)
    assert average.real is None and average.fake is None
    with pytest.raises(ValueError, match="pairs"):
        losses.relativistic_average(average)


def test_the_relativistic_gradients_are_opposite_sigmoids():
    real, fake = jnp.array([0.5, -2.0]), jnp.array([-0.25, 1.0])
    d = jax.grad(lambda r, f: losses.relativistic.discriminator(r, f).sum(), (0, 1))(real, fake)
    g = jax.grad(lambda f, r: losses.relativistic.generator(f, r).sum())(fake, real)
    trust = 1 / (1 + np.exp(np.asarray(real) - np.asarray(fake)))  # sigmoid(fake - real)
    np.testing.assert_allclose(d, [-trust, trust], rtol=1e-6)
    np.testing.assert_allclose(g, trust - 1, rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_losses_are_finite_at_extremes(name):
    real, fake = jnp.array([1e4, 1e4, -1e4, -1e4]), jnp.array([1e4, -1e4, 1e4, -1e4])
    for loss in (ALL[name].discriminator, ALL[name].generator):
        value, pull = jax.vjp(loss, real, fake)
        assert np.isfinite(value).all()
        assert all(np.isfinite(gradient).all() for gradient in pull(jnp.ones(4)))


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.floats(-15, 15), st.floats(-15, 15)), min_size=1, max_size=5))
def test_cross_entropy_by_way_of_probabilities_is_the_non_saturating_loss(pairs):
    with jax.enable_x64(True):
        real, fake = jnp.array(pairs).T
        ours, theirs = losses.non_saturating, losses.binary_cross_entropy
        same = partial(np.testing.assert_allclose, rtol=1e-6)
        same(ours.discriminator(real, fake), theirs.discriminator(real, fake))
        same(ours.generator(fake, None), theirs.generator(fake, None))


def test_a_loss_of_probabilities_becomes_one_of_logits():
    scores, others = jnp.array([-2.0, 0.5]), jnp.array([1.0, 0.25])
    p, q = jax.nn.sigmoid(scores), jax.nn.sigmoid(others)
    for loss in (losses.least_squares, losses.relativistic):
        found = losses.from_logits(loss)
        np.testing.assert_array_equal(found.discriminator(scores, others), loss.discriminator(p, q))
        np.testing.assert_array_equal(found.generator(scores, others), loss.generator(p, q))
        for half, expected in ((found.real, loss.real), (found.fake, loss.fake)):
            assert (half is None) == (expected is None)
            if half is not None and expected is not None:
                np.testing.assert_array_equal(half(scores), expected(p))
    alone = losses.from_logits(losses.least_squares).generator(scores, None)
    np.testing.assert_array_equal(alone, losses.least_squares.generator(p, None))


def test_separable_builds_a_loss_of_its_three_parts():
    loss = separable(real=lambda s: 2 * s, fake=lambda s: s + 10, generator=lambda s: -s)
    on_real, on_fake = parts(loss)
    s, t = jnp.array([1.0, 2.0]), jnp.array([0.5, 0.0])
    assert on_real(s).tolist() == [2, 4] and on_fake(t).tolist() == [10.5, 10]
    assert loss.discriminator(s, t).tolist() == [12.5, 14]
    assert loss.generator(t, s).tolist() == [-0.5, 0]


@pytest.mark.parametrize("loss", [losses.hinge, losses.relativistic])
def test_a_loss_can_look_at_one_of_several_outputs(loss):
    real, fake = jnp.array([0.5, -2.0]), jnp.array([1.5, 0.25])
    outputs: list[Any] = [
        {"score": scores, "other": jnp.full(2, jnp.nan)} for scores in (real, fake)
    ]
    mapped = losses.map_outputs(lambda outputs: outputs["score"], loss)
    np.testing.assert_array_equal(mapped.discriminator(*outputs), loss.discriminator(real, fake))
    np.testing.assert_array_equal(mapped.generator(*outputs[::-1]), loss.generator(fake, real))
    assert (mapped.real is None, mapped.fake is None) == (loss.real is None, loss.fake is None)
    if mapped.real is not None and mapped.fake is not None:
        np.testing.assert_array_equal(mapped.real(outputs[0]), loss.real(real))
        np.testing.assert_array_equal(mapped.fake(outputs[1]), loss.fake(fake))


def test_the_multi_class_hinge_wants_a_class_to_lead_all_others_by_one():
    scores, labels = jnp.array([[2, 0.5, -1, 0], [0, 1, 0.2, 3]]), jnp.array([0, 1])
    assert losses.crammer_singer(scores, labels).tolist() == [0, 3]
    slopes = jax.grad(lambda s: losses.crammer_singer(s, labels).sum())(scores)
    assert slopes.tolist() == [[0, 0, 0, 0], [0, -1, 0, 1]]


def test_the_multi_hinge_loss_has_a_class_of_fakes():
    scores, labels = jnp.array([[2, 0.5, -1, 0], [0, 1, 0.2, 3]]), jnp.array([0, 1])
    loss: Any = losses.multi_hinge
    outputs = (scores, labels)
    assert loss.discriminator(outputs, outputs).tolist() == [0 + 3, 3 + 0]  # class 3 is "fake"
    assert loss.generator(outputs, None).tolist() == [0, 3]


@pytest.mark.parametrize("loss", [losses.hinge, losses.relativistic], ids=["hinge", "relativistic"])
def test_top_k_learns_from_the_fakes_that_are_scored_highest(loss):
    fake, real = jnp.array([0.5, -2.0, 3.0, 0.5]), jnp.array([1.0, 0.0, -1.0, 2.0])
    plain = loss.generator(fake, real)

    def mean(fake, k):
        return losses.top_k(k, loss).generator(fake, real).mean()

    for k in (4, 9):  # the batch may be smaller
        np.testing.assert_array_equal(losses.top_k(k, loss).generator(fake, real), plain)
    for k, best in (
        (0, [2]),
        (1, [2]),
        (1.99, [2]),
        (2, [2, 0]),
        (3, [2, 0, 3]),
    ):  # of equals, the first
        found, slope = jax.jit(jax.value_and_grad(mean))(fake, k)
        np.testing.assert_allclose(found, plain[np.array(best)].mean(), rtol=1e-6)
        assert np.flatnonzero(slope).tolist() == sorted(best)
    same = losses.top_k(1, loss)
    assert (same.discriminator, same.real, same.fake) == (loss.discriminator, loss.real, loss.fake)


def test_the_sources_k_reaches_half_of_the_batch_after_69_epochs():
    k = optax.exponential_decay(100.0, 10, 0.99, staircase=True, end_value=50.0)
    found = [np.asarray(k(10 * epoch + 9)) for epoch in (0, 1, 68, 69, 100)]
    np.testing.assert_allclose(found, [100, 99, 100 * 0.99**68, 50, 50], rtol=1e-6)


def test_top_k_is_of_the_whole_batch_on_two_devices():
    fake = jnp.array([0.5, -2.0, 3.0, 0.5, 4.0, 0.5])
    loss = losses.top_k(3, losses.hinge)

    def generator(fake):
        with axes.spread("devices"):
            return loss.generator(fake, None)

    mapped = jax.pmap(generator, "devices", devices=jax.devices()[:2])(fake.reshape(2, 3))
    np.testing.assert_array_equal(mapped.ravel(), loss.generator(fake, None))
