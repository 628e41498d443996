"""Every optimizer of optax and optax.contrib trains both players, with the state donated."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_systems import Plain, small_gan

from jaxgan.core.combinators import chain
from jaxgan.core.gan import init
from jaxgan.core.networks import linen
from jaxgan.core.steps import make_step
from jaxgan.core.updates import update_both, update_discriminator, update_generator

KEY = jax.random.key(3)
BATCH = {"image": jnp.asarray(np.random.default_rng(0).normal(1, 2, (8, 3)), jnp.float32)}
OPTIMIZERS = {
    **{
        name: getattr(optax, name)
        for name in (
            *("adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw"),
            *("adamw", "adan", "amsgrad", "fromage", "lamb", "lars", "lion", "nadam", "nadamw"),
            *("novograd", "radam", "rmsprop", "rprop", "sgd", "sign_sgd", "sm3", "yogi"),
        )
    },
    "noisy_sgd": lambda rate: optax.noisy_sgd(rate, key=0),
    "optimistic_adam": optax.optimistic_adam_v2,
    "optimistic_gradient_descent": optax.optimistic_gradient_descent,
    "lbfgs": lambda rate: optax.lbfgs(memory_size=2),
    "polyak_sgd": lambda rate: optax.polyak_sgd(),
    "backtracking": lambda rate: optax.chain(
        optax.sgd(rate), optax.scale_by_backtracking_linesearch(5)
    ),
    "inject_hyperparams": lambda rate: optax.inject_hyperparams(optax.adam)(rate),
    "multi_steps": lambda rate: optax.MultiSteps(optax.adam(rate), 2).gradient_transformation(),
    "apply_if_finite": lambda rate: optax.apply_if_finite(optax.adam(rate), 2),
    "lookahead": lambda rate: optax.chain(optax.adam(rate), optax.ema(0.9)),
    "acprop": optax.contrib.acprop,
    "ademamix": optax.contrib.ademamix,
    "cocob": lambda rate: optax.contrib.cocob(),
    "dadapt_adamw": lambda rate: optax.contrib.dadapt_adamw(),
    "dog": lambda rate: optax.contrib.dog(),
    "dowg": lambda rate: optax.contrib.dowg(),
    "mechanize": lambda rate: optax.contrib.mechanize(optax.adam(rate)),
    "momo": lambda rate: optax.contrib.momo(),
    "momo_adam": lambda rate: optax.contrib.momo_adam(),
    "muon": optax.contrib.muon,
    "prodigy": lambda rate: optax.contrib.prodigy(),
    "reduce_on_plateau": lambda rate: optax.chain(
        optax.adam(rate), optax.contrib.reduce_on_plateau()
    ),
    "sam": lambda rate: optax.contrib.sam(
        optax.adam(rate), optax.sgd(0.1), sync_period=2, opaque_mode=False
    ),
    "schedule_free_adamw": optax.contrib.schedule_free_adamw,
    "schedule_free_sgd": optax.contrib.schedule_free_sgd,
    "simplified_ademamix": optax.contrib.simplified_ademamix,
}
# Not here: Sophia and opaque SAM, which want an `obj_fn` and a `grad_fn` of their own.
QUICK = {"dog", "polyak_sgd"}  # which share buffers, or need the loss


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in OPTIMIZERS],
)
@pytest.mark.parametrize("both", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_any_optimizer_trains_with_donation(name, both):
    optimizer = OPTIMIZERS[name](1e-2)
    gan = small_gan(
        generator=linen(Plain(3)),
        discriminator=linen(Plain()),
        generator_optimizer=optimizer,
        discriminator_optimizer=optimizer,
    )
    update = update_both(gan) if both else chain(update_discriminator(gan), update_generator(gan))
    step = jax.jit(make_step(update), donate_argnums=0)
    before = init(gan, KEY, BATCH)
    state = init(gan, KEY, BATCH)
    for _ in range(4):
        state, _ = step(state, BATCH, KEY)
    for role in ("generator", "discriminator"):
        old, new = (getattr(each, role).params for each in (before, state))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(new))
        still = jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), old, new)
        assert not all(jax.tree.leaves(still)), role


@pytest.mark.slow
def test_a_line_search_is_given_the_loss_that_it_searches():
    gan = small_gan(
        generator=linen(Plain(3)),
        discriminator=linen(Plain()),
        discriminator_optimizer=optax.lbfgs(),
    )
    update = update_discriminator(gan)
    state = init(gan, KEY, BATCH)
    step = jax.jit(update.apply, donate_argnums=0)
    found = []
    for _ in range(6):  # with one key, and so one objective
        state, metrics = step(state, BATCH, KEY)
        found.append(float(metrics["loss_d"]))
    assert all(after < before for before, after in zip(found, found[1:], strict=False)), found
