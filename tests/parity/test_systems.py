"""Twenty-five iterations of every system, in jaxgan and in PyTorch, compared after each."""

import math
from collections import defaultdict

import jax
import numpy as np
import pytest
import torch
from pair import BATCH, Pair
from systems import SYSTEMS

from jaxgan.recipes.mnist_dcgan_bn import MnistDcganBn

ITERATIONS = 25
ROLES = ("discriminator", "generator")
slow = pytest.mark.slow


@pytest.mark.parametrize("name", SYSTEMS)
def test_float64_agrees_after_every_iteration(name):
    with jax.enable_x64(True):
        pair = Pair(name, np.float64)
        history = [pair.train() for _ in range(ITERATIONS)]
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
    "name", ["pattern_1010", "mnist_mlp", *(pytest.param(n, marks=slow) for n in list(SYSTEMS)[2:])]
)
def test_float32_starts_like_pytorch(name):
    """The parameters in float32, of both libraries, against PyTorch's in float64.

    Rounding does not stay small: it decides the sign, and so with Adam the whole step, of every
    number whose gradient is next to nothing, and now and then the side of 0 on which a ReLU finds
    itself. Either library can be the one that it happens to: after 25 iterations of mnist_mlp,
    1.3e-3 in jaxgan's discriminator and 2e-7 in PyTorch's. So the drift of all iterations is
    printed, and the bound is on the first ones, before such a chance has grown.
    """
    pair = Pair(name, np.float32)
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
            ours = flat({n: pair.carried(role, getattr(pair.state, role))[n] for n in weights})
            theirs = flat(dict(getattr(pair.system, role).named_parameters()))
            apart, our_drift, their_drift = (
                float(np.linalg.norm(x - y) / np.linalg.norm(truth))
                for x, y in ((ours, theirs), (ours, truth), (theirs, truth))
            )
            print(
                f"  iteration {iteration:2} {role:13} jaxgan - PyTorch {apart:.1e}, "
                f"jaxgan - float64 {our_drift:.1e}, PyTorch - float64 {their_drift:.1e}"
            )
            if iteration < ITERATIONS:
                assert apart < 1e-4


def flat(weights) -> np.ndarray:
    return np.concatenate(
        [np.asarray(w.detach() if isinstance(w, torch.Tensor) else w, np.float64).ravel()
         for w in weights.values()]
    )  # fmt: skip


def test_full_batch_sets_the_momentum_of_the_system():
    """The pairs have small batches, on which the momentum of this recipe depends."""
    gan = MnistDcganBn().gan((28, 28, 1))
    assert gan.generator.momentum == gan.discriminator.momentum == math.exp(-128 / 5000)
    small = Pair("mnist_dcgan_bn", np.float32).gan
    assert BATCH["mnist_dcgan_bn"] != 128
    assert math.isclose(small.generator.momentum, math.exp(-128 / 5000), rel_tol=1e-15)
