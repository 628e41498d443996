"""Adam with a learning rate and a beta2 that move, against PyTorch's, whose settings are set."""

import jax
import numpy as np
import optax
import torch

from jaxgan.schedules import cosine

STEPS = 8


def test_adam_in_the_burn_in_of_r3gan():
    def moving(first, last):
        return lambda step: cosine(first, last, 5)(step.astype(float))  # in float64

    adam = optax.inject_hyperparams(optax.adam)(moving(2e-4, 5e-5), b1=0.0, b2=moving(0.9, 0.99))
    gradients = np.random.default_rng(0).normal(size=(STEPS, 3))
    theirs = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    reference = torch.optim.Adam([theirs])
    with jax.enable_x64(True):
        ours = jax.numpy.zeros(3)
        state = adam.init(ours)
        update = jax.jit(adam.update)
        for step, gradient in enumerate(gradients):
            share = (1 - np.cos(np.pi * min(step / 5, 1))) / 2
            settings = {"lr": 2e-4 - 1.5e-4 * share, "betas": (0.0, 0.9 + 0.09 * share)}
            reference.param_groups[0].update(settings)
            theirs.grad = torch.tensor(gradient)
            reference.step()
            changes, state = update(gradient, state)
            ours = optax.apply_updates(ours, changes)
            np.testing.assert_allclose(np.asarray(ours), theirs.detach(), rtol=1e-10)
