"""Penalties against what one works out on paper, and against Flax's networks."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_systems import Plain, small_gan

from jaxgan import losses
from jaxgan.core.gan import init
from jaxgan.core.networks import linen
from jaxgan.core.steps import make_step
from jaxgan.core.updates import update_both
from jaxgan.nn.layers import Conv, ConvTranspose
from jaxgan.penalties import (
    approximate_r1,
    approximate_r2,
    consistency,
    dragan,
    gradient_penalty,
    on_fakes,
    r1,
    r2,
    steepest,
    total,
    zero_centered,
)

KEYS = jax.random.split(jax.random.key(0), 5)
SHAPES = [(3,), (4, 2, 3)]  # of a vector, of an image


def examples(shape: tuple[int, ...], n: int = 5):
    draw = np.random.default_rng(0).normal
    return jnp.asarray(draw(size=(n, *shape))), jnp.asarray(draw(size=(n, *shape)))


def linear(w):
    return lambda x: x.reshape(len(x), -1) @ w.ravel() + 0.5


def quadratic(matrix):
    """Whose slope at x is `matrix @ x`."""
    return lambda x: jnp.einsum("bi,ij,bj->b", x, matrix, x) / 2


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("length", [0.3, 1.0, 4.0])
def test_penalties_of_a_linear_critic_and_their_gradients_are_those_of_its_slope(shape, length):
    with jax.enable_x64(True):
        real, fake = examples(shape)
        w = jnp.asarray(np.random.default_rng(1).normal(size=shape))
        w *= length / jnp.linalg.norm(w)
        cases = [
            (gradient_penalty(7.0), 7 * (length - 1) ** 2, 14 * (1 - 1 / length) * w),
            (r1(3.0), 1.5 * length**2, 3 * w),
            (r2(0.5), 0.25 * length**2, 0.5 * w),
            (dragan(7.0), 7 * (length - 1) ** 2, 14 * (1 - 1 / length) * w),
            (zero_centered(3.0), 3 * length**2, 6 * w),
            (steepest(3.0), 3 * length**2, 6 * w),
        ]
        for penalty, value, slope in cases:

            def mean(w, penalty=penalty):
                found = penalty(linear(w), real, fake, KEYS)
                return found.mean(), found

            gradient, found = jax.grad(mean, has_aux=True)(w)
            np.testing.assert_allclose(found, np.full(5, value), rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-12)


@settings(derandomize=True, deadline=None, max_examples=8)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 10))
def test_zero_centered_penalties_of_a_quadratic_critic(seed, gamma):
    draw = np.random.default_rng(seed).normal
    with jax.enable_x64(True):
        half, real, fake = (jnp.asarray(draw(size=(n, 3))) for n in (3, 5, 5))
        matrix = half + half.T
        for penalty, at in ((r1(gamma), real), (r2(gamma), fake)):

            def mean(matrix, penalty=penalty):
                found = penalty(quadratic((matrix + matrix.T) / 2), real, fake, KEYS)
                return found.mean(), found

            gradient, found = jax.grad(mean, has_aux=True)(matrix)
            slopes = np.asarray(at @ matrix)
            np.testing.assert_allclose(found, gamma / 2 * (slopes**2).sum(1), rtol=1e-9)
            outer = gamma / 5 * slopes.T @ np.asarray(at)
            np.testing.assert_allclose(gradient, (outer + outer.T) / 2, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_gradient_penalty_looks_between_each_real_and_its_fake(shape):
    with jax.enable_x64(True):
        real, fake = examples(shape, 400)
        keys = jax.random.split(jax.random.key(1), 400)
        # A critic whose slope is where it looks: its penalty tells the length of that place.
        penalty = gradient_penalty(1.0)
        found = penalty(lambda x: (x**2).reshape(len(x), -1).sum(1) / 2, real, fake, keys)
        shares = np.array([jax.random.uniform(key, dtype=float) for key in keys])
        each = shares.reshape(-1, *[1] * len(shape))
        places = (each * real + (1 - each) * fake).reshape(400, -1)
        np.testing.assert_allclose(found, (np.linalg.norm(places, axis=1) - 1) ** 2, rtol=1e-9)
        assert abs(shares.mean() - 0.5) < 0.05 and shares.min() < 0.02 and shares.max() > 0.98


def test_zero_centered_and_steepest_look_where_the_gradient_penalty_does():
    real, fake = examples((3,))
    critic = quadratic(10 * jnp.diag(jnp.arange(1.0, 4.0)))  # steeper than 1 everywhere
    slopes = 1 + jnp.sqrt(gradient_penalty(1.0)(critic, real, fake, KEYS))
    found = zero_centered(2.0)(critic, real, fake, KEYS)
    np.testing.assert_allclose(found, 2 * slopes**2, rtol=1e-6)
    worst = steepest(2.0)(critic, real, fake, KEYS)
    np.testing.assert_allclose(worst, np.full(5, 2 * slopes.max() ** 2), rtol=1e-6)


@pytest.mark.parametrize("penalty", [dragan(), approximate_r1(1.0)])
def test_parts_of_an_example_get_noise_of_their_own(penalty):
    keys = jax.random.split(jax.random.key(3), 9)
    real = {name: jnp.zeros((9, 2)).at[0].set(1.0) for name in "ab"}
    # Flat where both parts are alike.
    found = penalty(lambda x: ((x["a"] - x["b"]) ** 2).sum(1), real, real, keys)
    assert np.std(found) > 0


@pytest.mark.parametrize("deviation", [1.0, 4.0])
def test_dragan_looks_beside_reals_within_half_a_deviation(deviation):
    real = deviation * jnp.where(jnp.arange(4000) % 2 == 0, 1.0, -1.0)[:, None]
    keys = jax.random.split(jax.random.key(2), 4000)
    # The slope of x^2 / 2 is x, and x lies above its real by a / 2 * deviation * u.
    found = dragan(1.0)(lambda x: (x[:, 0] ** 2) / 2, real, real, keys)[::2]
    above = 1 + np.sqrt(found) - deviation if deviation > 1 else np.sqrt(found)
    assert above.min() >= -1e-5 and above.max() <= deviation / 2
    np.testing.assert_allclose(above.mean(), deviation / 8, rtol=0.05)
    np.testing.assert_allclose((above**2).mean(), deviation**2 / 36, rtol=0.08)


def test_what_is_of_the_whole_batch_is_the_same_on_two_devices():
    gan = small_gan(
        discriminator=linen(Plain()),
        loss=losses.relativistic_average(losses.non_saturating),
        penalty=total(dragan(1.0), steepest(0.1), consistency(push)),
        generator_optimizer=optax.sgd(0.1),
        discriminator_optimizer=optax.sgd(0.1),
    )
    update, key = update_both(gan), jax.random.key(0)
    batch = {"image": jnp.asarray(np.random.default_rng(0).normal(1, 2, (8, 3)), jnp.float32)}
    state = init(gan, key, batch)
    one, expected = jax.jit(make_step(update))(state, batch, key)
    halves = {"image": batch["image"].reshape(2, 4, 3)}
    step = make_step(update, axis_name="devices")
    mapped = jax.pmap(step, "devices", in_axes=(None, 0, None), devices=jax.devices()[:2])
    two, found = jax.device_get(mapped(state, halves, key))
    for name in ("loss_d", "loss_g", "penalty"):
        np.testing.assert_allclose(found[name], np.full(2, expected[name]), rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(b[1], a, rtol=1e-4, atol=1e-6),
        (one.generator.params, one.discriminator.params),
        (two.generator.params, two.discriminator.params),
    )


def test_what_is_drawn_for_a_sample_depends_on_its_key_alone():
    real, fake = examples((3,))
    critic = quadratic(jnp.diag(jnp.arange(1.0, 4.0)))
    penalty = gradient_penalty()
    whole = penalty(critic, real, fake, KEYS)
    parts = [
        penalty(critic, real[part], fake[part], KEYS[part]) for part in np.split(range(5), [2])
    ]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-6)


def test_a_flat_critic_pays_the_whole_weight_and_gets_no_gradient():
    real, fake = examples((3,))

    def mean(w):
        found = gradient_penalty(10.0)(linear(w), real, fake, KEYS)
        return found.mean(), found

    gradient, found = jax.grad(mean, has_aux=True)(jnp.zeros(3))
    assert found.tolist() == [10] * 5 and gradient.tolist() == [0] * 3


def push(x, key):
    """Moves an example, vector or image, along all of its axes by a number that is drawn."""
    return x + jax.random.uniform(key, dtype=x.dtype)


def test_consistency_is_about_what_an_augmentation_changes():
    with jax.enable_x64(True):
        real, fake = examples((3,))
        w = jnp.array([0.5, -1.0, 2.0])
        moves = np.array([1.5 * jax.random.uniform(key, dtype=float) for key in KEYS])
        for penalty in (consistency(push, 3.0), on_fakes(consistency(push, 3.0))):

            @jax.jit
            @partial(jax.value_and_grad, has_aux=True)
            def run(w, penalty=penalty):
                found = penalty(linear(w), real, fake, KEYS)
                return found.mean(), found

            (_, found), slope = run(w)
            np.testing.assert_allclose(found, 3 * moves**2, rtol=1e-12)
            np.testing.assert_allclose(slope, [4 * (moves**2).mean()] * 3, rtol=1e-12)
        still = consistency(lambda x, key: x)(linear(w), real, fake, KEYS)
        assert still.tolist() == [0] * 5


def noise(shape: tuple[int, ...], keys=KEYS):
    """The directions in which approximate penalties look."""
    draw = partial(jax.random.normal, shape=shape, dtype=float)
    return jax.vmap(lambda key: draw(jax.random.fold_in(key, 0)))(keys)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_approximate_penalties_of_a_linear_critic(shape):
    keys = jax.random.split(jax.random.key(1), 4000)
    with jax.enable_x64(True):
        real, fake = examples(shape, len(keys))
        w = jnp.asarray(np.random.default_rng(1).normal(size=shape))
        along = np.asarray(linear(w)(noise(shape, keys))) - 0.5
        for penalty in (approximate_r1(3.0), approximate_r2(3.0, 0.1)):
            found = penalty(linear(w), real, fake, keys)
            np.testing.assert_allclose(found, 1.5 * along**2, rtol=1e-8, atol=1e-9)
            exact = r1(3.0)(linear(w), real, fake, keys)
            np.testing.assert_allclose(found.mean(), exact.mean(), rtol=0.1)


def test_approximate_penalties_look_at_reals_or_at_fakes():
    keys = jax.random.split(jax.random.key(1), 20_000)
    with jax.enable_x64(True):
        real, fake = (jnp.repeat(x, len(keys), 0) for x in examples((3,), 1))
        critic = quadratic(jnp.diag(jnp.arange(1.0, 4.0)))
        for close, exact in (
            (approximate_r1(2.0, 1e-4), r1(2.0)),
            (approximate_r2(2.0, 1e-4), r2(2.0)),
        ):
            found, expected = (each(critic, real, fake, keys).mean() for each in (close, exact))
            np.testing.assert_allclose(found, expected, rtol=0.03)


def test_approximate_penalties_do_without_slopes():
    real, fake = examples((3,))

    def program(penalty) -> str:
        def run(real, fake):
            return penalty(lambda x: jnp.sin(x).sum(1), real, fake, KEYS)

        return str(jax.make_jaxpr(run)(real, fake))

    assert " cos " in program(r1(1.0))
    assert " cos " not in program(total(approximate_r1(1.0), approximate_r2(1.0)))


def by_label(example):
    image, label = example
    assert jnp.issubdtype(label.dtype, jnp.integer)
    return linear(jnp.arange(3.0))(image) * label


def test_approximate_penalties_leave_labels_alone():
    real, fake = examples((3,))
    labels = jnp.arange(5)

    found = approximate_r1(2.0)(by_label, (real, labels), (fake, labels), KEYS)
    alone = approximate_r1(2.0)(lambda x: by_label((x, labels)), real, fake, KEYS)
    np.testing.assert_allclose(found, alone, rtol=1e-6)


def test_balanced_consistency_looks_at_reals_and_at_fakes():
    real, fake = examples((3,))
    critic = quadratic(jnp.diag(jnp.arange(1.0, 4.0)))
    parts = [
        weight * (critic(x + jax.vmap(partial(push, jnp.zeros((1,))))(KEYS)) - critic(x)) ** 2
        for x, weight in ((real, 10), (fake, 10))
    ]
    both = total(consistency(push), on_fakes(consistency(push)))(critic, real, fake, KEYS)
    np.testing.assert_allclose(both, np.sum(parts, 0), rtol=1e-5)


def test_a_total_is_a_sum():
    real, fake = examples((3,))
    critic = quadratic(jnp.diag(jnp.arange(1.0, 4.0)))
    parts = [gradient_penalty(2.0), r1(1.0), r2(3.0)]
    found = total(*parts)(critic, real, fake, KEYS)
    expected = sum(np.asarray(part(critic, real, fake, KEYS)) for part in parts)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(
        total(r1(1.0))(critic, real, fake, KEYS), r1(1.0)(critic, real, fake, KEYS)
    )


@pytest.mark.parametrize(
    "penalty",
    [
        *(gradient_penalty(), r1(1.0), r2(1.0), dragan(), zero_centered(1.0), steepest()),
        *(consistency(push), approximate_r1(1.0), approximate_r2(1.0)),
    ],
)
def test_penalties_are_per_sample_and_keep_the_type_of_numbers(penalty):
    real, fake = (x.astype(jnp.float32) for x in examples((3,)))
    found = penalty(linear(jnp.ones(3)), real, fake, KEYS)
    assert (found.shape, found.dtype) == ((5,), jnp.float32)


@pytest.mark.parametrize(
    "penalty",
    [gradient_penalty(3.0), r1(2.0), r2(2.0), dragan(3.0), zero_centered(2.0), steepest()],
)
def test_slopes_are_by_floating_inputs_and_labels_are_handed_on(penalty):
    real, fake = examples((3,))
    labels = jnp.arange(5)

    def mean(weight):
        scaled = lambda example: weight * by_label(example)  # noqa: E731
        found = penalty(scaled, (real, labels), (fake, labels), KEYS)
        return found.mean(), found

    gradient, found = jax.grad(mean, has_aux=True)(1.0)
    alone = penalty(lambda x: by_label((x, labels)), real, fake, KEYS)
    np.testing.assert_allclose(found, alone, rtol=1e-6)
    assert gradient > 0


OURS = [Conv(3, 4, 2), ConvTranspose(2, 3, 2), Conv(2, 3, 1, "VALID")]
FLAX = [
    nn.Conv(3, (4, 4), (2, 2)),
    nn.ConvTranspose(2, (3, 3), (2, 2), transpose_kernel=True),
    nn.Conv(2, (3, 3), padding="VALID"),
]


def convolutional(layers, params):
    """A critic of convolutions, down and up again."""

    def critic(x):
        for layer, own in zip(layers, params, strict=True):
            x = jnp.tanh(layer.apply(own, x))
        return x.reshape(len(x), -1).sum(1)

    return critic


@pytest.mark.parametrize(
    "name", ["gradient_penalty", *(pytest.param(x, marks=pytest.mark.slow) for x in ("r1", "r2"))]
)
def test_penalties_of_convolutional_critics_are_those_of_flax(name):
    penalty = {"gradient_penalty": gradient_penalty(), "r1": r1(1.0), "r2": r2(1.0)}[name]
    with jax.enable_x64(True):
        real, fake = examples((6, 5, 2))
        draw = np.random.default_rng(1).normal
        x, params = real, []
        for layer in FLAX:
            shapes = jax.eval_shape(layer.init, KEYS[0], x)
            params.append(jax.tree.map(lambda like: jnp.asarray(draw(size=like.shape)), shapes))
            x = layer.apply(params[-1], x)

        @partial(jax.jit, static_argnums=0)
        def gradients(which, params):
            layers = (OURS, FLAX)[which]

            def mean(params):
                found = penalty(convolutional(layers, params), real, fake, KEYS)
                return found.mean(), found

            return jax.grad(mean, has_aux=True)(params)

        found, expected = gradients(0, params), gradients(1, params)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-9), found, expected)
        assert all(np.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(expected[0][0]))


PENALTIES = {
    "gradient_penalty": gradient_penalty(),
    "dragan": dragan(),
    "zero_centered": zero_centered(1.0),
    "steepest": steepest(),
    "r1": r1(1.0),
    "r2": r2(1.0),
    "consistency": consistency(lambda x, key: x + 1),
    "approximate_r1": approximate_r1(1.0, 0.5),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_want_one_score_for_each_example(name):
    real, fake = examples((4, 2, 3))
    critics: list[Any] = [lambda x: x.sum(3), lambda x: {"score": x.sum((1, 2, 3))}]
    for critic in critics:
        with pytest.raises(ValueError, match="one score for each example, and D returns .*5"):
            PENALTIES[name](critic, real, fake, KEYS)

    def of_mean(critic, *others):
        return PENALTIES[name](lambda x: critic(x).mean((1, 2)), *others)

    found = of_mean(lambda x: (x**2).sum(3), real, fake, KEYS)
    expected = PENALTIES[name](lambda x: (x**2).sum((1, 2, 3)) / 8, real, fake, KEYS)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
