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
compiled = settings(max_examples=12, deadline=None)  # each new shape is compiled


def against(target: float, function: Callable[..., Tensor]) -> Row:
    return lambda scores: function(scores, torch.full_like(scores, target), reduction="none")


def hinge_loss(scores: Tensor) -> Tensor:
    return against(-1, F.hinge_embedding_loss)(scores)  # max(0, 1 - scores)


def cross_entropy(target: float) -> Row:
    """What PyTorch computes after a sigmoid: of logits, by way of probabilities."""
    return lambda scores: against(target, F.binary_cross_entropy)(torch.sigmoid(scores))


# Of each separable loss: D's on reals, D's on fakes, G's.
SEPARABLE = {
    "binary_cross_entropy": [cross_entropy(target) for target in (1, 0, 1)],
    "non_saturating": [against(t, F.binary_cross_entropy_with_logits) for t in (1, 0, 1)],
    "least_squares": [against(t, F.mse_loss) for t in (1, 0, 1)],
    "hinge": [hinge_loss, lambda fake: hinge_loss(-fake), torch.neg],
    "wasserstein": [torch.neg, lambda fake: fake, torch.neg],
    "minimax": [
        against(1, F.binary_cross_entropy_with_logits),
        against(0, F.binary_cross_entropy_with_logits),
        lambda scores: -against(0, F.binary_cross_entropy_with_logits)(scores),
    ],
}


@pytest.fixture(scope="module", autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def scores_of(name: str) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    numbers = st.floats(-1e3, 1e3)
    if name == "binary_cross_entropy":
        # Beyond, the last bit of a sigmoid near 1 decides: see the test of the ends.
        numbers = st.floats(-6, 6)
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
    np.testing.assert_allclose(values, expected.detach(), rtol=1e-13, atol=1e-14)
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
    def discriminator(real: Tensor, fake: Tensor) -> Tensor:
        return -torch.log(torch.sigmoid(real)) - torch.log(1 - torch.sigmoid(fake))

    def generator(fake: Tensor) -> Tensor:
        return 1 - torch.log(torch.sigmoid(fake))

    real, fake = scores
    assert_same(lambda f: DCGAN_BN_LOSS.generator(f, None), generator, fake)
    assert_same(DCGAN_BN_LOSS.discriminator, discriminator, real, fake)


@given(st.floats(-800, 800))
@example(-800.0)
@example(800.0)
@compiled
def test_cross_entropy_is_bounded_at_the_ends_like_pytorchs(logit):
    """Values are PyTorch's everywhere; what a discriminator gets back is never NaN.

    Gradients are `sigmoid(logit) - target`. Far out, PyTorch's tend to 0, as it divides by no less
    than 1e-12; ours are 0 only where the bound of 100 on the loss has cut them off.
    """
    x = np.array([logit])
    loss = losses.binary_cross_entropy
    for ours, target in ((loss.real, 1), (loss.fake, 0)):
        assert ours is not None
        logits = torch.tensor(x, requires_grad=True)
        expected = cross_entropy(target)(logits)
        values, pullback = jax.vjp(ours, jnp.asarray(x))
        # Where the loss is large, the last bit of a sigmoid near 1, or near the bound, decides.
        if abs(logit) < 20 or abs(logit) > 105 or (logit > 0) == bool(target):
            np.testing.assert_allclose(values, expected.detach(), rtol=1e-6, atol=1e-15)
        assert 0 <= values[0] <= 100
        (gradient,) = pullback(jnp.ones(1))
        assert np.isfinite(gradient).all()
        if abs(logit) < 20:
            expected.sum().backward()
            assert logits.grad is not None
            np.testing.assert_allclose(gradient, logits.grad, rtol=1e-6)


def test_the_multi_class_hinge_is_that_of_the_hardest_other_class():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 5, 6)

    def theirs(scores: Tensor) -> Tensor:
        own = torch.tensor(labels)[:, None]
        margins = 1 + scores - scores.gather(1, own)
        return margins.scatter(1, own, 0.0).amax(1)  # of the own class, 0

    scores = 2 * draw.normal(size=(6, 5))
    assert_same(lambda s: losses.crammer_singer(s, jnp.asarray(labels)), theirs, scores)
