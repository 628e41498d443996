"""Twenty-five iterations of every system, in jaxgan and in PyTorch, compared after each."""

import math
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen as nn
from pair import BATCH, Pair
from systems import SYSTEMS

from jaxgan.core.gan import GAN, init
from jaxgan.recipes.mnist_dcgan_bn import MnistDcganBn
from jaxgan.types import DataSpec

ITERATIONS = 25
ROLES = ("discriminator", "generator")
slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "iterations"),
    [
        ("pattern_1010", ITERATIONS),
        ("mnist_mlp", 2),
        *[
            pytest.param(name, ITERATIONS, marks=slow)
            for name in ("mnist_mlp", "mnist_conv", "mnist_dcgan", "mnist_dcgan_bn")
        ],
        # XLA is slow at convolutions in float64 on a CPU.
        *[
            pytest.param(name, 2, marks=slow)
            for name in ("mnist_conv", "mnist_dcgan", "mnist_dcgan_bn")
        ],
    ],
)
def test_float64_agrees_after_every_iteration(name, iterations):
    with jax.enable_x64(True):
        pair = Pair(name, np.float64)
        history = [pair.train() for _ in range(iterations)]
        history.append(pair.outputs())
    worst = defaultdict(list)
    for differences in history:
        for kind in {d.kind for d in differences}:
            worst[kind].append(max((d for d in differences if d.kind == kind), key=lambda d: d[2]))
    print(f"\n{name} in float64: largest relative differences, iteration by iteration")
    for kind, found in sorted(worst.items()):
        print(f"  {kind:9} {' '.join(f'{d.relative:.0e}' for d in found)} {found[-1].name}")
    # That these gradients are 0 is true at each iteration by itself, so it does not drift.
    assert all(d.relative < 1e-13 for d in worst.pop("silent", [])), "a bias that should not matter"
    far = [d for found in worst.values() for d in found if not d.relative < 1e-8]
    assert not far


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("pattern_1010", 1),
        pytest.param("mnist_mlp", 128, marks=slow),
        pytest.param("mnist_conv", 64, marks=slow),
        pytest.param("mnist_dcgan", 64, marks=slow),
        pytest.param("mnist_dcgan_bn", 24, marks=slow),
    ],
)
def test_float32_stays_as_near_to_float64_as_pytorch(name, batch):
    """The parameters in float32, of both libraries, against PyTorch's in float64.

    After 25 iterations they should be within 1e-3 of each other, in norm. That holds where it can:
    rounding does not stay small, for it decides the sign, and so with Adam the whole step, of each
    number whose gradient is next to nothing, and on which side of 0 a ReLU finds itself. By then
    PyTorch's float32 is 3e-3 away from its own float64 in mnist_mlp, 9e-2 in mnist_conv, 6e-2 in
    mnist_dcgan_bn. There, jaxgan's has to be as near to float64 as PyTorch's but for a factor of 3,
    chance's share (of some 25 networks tried, one had 2.0, the others less than 2).

    A single sign, or ReLU, makes much of a small batch's difference, so the batches are larger
    here, to have many.
    """
    pair = Pair(name, np.float32, batch)
    exact = SYSTEMS[name](torch.float64)
    for role in ROLES:
        getattr(exact, role).load_state_dict(getattr(pair.system, role).state_dict())
    print(f"\n{name} in float32: drift of the parameters, in norm")
    for iteration in range(1, ITERATIONS + 1):
        pair.train()
        images, latents, masks = pair.fed
        exact.iteration([x.double() for x in images], [z.double() for z in latents], masks)
        if iteration not in (1, 5, ITERATIONS):
            continue
        for role in ROLES:
            weights = dict(getattr(exact, role).named_parameters())
            truth = flat(weights)
            carried = pair.carried(role, getattr(pair.state, role))
            ours = flat({name: carried[name] for name in weights})
            theirs = flat(dict(getattr(pair.system, role).named_parameters()))
            apart, our_drift, their_drift = (
                float(np.linalg.norm(x - y) / np.linalg.norm(truth))
                for x, y in ((ours, theirs), (ours, truth), (theirs, truth))
            )
            print(
                f"  iteration {iteration:2} {role:13} jaxgan - PyTorch {apart:.1e}, "
                f"jaxgan - float64 {our_drift:.1e}, PyTorch - float64 {their_drift:.1e}"
            )
            assert apart < 1e-3 or our_drift < 3 * their_drift


def flat(weights) -> np.ndarray:
    """All numbers of a network's parameters, PyTorch's or NumPy's, in one row."""
    return np.concatenate([torch.as_tensor(w).detach().double().ravel() for w in weights.values()])


@pytest.mark.slow
def test_full_batch_sets_the_momentum_of_the_system():
    """The pairs have small batches, on which the momentum of this recipe depends."""
    assert momenta(MnistDcganBn().gan(DataSpec((28, 28, 1)))) == {math.exp(-128 / 5000)}
    assert BATCH["mnist_dcgan_bn"] != 128
    (small,) = momenta(Pair("mnist_dcgan_bn", np.float32).gan)
    assert math.isclose(small, math.exp(-128 / 5000), rel_tol=1e-15)


def momenta(gan: GAN) -> set[float]:
    """The momenta of all batch norms of a GAN."""
    found = set()

    def look(call, arguments, settings, context):
        if isinstance(context.module, nn.BatchNorm):
            found.add(context.module.momentum)
        return call(*arguments, **settings)

    with nn.intercept_methods(look):
        batch = {"image": jnp.zeros((2, 28, 28, 1))}
        jax.eval_shape(lambda key: init(gan, key, batch), jax.random.key(0))
    return found
