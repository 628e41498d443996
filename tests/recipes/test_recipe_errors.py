"""What recipes refuse, and how they say it."""

import jax
import jax.numpy as jnp
import pytest
from tiny_systems import make_recipe

import jaxgan
from jaxgan.recipes import Recipe, find_recipe, recipes
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

OURS = [name for name, kind in recipes().items() if kind.__module__.startswith("jaxgan.")]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("mnist_dcgn", "mnist_dcgan"), ("pattern", "pattern_1010"), ("mlp", "mnist_mlp")],
)
def test_an_unknown_recipe_is_answered_with_the_nearest_names(typed, meant):
    with pytest.raises(UserError, match=rf"no recipe '{typed}'.*{meant}"):
        find_recipe(typed)


def test_a_name_like_no_other_is_answered_with_where_all_are():
    with pytest.raises(UserError, match="no recipe 'zzz': jaxgan recipes lists them$"):
        find_recipe("zzz")


@pytest.mark.parametrize("value", [0, -3])
@pytest.mark.parametrize(
    "field", ["batch_size", "steps", "epochs", "log_every", "sample_every", "checkpoint_every"]
)
def test_a_number_below_1_is_an_error_that_names_its_field(field, value):
    for name in OURS:
        with pytest.raises(UserError, match=rf"\b{field} .*{value}"):
            make_recipe(name, **{field: value})


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("mnist_mlp", {"image_size": 0}, "image_size .*0"),
        ("mnist_mlp", {"grid": (0, 5)}, "grid.0. .*0"),
        ("mnist_mlp", {"grid": (5, -1)}, "grid.1. .*-1"),
        ("mnist_mlp", {"grid": (100_000, 100_000)}, "grid .*at most 10000"),
        ("mnist_mlp", {"latent_size": 0}, "latent_size .*0"),
        ("mnist_mlp", {"generator_widths": ()}, "generator_widths .*length >= 1"),
        ("mnist_mlp", {"generator_widths": (5, 0)}, "generator_widths.1. .*0"),
        ("mnist_mlp", {"learning_rate": 0.0}, "learning_rate .*0"),
        ("mnist_mlp", {"learning_rate": float("nan")}, "learning_rate .*nan"),
        ("mnist_mlp", {"learning_rate": float("inf")}, "learning_rate .*inf"),
        ("mnist_mlp", {"slope": -0.1}, "slope .*-0.1"),
        ("mnist_mlp", {"beta1": 1.0}, "beta1 .*1"),
        ("mnist_dcgan", {"dropout": 1.0}, "dropout .*1"),
        ("mnist_mlp", {"steps": 2**31}, "steps .*2147483648"),
        ("pattern_1010", {"width": 0}, "width .*0"),
        ("gaussians_ring8", {"packing": 0}, "packing .*0"),
        ("mnist_dcgan_bn", {"norm_time": 0.0}, "norm_time .*0"),
        ("mnist_dcgan_bn", {"discriminator_steps": 0}, "discriminator_steps .*0"),
        ("mnist_dcgan_bn", {"generator_steps": -1}, "generator_steps .*-1"),
        ("mnist_mlp", {"steps": 5, "epochs": 5}, "steps and epochs"),
        ("cifar10_sagan", {"generator_attention": (9,)}, "generator_attention .* 1 to 3, not 9"),
        ("cifar10_sagan", {"generator_widths": (64, 32)}, "generator_attention .* 1 to 1, not 2"),
        ("cifar10_biggan", {"discriminator_attention": (5,)}, "discriminator_attention .*not 5"),
        ("cifar10_biggan", {"discriminator_widths": (60, 64)}, "multiple of 8: block 1 has 60"),
        ("cifar10_biggan", {"latent_size": 61}, "latent_size must be a multiple of 4"),
        ("mnist_stylegan2", {"batch_size": 12, "microbatch": 6}, "group must divide microbatch 6"),
        ("mnist_stylegan2", {"batch_size": 3, "group": 3, "path_weight": 2.0}, "3 is odd"),
        (
            "mnist_stylegan2",
            {"batch_size": 24, "microbatch": 8, "path_weight": 2.0},
            "microbatch must divide half of a batch, 12, or be no less, not 8",
        ),
    ],
)
def test_other_bad_values_are_errors_that_name_their_field(name, fields, words):
    with pytest.raises(UserError, match=words):
        make_recipe(name, **fields)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("mnist_conv", (30, 28, 1), "30 x 28.*image_size"),
        ("mnist_conv", (28, 30, 1), "28 x 30.*image_size"),
        ("mnist_conv", (12, 28, 1), "12 x 28.*image_size"),  # too small for two poolings
        ("mnist_dcgan", (27, 27, 1), "27 x 27.*image_size"),
        ("mnist_dcgan_bn", (28, 18, 3), "28 x 18.*image_size"),
        ("mnist_dcgan_bn", (12, 12, 3), "12 x 12.*image_size"),
        ("mnist_conv", (4,), r"images.*\(4,\)"),
        ("mnist_dcgan", (28, 28), r"images.*\(28, 28\)"),
        ("pattern_1010", (28, 28, 1), r"vectors.*\(28, 28, 1\)"),
        ("gaussians_ring8", (28, 28, 1), r"vectors.*\(28, 28, 1\)"),
    ],
)
def test_a_shape_that_the_networks_cannot_take_is_an_error(name, shape, words):
    with pytest.raises(UserError, match=words):
        make_recipe(name).gan(DataSpec(shape))


@pytest.mark.parametrize(("name", "least"), [("mnist_conv", 16), ("mnist_dcgan_bn", 16)])
def test_the_smallest_images_can_be_made_and_judged(name, least):
    gan = make_recipe(name).gan(DataSpec((least, least, 1)))
    batch = {"image": jnp.zeros((2, least, least, 1))}
    update = jaxgan.update_both(gan)

    def judge(key):
        state = jaxgan.init(gan, key, batch)
        return jaxgan.sample(gan, state, key, 2), update.apply(state, batch, key)[1]

    images, metrics = jax.eval_shape(judge, jax.random.key(0))
    assert images.shape == (2, least, least, 1)
    assert metrics["loss_d"].shape == ()


def test_a_recipe_must_say_what_it_is_made_of():
    with pytest.raises(TypeError, match="abstract"):
        Recipe(batch_size=1, log_every=1, sample_every=1, checkpoint_every=1, grid=(1, 1))  # pyright: ignore
