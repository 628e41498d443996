"""Regularizers against PyTorch: values, and their gradients by parameters."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from compare import assert_parity
from tiny_systems import Plain, small_gan, to_float64
from torch import Tensor

from jaxgan import regularizers
from jaxgan.core.gan import init
from jaxgan.core.networks import linen
from jaxgan.core.state import GANState
from jaxgan.keys import per_example, stream

KEY = jax.random.key(1)
RANDOM = np.random.default_rng(3)


def test_path_length():
    """The average within the penalty has a gradient of its own."""
    with jax.enable_x64(True):
        gan = small_gan(generator=linen(Plain(3)), discriminator=linen(Plain()))
        gan = replace(gan, generator_optimizer=optax.sgd(1.0))  # whose step is the gradient
        update = regularizers.path_length(gan, 3.0, decay=0.6)
        batch = {"image": jnp.zeros((4, 3))}
        first = init(gan, KEY, batch, update).with_extra(path_length=jnp.float64(0.5))
        state: GANState = to_float64(first)
        after, metrics = jax.jit(update.apply)(state, batch, KEY)
        z = np.asarray(gan.inputs(stream(KEY, "latents"), 4, batch))
        keys = per_example(stream(KEY, "noise"), 4)
        noise = np.array([jax.random.normal(key, (3,), float) for key in keys])

    params = jax.tree.map(
        lambda x: torch.tensor(np.asarray(x), requires_grad=True), state.generator.params
    )

    def generator(z: Tensor) -> Tensor:
        second, first = params["Dense_0"], params["Dense_1"]
        hidden = torch.tanh(z @ first["kernel"] + first["bias"])
        return hidden @ second["kernel"] + second["bias"]

    at = torch.tensor(z, requires_grad=True)
    (slopes,) = torch.autograd.grad(
        (generator(at) * torch.tensor(noise)).sum(), at, create_graph=True
    )
    lengths = slopes.norm(dim=1)
    average = 0.6 * 0.5 + 0.4 * lengths.mean()
    penalty = 3 * ((lengths - average) ** 2).mean()
    penalty.backward()
    close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
    close(metrics["path_penalty"], penalty.detach())
    close(after.extra["path_length"], average.detach())
    for name in ("Dense_0", "Dense_1"):
        step = state.generator.params[name]["kernel"] - after.generator.params[name]["kernel"]
        close(step, params[name]["kernel"].grad)
    assert np.abs(step).max() > 1e-3


def test_orthogonality_and_orthonormality():
    def filters(kernel: Tensor) -> Tensor:
        """In PyTorch's layout, one filter per row."""
        return kernel.movedim(-1, 0).flatten(1)

    def orthogonality(*kernels: Tensor) -> Tensor:
        rows = [filters(kernel) for kernel in kernels]
        parts = [((w @ w.T) * (1 - torch.eye(len(w)))).norm() ** 2 for w in rows]
        return torch.stack(parts).sum()

    def orthonormality(*kernels: Tensor) -> Tensor:
        rows = [filters(kernel) for kernel in kernels]
        return torch.stack([(w @ w.T - torch.eye(len(w))).norm() ** 2 for w in rows]).sum()

    kernels = RANDOM.normal(size=(3, 3, 2, 4)), RANDOM.normal(size=(5, 3))
    assert_parity(lambda *params: regularizers.orthogonality(params), orthogonality, *kernels)
    assert_parity(lambda *params: regularizers.orthonormality(params), orthonormality, *kernels)
