"""Networks that compute in bfloat16, with all that training keeps in float32."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from runs import TINY, command
from tiny_systems import FIELDS, NAMES, SHAPES, make_recipe

import jaxgan
from jaxgan.rundir.loading import load
from jaxgan.rundir.log import read_metrics
from jaxgan.util.errors import UserError

KEY = jax.random.key(3)


def one_step(name: str, dtype: str):
    recipe = make_recipe(name, **FIELDS[name] | {"batch_size": 128, "dtype": dtype})
    sgd = optax.sgd(0.01)  # whose step is the gradient
    gan = replace(recipe.gan(SHAPES[name]), generator_optimizer=sgd, discriminator_optimizer=sgd)
    images = np.random.default_rng(0).uniform(-1, 1, (recipe.examples_per_step, *SHAPES[name]))
    batch = {"image": jnp.asarray(images, jnp.float32)}
    state = jaxgan.init(gan, jax.random.key(0), batch)
    step = jax.jit(jaxgan.make_step(recipe.update(gan)))
    return gan, batch, state, step


@pytest.mark.parametrize("name", NAMES)
def test_every_product_is_in_bfloat16_and_all_that_moves_in_float32(name):
    gan, batch, state, step = one_step(name, "bfloat16")
    text = step.lower(state, batch, KEY).as_text()
    products = re.findall(r"stablehlo\.(?:dot_general|convolution)\b.*-> tensor<[\dx]*(\w+)>", text)
    assert len(products) >= 6
    assert set(products) == {"bf16"}
    after, metrics = step(state, batch, KEY)
    floating = [x for x in jax.tree.leaves((after, metrics)) if x.dtype != jnp.int32]
    assert {x.dtype.name for x in floating} == {"float32"}
    assert jaxgan.sample(gan, after, KEY, 2).dtype == jnp.float32


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients_are_near_those_of_float32(name):
    _, batch, state, step = one_step(name, "float32")
    expected_state, expected = step(state, batch, KEY)
    found_state, found = one_step(name, "bfloat16")[3](state, batch, KEY)
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


def test_it_is_a_flag(here):
    words = [*TINY["mnist_mlp"], "--steps", "4", "--dtype", "bfloat16", "--out", "run"]
    done = command("train", "mnist_mlp", *words)
    assert done.status == 0, done.err
    assert len(read_metrics(here / "run")) == 1
    assert load(here / "run").gan.dtype == jnp.bfloat16
    assert command("verify", "run").status == 0


def test_other_types_are_refused(here):
    with pytest.raises(UserError, match="dtype must be float32 or bfloat16, not float16"):
        make_recipe("mnist_mlp", dtype="float16")
    done = command("train", "mnist_mlp", "--dtype", "int8")
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
