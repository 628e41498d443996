"""The recipes: what their parts are, as the sources have them, and how they fit together."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_systems import FIELDS, SHAPES, make_recipe, small_gan

import jaxgan
from jaxgan import GAN, latents, losses
from jaxgan.recipes import ImageRecipe, find_recipe, recipes
from jaxgan.recipes.mnist_stylegan2 import MnistStyleGan2
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)

LENGTHS = {  # of a default run on MNIST: steps, real examples in each
    "gaussians_ring8": (400_000, 100),
    "gaussians_grid25": (400_000, 100),
    "pattern_1010": (10_000, 1),
    "mnist_mlp": (20 * 468, 128),
    "mnist_conv": (4296, 128),
    "mnist_dcgan": (25 * 468, 128),
    "mnist_dcgan_bn": (5000, 256),
}
NAMES = list(LENGTHS)
VECTORS = {"pattern_1010": (4,), "gaussians_ring8": (2,), "gaussians_grid25": (2,)}
IMAGES = [name for name in NAMES if name not in VECTORS]
OURS = {name: kind for name, kind in recipes().items() if kind.__module__.startswith("jaxgan.")}


def gan_of(name: str, **fields) -> GAN:
    return make_recipe(name, **fields).gan(DataSpec(VECTORS.get(name, (28, 28, 1))))


def test_the_recipes_are_known_by_their_names():
    assert set(NAMES) <= set(OURS)
    assert list(recipes()) == sorted(recipes())
    for name, recipe in OURS.items():
        assert recipe.name == name and find_recipe(name) is recipe
        assert recipe.__module__ == f"jaxgan.recipes.{name}"  # a file of its own


@pytest.mark.parametrize("name", OURS)
def test_recipes_are_frozen(name):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(make_recipe(name), "batch_size", 3)  # noqa: B010  the checker knows it too


@pytest.mark.parametrize("name", OURS)
def test_recipes_say_what_they_are_what_to_run_and_what_to_expect(name):
    docstring = OURS[name].__doc__
    assert docstring
    first, blank, *rest = docstring.splitlines()
    assert first.endswith(".") and not blank
    text = " ".join(" ".join(rest).split())
    assert "Source: " in text
    assert f"Command: `jaxgan train {name}" in text and "Expect: " in text


@pytest.mark.parametrize("name", NAMES)
def test_lengths(name):
    recipe = make_recipe(name)
    examples = 55_000 if name == "mnist_conv" else 60_000
    steps, at_once = LENGTHS[name]
    assert recipe.total_steps(None if name in VECTORS else examples) == steps
    assert recipe.examples_per_step == at_once
    assert dataclasses.replace(recipe, steps=7).total_steps(None) == 7
    longer = dataclasses.replace(recipe, epochs=3)
    assert longer.total_steps(1000) == 3 * (1000 // at_once)  # the last partial batch is dropped


def test_epochs_of_what_has_no_end_are_an_error():
    with pytest.raises(UserError, match="pattern_1010 draws its examples.*steps"):
        make_recipe("pattern_1010", epochs=2).total_steps(None)


def test_the_presets_of_mnist_dcgan_bn_record_25_times():
    recipe = find_recipe("mnist_dcgan_bn")
    lengths = {}
    for preset, fields in recipe.presets.items():
        one = make_recipe("mnist_dcgan_bn", **fields)
        lengths[preset] = one.total_steps(60_000)
        assert one.total_steps(60_000) == 25 * one.log_every
    assert lengths == {"fast": 5000, "slow": 10_000}


def test_presets_are_fields_of_their_recipes():
    for recipe in OURS.values():
        for fields in recipe.presets.values():
            one = make_recipe(recipe.name, **fields)
            assert {name: getattr(one, name) for name in fields} == fields


@pytest.mark.parametrize("name", OURS)
def test_defaults_and_presets_are_no_longer_than_they_learn(name):
    recipe = OURS[name]
    for fields in ({}, *recipe.presets.values()):
        assert make_recipe(name, **fields).total_steps(1334) > 0  # as many pictures as horse2zebra


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("cifar10_sngan", {"decay_steps": 20}),
        ("wgan_gp_resnet", {"decay_steps": 20}),
        ("pix2pix", {"decay_from": 5, "decay_steps": 15}),
        ("cyclegan", {"decay_from": 5, "decay_steps": 15}),
        ("autoencoder", {"decay_from": 5, "decay_steps": 15}),
    ],
)
def test_a_run_that_would_go_on_without_learning_is_refused(name, fields):
    recipe = make_recipe(name, **fields, batch_size=1)
    assert dataclasses.replace(recipe, steps=20).total_steps(None) == 20
    told = "run of 21 steps .* after step 20, .*: choose at most 20 steps, or raise decay_steps"
    with pytest.raises(UserError, match=told):
        dataclasses.replace(recipe, steps=21).total_steps(None)
    examples = 21 * recipe.examples_per_step
    with pytest.raises(UserError, match=told):
        dataclasses.replace(recipe, epochs=1).total_steps(examples)


def test_value_ranges():
    found = {n: r.value_range for n, r in OURS.items() if issubclass(r, ImageRecipe)}
    expected = dict.fromkeys(IMAGES, (-1.0, 1.0)) | {"mnist_dcgan_bn": (0.0, 1.0)}
    assert {name: found[name] for name in IMAGES} == expected


def adam(rate: float, beta1: float):
    """Adam after its paper, in numpy, on a gradient that is 1 and then -0.5."""
    mean = square = value = 0.0
    for t, gradient in ((1, 1.0), (2, -0.5)):
        mean = beta1 * mean + (1 - beta1) * gradient
        square = 0.999 * square + 0.001 * gradient**2
        step = mean / (1 - beta1**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
        value -= rate * step
    return value


def follow(optimizer: optax.GradientTransformation) -> float:
    params = jnp.zeros(())
    state = optimizer.init(params)
    for gradient in (1.0, -0.5):
        changes, state = optimizer.update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, changes)
    return float(jnp.asarray(params))


MOVES = {
    "gaussians_ring8": adam(1e-4, 0.8),
    "gaussians_grid25": adam(1e-4, 0.8),
    "pattern_1010": -0.01 * (1 - 0.5),  # plain gradient descent
    "mnist_mlp": adam(2e-4, 0.5),
    "mnist_conv": adam(1e-3, 0.5),
    "mnist_dcgan": adam(2e-4, 0.9),
    "mnist_dcgan_bn": adam(2e-4, 0.5),
}


@pytest.mark.parametrize("name", NAMES)
def test_optimizers(name):
    gan = gan_of(name)
    assert follow(gan.generator_optimizer) == pytest.approx(MOVES[name], rel=1e-4)
    assert follow(gan.discriminator_optimizer) == pytest.approx(MOVES[name], rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_latents(name):
    z = gan_of(name).inputs(KEY, 50, {})
    if name == "pattern_1010":
        np.testing.assert_array_equal(z, np.full((50, 1), 0.5))
        return
    if name in VECTORS:
        np.testing.assert_array_equal(z, latents.normal(2)(KEY, 50))
        return
    draw = latents.normal if name in ("mnist_mlp", "mnist_dcgan") else latents.uniform
    np.testing.assert_array_equal(z, draw(96 if name == "mnist_conv" else 100)(KEY, 50))


def test_losses():
    loss = {name: gan_of(name).loss for name in NAMES}
    assert loss["gaussians_ring8"] is loss["gaussians_grid25"] is losses.non_saturating
    assert loss["mnist_mlp"] is losses.binary_cross_entropy
    assert loss["mnist_conv"] is losses.non_saturating
    assert loss["mnist_dcgan"] is losses.non_saturating
    probabilities = np.array([0.2, 0.7])
    fake, real = jnp.log(probabilities / (1 - probabilities)), jnp.array([0.9, -0.4])
    bce, ours = losses.binary_cross_entropy, loss["mnist_dcgan_bn"]
    np.testing.assert_array_equal(ours.discriminator(real, fake), bce.discriminator(real, fake))
    np.testing.assert_allclose(ours.generator(fake, None), 1 - np.log(probabilities), rtol=1e-5)
    squares = loss["pattern_1010"].generator(fake, None)
    np.testing.assert_allclose(squares, (probabilities - 1) ** 2, rtol=1e-5)


@pytest.mark.parametrize("name", FIELDS)
def test_scores_are_unbounded_so_that_any_loss_fits(name):
    """The bias of D's last layer moves its scores by as much, however far: no sigmoid follows."""
    gan = make_recipe(name, **FIELDS[name]).gan(DataSpec(SHAPES[name]))
    images = jnp.ones((2, *SHAPES[name]))

    @jax.jit
    def move(key):
        params, collections = gan.discriminator.init(key, images)
        last = max((x for x in params if "Dense" in x), key=lambda x: int(x.split("_")[-1]))
        moved = params | {last: params[last] | {"bias": params[last]["bias"] + 1000}}
        return [
            gan.discriminator.apply(x, collections, images, key, False)[0] for x in (params, moved)
        ]

    before, after = move(KEY)
    np.testing.assert_allclose(after - before, 1000, rtol=1e-4)


# Of one training step: which latents each update draws, in order, and how many of them; then how
# often D and G are stepped. Equal letters are equal latents.
STEPS = {
    "gaussians_ring8": ([("a", 4)], 1, 1),
    "gaussians_grid25": ([("a", 4)], 1, 1),
    "pattern_1010": ([("a", 4), ("b", 4)], 2, 1),  # D on reals draws none
    "mnist_mlp": ([("a", 4)], 1, 1),  # one pass of G serves both
    "mnist_conv": ([("a", 4), ("b", 4)], 1, 1),
    "mnist_dcgan": ([("a", 4)], 1, 1),
    "mnist_dcgan_bn": ([("a", 4), ("b", 4), ("c", 4), ("c", 4)], 2, 2),
}


@pytest.mark.parametrize("name", NAMES)
def test_one_training_step(name):
    log = []

    def draw(key, n, batch=None):
        log.append((tuple(jax.random.key_data(key).tolist()), n))
        return jax.random.normal(key, (n, 2))

    recipe = make_recipe(name, batch_size=4)
    gan = small_gan(inputs=draw)
    image = np.random.default_rng(0).normal(size=(recipe.examples_per_step, 3))
    batch = {"image": jnp.asarray(image, jnp.float32)}
    state = jaxgan.init(small_gan(), KEY, batch)
    state, metrics = recipe.update(gan).apply(state, batch, KEY)
    letters = {key: "abc"[index] for index, key in enumerate(dict.fromkeys(key for key, _ in log))}
    latents, discriminator_steps, generator_steps = STEPS[name]
    assert [(letters[key], n) for key, n in log] == latents
    assert state.discriminator.opt_state[0].count == discriminator_steps
    assert state.generator.opt_state[0].count == generator_steps
    losses_of_d = ["loss_d_fake", "loss_d_real"] if name == "pattern_1010" else ["loss_d"]
    assert sorted(metrics) == [*losses_of_d, "loss_g", "score_fake", "score_real"]


def test_counts_of_steps_of_mnist_dcgan_bn_are_hyper_parameters():
    recipe = make_recipe("mnist_dcgan_bn", batch_size=4, discriminator_steps=3, generator_steps=1)
    assert recipe.examples_per_step == 12
    gan = small_gan()
    batch = {"image": jnp.ones((12, 3))}
    state, _ = recipe.update(gan).apply(jaxgan.init(gan, KEY, batch), batch, KEY)
    assert state.discriminator.opt_state[0].count == 3
    assert state.generator.opt_state[0].count == 1


@pytest.mark.parametrize(("name", "alike"), [("mnist_conv", False), ("mnist_dcgan", True)])
def test_mnist_conv_samples_with_batch_statistics(name, alike):
    gan = make_recipe(name, **FIELDS[name]).gan(DataSpec(SHAPES[name]))

    @jax.jit
    def generate(key):
        z = gan.inputs(key, 2, {})
        net = gan.generator.init(key, z)
        return [gan.generator.apply(*net, x, key, False)[0][0] for x in (z, z[:1])]

    among_two, alone = generate(KEY)
    assert np.allclose(among_two, alone, atol=1e-4) == alike


# Of the run, not of the system: they say how long and on what it trains, and what it writes.
OF_THE_RUN = {field.name for field in dataclasses.fields(ImageRecipe)}


def other(value):
    """Another value of a hyperparameter."""
    if isinstance(value, tuple):
        return tuple(2 * x for x in value)
    return 2 * value if isinstance(value, int) else value / 2


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "mnist_mlp" else pytest.mark.slow) for n in FIELDS]
)
def test_every_hyperparameter_reaches_the_training_step(name):
    def program(recipe):
        """The first state and one step after it, traced."""
        batch = {"image": jnp.zeros((recipe.examples_per_step, *SHAPES[name]))}
        gan = recipe.gan(DataSpec(SHAPES[name]))
        update = recipe.update(gan)

        def train(key, batch):
            state = jaxgan.init(gan, key, batch, update)
            return jaxgan.make_step(update)(state, batch, key)

        return str(jax.make_jaxpr(train)(KEY, batch))

    recipe = make_recipe(name, **FIELDS[name])
    before = program(recipe)
    fields = [field.name for field in dataclasses.fields(recipe) if field.name not in OF_THE_RUN]
    assert "learning_rate" in fields
    for field in fields:
        changed = dataclasses.replace(recipe, **{field: other(getattr(recipe, field))})
        assert program(changed) != before, field
    assert program(recipe) == before


def test_any_recipe_of_images_reads_them_one_by_one():
    recipe = MnistStyleGan2(microbatch=8).one_by_one(data="openmoji")  # its groups are of 4
    assert (recipe.batch_size, recipe.data) == (1, "openmoji")
    with pytest.raises(UserError, match="image_size"):
        MnistStyleGan2().one_by_one(image_size=0)
