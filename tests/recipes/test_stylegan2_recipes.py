"""StyleGAN2's recipes: settings and sizes of the source, and who is regularized when."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from tiny_systems import make_recipe

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.recipes import find_recipe
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
NAMES = ["cifar10_stylegan2", "mnist_stylegan2"]
TINY: dict[str, Any] = {
    "batch_size": 4,
    "group": 2,
    "widths": (4, 4),
    "latent_size": 3,
    "style_size": 3,
}


def started(name: str, shape: tuple[int, ...], **fields: Any):
    recipe: Any = make_recipe(name, **fields)
    n = recipe.examples_per_step
    batch = {
        "image": jax.random.normal(KEY, (n, *shape)),
        "label": jnp.arange(n, dtype=jnp.int32) % 10,
    }
    gan = recipe.gan(DataSpec(shape, 10))
    update = recipe.update(gan)
    return make_step(update), init(gan, KEY, batch, update), batch


@pytest.mark.slow
def test_networks_and_settings_are_those_of_the_source():
    recipe: Any = make_recipe("cifar10_stylegan2")
    gan = recipe.gan(DataSpec((32, 32, 3), 10))
    batch = {
        "image": jax.ShapeDtypeStruct((32, 32, 32, 3), jnp.float32),
        "label": jax.ShapeDtypeStruct((32,), jnp.int32),
    }
    # The view of D needs the probability, which its update brings.
    state = jax.eval_shape(lambda b: init(gan, KEY, b, recipe.update(gan)), batch)
    found = [
        sum(x.size for x in jax.tree.leaves(net.params))
        for net in (state.generator, state.discriminator)
    ]
    assert found == [20_215_315, 23_089_664]  # see tests/models/test_stylegan2.py
    assert recipe.total_steps(None) * recipe.batch_size == 100_000_000


@pytest.mark.slow
def test_regularizers_come_in_their_steps_alone():
    step, state, batch = started("mnist_stylegan2", (8, 8, 1), **TINY, path_weight=2.0)
    counts = {"generator": [], "discriminator": []}
    step = jax.jit(step)
    for _ in range(6):
        state, metrics = step(state, batch, KEY)
        for name, seen in counts.items():
            seen.append(int(getattr(state, name).opt_state[0].count))
        assert all(np.isfinite(x) for x in metrics.values())
    assert counts["generator"] == [2, 3, 4, 5, 7, 8]  # once more in steps 0 and 4
    assert counts["discriminator"] == [2, 3, 4, 5, 6, 7]  # once more in step 0
    assert state.extra["path_length"] > 0


@pytest.mark.slow
def test_the_probability_moves_and_d_sees_augmented_images():
    step, state, batch = started("cifar10_stylegan2", (8, 8, 3), **TINY, target=0.9)
    step = jax.jit(step)
    for _ in range(4):
        state, metrics = step(state, batch, KEY)
    assert "p" in metrics and metrics["p"] >= 0
    moved = state.with_extra(p=jnp.float32(0.8))
    losses = [step(each, batch, KEY)[1]["loss_d"] for each in (state, moved)]
    assert losses[0] != losses[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_step_lowers_for_cuda_and_tpu(name):
    preset = dict(find_recipe(name).presets.get("small", {}))
    step, state, batch = started(name, (8, 8, 3), **preset | TINY)
    lowered = export.export(jax.jit(step), platforms=("cuda", "tpu"))
    assert lowered(state, batch, KEY).platforms == ("cuda", "tpu")


def test_groups_divide_the_batch():
    with pytest.raises(UserError, match="group must divide the batch size 64, not 3"):
        make_recipe("mnist_stylegan2", group=3)


@pytest.mark.parametrize("sizes", [None, 1])
def test_sizes_in_bfloat16_reach_both_networks(sizes):
    recipe: Any = make_recipe("mnist_stylegan2", in_bfloat16=sizes)
    gan, z = recipe.gan(DataSpec((28, 28, 1))), jnp.ones((4, recipe.latent_size))
    for network, inputs in ((gan.generator, z), (gan.discriminator, jnp.ones((4, 28, 28, 1)))):

        def run(network=network, inputs=inputs):
            return network.apply(*network.init(KEY, inputs), inputs, KEY, True)[0]

        assert ("bf16[4,28,28" in str(jax.make_jaxpr(run)())) == (sizes == 1)


def test_no_more_sizes_are_in_bfloat16_than_there_are():
    with pytest.raises(UserError, match="in_bfloat16 must be at most 3, one for each of the"):
        make_recipe("mnist_stylegan2", in_bfloat16=4)
