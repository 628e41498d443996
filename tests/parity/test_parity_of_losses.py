"""Every loss against PyTorch's function, or its formula in PyTorch: values and gradients."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from jaxgan import losses
from jaxgan.recipes.mnist_dcgan_bn import LOSS as DCGAN_BN_LOSS

Row = Callable[[Tensor], Tensor]
compiled = settings(max_examples=40, deadline=None)  # each new shape is compiled


def against(target: float, function: Callable[..., Tensor]) -> Row:
    return lambda scores: function(scores, torch.full_like(scores, target), reduction="none")


def hinge_loss(scores: Tensor) -> Tensor:
    return against(-1, F.hinge_embedding_loss)(scores)  # max(0, 1 - scores)


# Of each separable loss: D's on reals, D's on fakes, G's.
SEPARABLE = {
    "binary_cross_entropy": [against(t, F.binary_cross_entropy) for t in (1, 0, 1)],
    "non_saturating": [against(t, F.binary_cross_entropy_with_logits) for t in (1, 0, 1)],
    "least_squares": [against(t, F.mse_loss) for t in (1, 0, 1)],
    "hinge": [hinge_loss, lambda fake: hinge_loss(-fake), torch.neg],
    "wasserstein": [torch.neg, lambda fake: fake, torch.neg],
}


@pytest.fixture(scope="module", autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def scores_of(name: str) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    numbers = st.floats(-1e3, 1e3)
    if name == "binary_cross_entropy":
        # Nearer to 0 and 1 PyTorch bounds what the gradient divides by: see the test of the ends.
        numbers = st.floats(1e-10, 1 - 1e-10)
    if name == "hinge":
        numbers = numbers.filter(lambda x: abs(x) != 1)  # in the kink any gradient will do
    return st.integers(1, 9).flatmap(lambda n: st.tuples(*[arrays(float, n, elements=numbers)] * 2))


def assert_same(ours: Callable, theirs: Callable, *scores: np.ndarray) -> None:
    """Compares the losses `[B]` and, with a cotangent that differs by sample, all gradients.

    Absolute tolerances are of the rounding of 1: PyTorch's gradients are sigmoid(x) - 1 where ours
    are -sigmoid(-x), and ours is log(1 - p) where PyTorch has log1p(-p).
    """
    inputs = [torch.tensor(s, requires_grad=True) for s in scores]
    expected = theirs(*inputs)
    cotangent = np.arange(1.0, len(scores[0]) + 1)
    expected.backward(torch.tensor(cotangent))
    values, pullback = jax.vjp(ours, *map(jnp.asarray, scores))
    np.testing.assert_allclose(values, expected.detach(), rtol=1e-13, atol=1e-15)
    for gradient, given_to in zip(pullback(jnp.asarray(cotangent)), inputs, strict=True):
        wanted = 0 * cotangent if given_to.grad is None else given_to.grad.numpy()
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", SEPARABLE)
@given(st.data())
@compiled
def test_separable_losses(name, data):
    loss: losses.Loss = getattr(losses, name)
    on_real, on_fake, of_generator = SEPARABLE[name]
    real, fake = data.draw(scores_of(name))
    assert loss.real is not None and loss.fake is not None
    assert_same(loss.real, on_real, real)
    assert_same(loss.fake, on_fake, fake)
    assert_same(loss.discriminator, lambda r, f: on_real(r) + on_fake(f), real, fake)
    assert_same(lambda f: loss.generator(f, None), of_generator, fake)


@given(scores_of("relativistic"))
@compiled
def test_relativistic(scores):
    loss = losses.relativistic
    first_is_real = against(1, F.binary_cross_entropy_with_logits)
    assert_same(loss.discriminator, lambda real, fake: first_is_real(real - fake), *scores)
    assert_same(loss.generator, lambda fake, real: first_is_real(fake - real), *scores)


@given(scores_of("binary_cross_entropy"))
@compiled
def test_recorded_loss_of_mnist_dcgan_bn_has_a_constant(scores):
    real, fake = scores
    assert_same(lambda f: DCGAN_BN_LOSS.generator(f, None), lambda f: 1 - torch.log(f), fake)
    assert_same(
        DCGAN_BN_LOSS.discriminator, lambda r, f: -torch.log(r) - torch.log(1 - f), real, fake
    )


@given(st.floats(0, 1))
@example(0.0)
@example(1.0)
@example(5e-324)
@example(1e-44)
@compiled
def test_cross_entropy_is_bounded_at_the_ends_like_pytorchs(probability):
    """Values are PyTorch's everywhere, gradients those of -log (PyTorch's are off near 0 and 1).

    PyTorch computes (p - target) / max(p (1 - p), 1e-12), which below 1e-12 tends to -1e12 where
    the derivative of -log p is -1 / p, and at p = target is 0 where it is -1. Ours is 0 only where
    the bound of 100 on the loss has cut it off. With a sigmoid before it, -1 / p is right: the
    gradient by the logit is p - 1.
    """
    p = np.array([probability])
    loss = losses.binary_cross_entropy
    for ours, target in ((loss.real, 1), (loss.fake, 0)):
        assert ours is not None
        expected = against(target, F.binary_cross_entropy)(torch.tensor(p))
        np.testing.assert_allclose(ours(jnp.asarray(p)), expected, rtol=1e-13, atol=1e-15)
        right = p if target else 1 - p  # the probability of the right answer
        slope = (
            1 / right if np.log(right, where=right > 0, out=np.array([-999.0])) > -100 else 0 * p
        )
        gradient = jax.grad(lambda p, ours=ours: ours(p).sum())(jnp.asarray(p))
        np.testing.assert_allclose(gradient, -slope if target else slope, rtol=1e-13)


@given(st.floats(-800, 800))
@compiled
def test_cross_entropy_after_a_sigmoid(logit):
    """What a discriminator gets back: never a NaN, and PyTorch's wherever PyTorch's is accurate."""
    x = np.array([logit])
    for target, ours in (
        (1, losses.binary_cross_entropy.real),
        (0, losses.binary_cross_entropy.fake),
    ):
        assert ours is not None
        gradient = jax.grad(lambda x, ours=ours: ours(jax.nn.sigmoid(x)).sum())(jnp.asarray(x))
        assert np.isfinite(gradient).all()
        if abs(logit) < 20:
            logits = torch.tensor(x, requires_grad=True)
            against(target, F.binary_cross_entropy)(torch.sigmoid(logits)).sum().backward()
            assert logits.grad is not None
            np.testing.assert_allclose(gradient, logits.grad, rtol=1e-6)
