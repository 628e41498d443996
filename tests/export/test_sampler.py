"""Generators as functions of named arrays: what they take, and what is told of them."""

from dataclasses import asdict, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import Family, one_hot_labels, tiny
from tiny_systems import FIELDS, SHAPES

from jaxgan.core.gan import generate
from jaxgan.export.sampler import sampler
from jaxgan.recipes.mnist_cgan import MnistCgan
from jaxgan.util.errors import UserError


def test_pictures_are_those_of_the_run():
    trained = tiny("mnist_dcgan_bn")
    made = sampler(trained)
    expected = generate(trained.gan, trained.state, made.arguments["latents"])
    np.testing.assert_allclose(made.pictures, expected, rtol=1e-4, atol=1e-5)
    assert made.about == {
        "recipe": "mnist_dcgan_bn",
        "steps": 0,
        "inputs": {
            "latents": {"shape": ["batch", 3], "dtype": "float32", "distribution": "U(-1, 1)"}
        },
        "output": {"shape": ["batch", 16, 16, 1], "dtype": "float32", "range": [0.0, 1.0]},
    }


def test_what_samples_are_conditioned_on_is_an_argument(sampler_of):
    told = sampler_of("mnist_infogan").about["inputs"]
    assert {name: (x["shape"], x.get("distribution")) for name, x in told.items()} == {
        "latents": (["batch", 3], "N(0, 1)"),
        "category": (["batch"], None),
        "latents_2": (["batch", 2], "U(-1, 1)"),
    }
    assert sampler_of("pattern_1010").about["inputs"]["latents"]["distribution"] == "always 0.5"
    assert "range" not in sampler_of("pattern_1010").about["output"]


def test_what_g_sees_of_a_condition_is_made_from_it():
    trained = one_hot_labels()
    made = sampler(trained)
    told = made.about["inputs"]
    assert told["label"] == {"shape": ["batch"], "dtype": "int32", "classes": 10}
    assert told["latents"]["distribution"] == "N(0, 1)" and len(told) == 2
    arguments = {"latents": made.arguments["latents"], "label": jnp.array([9, 0, 4, 4])}
    inputs = (arguments["latents"], jax.nn.one_hot(arguments["label"], 10))
    expected = generate(trained.gan, trained.state, inputs)
    np.testing.assert_allclose(made.draw(arguments), expected, rtol=1e-4, atol=1e-5)


def test_a_generator_that_takes_nothing_is_refused():
    trained = tiny("mnist_cgan")

    class Nothing(MnistCgan):
        name = "nothing"

        def gan(self, spec):
            return replace(trained.gan, inputs=lambda key, n, batch: ())

    with pytest.raises(UserError, match="nothing takes no array"):
        sampler(trained._replace(recipe=Nothing(**asdict(trained.recipe))))


def test_truncation_is_an_argument_and_noise_is_the_same_in_all_pictures(sampler_of):
    styled = sampler_of("mnist_stylegan2")
    latents = styled.arguments["latents"]
    twice = jax.jit(styled.draw)({**styled.arguments, "latents": latents.at[1].set(latents[0])})
    np.testing.assert_array_equal(twice[0], twice[1])
    assert np.abs(twice[0] - twice[2]).max() > 1e-3
    alike = jax.jit(styled.draw)({**styled.arguments, "truncation": jax.numpy.float32(0)})
    np.testing.assert_allclose(alike, np.broadcast_to(alike[:1], alike.shape), atol=1e-5)


def test_pictures_that_depend_on_each_other_are_refused():
    family = Family(SHAPES["mnist_conv"], FIELDS["mnist_conv"])
    with pytest.raises(UserError, match="mnist_conv depend on each other.*--format safetensors"):
        sampler(tiny("mnist_conv", family))


@pytest.mark.parametrize("name", ["mnist_mlp", "pix2pix"])
def test_without_a_way_back_it_is_refused(name):
    with pytest.raises(UserError, match=f"{name} does not translate to a: leave out --to"):
        sampler(tiny(name), to="a")


def test_a_gan_that_diverged_is_refused():
    trained = tiny("mnist_mlp")
    nothing = jax.tree.map(lambda x: x * np.nan, trained.state.generator.params)
    generator = trained.state.generator.replace(params=nothing)
    with pytest.raises(UserError, match="diverged"):
        sampler(trained._replace(state=trained.state.replace(generator=generator)))
