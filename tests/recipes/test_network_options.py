"""The options of every recipe's networks: the type that they compute in, and microbatches."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from runs import TINY, command
from tiny_systems import FIELDS, NAMES, SHAPES, make_recipe

import jaxgan
from jaxgan.recipes import find_recipe
from jaxgan.rundir import read_metrics
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(3)
SOME = [pytest.param(name, marks=() if name == "mnist_mlp" else pytest.mark.slow) for name in NAMES]


def one_step(name: str, dtype: str):
    recipe = make_recipe(name, **FIELDS[name] | {"batch_size": 128, "dtype": dtype})
    sgd = optax.sgd(0.01)  # whose step is the gradient
    gan = recipe.gan(DataSpec(SHAPES[name]))
    gan = replace(gan, generator_optimizer=sgd, discriminator_optimizer=sgd)
    images = np.random.default_rng(0).uniform(-1, 1, (recipe.examples_per_step, *SHAPES[name]))
    batch = {"image": jnp.asarray(images, jnp.float32)}
    state = jaxgan.init(gan, jax.random.key(0), batch)
    return state, jax.jit(jaxgan.make_step(recipe.update(gan)))(state, batch, KEY)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOME)
def test_losses_and_gradients_of_bfloat16_are_near_those_of_float32(name):
    state, (expected_state, expected) = one_step(name, "float32")
    _, (found_state, found) = one_step(name, "bfloat16")
    floating = [x for x in jax.tree.leaves((found_state, found)) if x.dtype != jnp.int32]
    assert {x.dtype.name for x in floating} == {"float32"}
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=0.03, atol=0.03, err_msg=key)
        assert found[key] != value  # or this would compare float32 with itself
    if name not in ("pattern_1010", "mnist_mlp"):
        # Batch norms of convolutions make gradients small differences of large numbers, the more
        # so in networks as tiny as these: even at full size, G's first gradient is 20% away in
        # mnist_conv and 54% in mnist_dcgan_bn.
        return
    for role in ("generator", "discriminator"):
        trees = (getattr(s, role) for s in (state, expected_state, found_state))
        before, wanted, got = (
            np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree.params)]) for tree in trees
        )
        apart = np.linalg.norm(got - wanted) / np.linalg.norm(wanted - before)
        assert 0 < apart < 0.1


@pytest.mark.slow
def test_both_are_options(here):
    words = "--steps 4 --dtype bfloat16 --microbatch 2 --out run".split()
    done = command("train", "mnist_mlp", *TINY["mnist_mlp"], *words)
    assert done.status == 0, done.err
    assert len(read_metrics(here / "run")) == 1
    assert command("verify", "run").status == 0


def test_other_types_are_refused(here):
    with pytest.raises(UserError, match="float16"):
        find_recipe("mnist_mlp").check_values({"dtype": "float16"})
    done = command("train", "mnist_mlp", "--dtype", "int8")
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--batch-size 8 --microbatch 3", "microbatch must divide the batch size 8, not 3"),
        ("--microbatch 0", "microbatch"),
        ("--batch-size 12 --microbatch 3 --devices 2", "a microbatch of 3 cannot be spread over 2"),
    ],
)
def test_microbatches_that_do_not_divide_are_refused(words, told, here):
    done = command("train", "mnist_mlp", *words.split())
    assert (done.status, done.out) == (2, "")
    assert told in done.err
    assert not any(here.iterdir())


@pytest.mark.slow
def test_what_samples_with_the_statistics_of_a_batch_may_train_in_microbatches(here):
    words = "--batch-size 12 --microbatch 6 --steps 1 --sample-every 1 --out run".split()
    done = command("train", "mnist_conv", *TINY["mnist_conv"], *words)
    assert done.status == 0, done.err
    assert list((here / "run" / "samples").glob("*.png"))
