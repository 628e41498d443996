"""Terms against their formulas in PyTorch, example by example, with all gradients."""

import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from compare import assert_parity
from torch import Tensor
from torch.distributions import Normal

from jaxgan import terms

LABELS = np.array([0, 2, 0, 1, 2, 0])
RANDOM = np.random.default_rng(2)


def cosines(x: Tensor, proxies: Tensor) -> tuple[list[Tensor], Tensor]:
    return list(F.cosine_similarity(x, proxies)), F.cosine_similarity(x[:, None], x[None], dim=2)


def others(i: int) -> list[int]:
    return [j for j in range(len(LABELS)) if j != i]


def test_contrastive():
    def theirs(x: Tensor, proxies: Tensor) -> Tensor:
        to_proxy, between = cosines(x, proxies)
        rows = []
        for i, own in enumerate(to_proxy):
            alike = [between[i, j] for j in others(i) if LABELS[i] == LABELS[j]]
            all_others = [between[i, j] for j in others(i)]
            near, all_of_them = (torch.stack([own, *s]) / 0.7 for s in (alike, all_others))
            rows.append(-torch.log(near.exp().sum() / all_of_them.exp().sum()))
        return torch.stack(rows)

    def ours(x, proxies):
        return terms.contrastive(x, proxies, jnp.asarray(LABELS), 0.7)

    assert_parity(ours, theirs, *RANDOM.normal(size=(2, 6, 4)))


def test_data_to_data():
    def theirs(x: Tensor, proxies: Tensor) -> Tensor:
        to_proxy, between = cosines(x, proxies)
        rows = []
        for i, own in enumerate(to_proxy):
            near = (-F.relu((0.8 - own) / 0.6)).exp()
            far = [F.relu((between[i, j] - 0.2) / 0.6).exp() for j in others(i)]
            wrong = sum(s for s, j in zip(far, others(i), strict=True) if LABELS[i] != LABELS[j])
            rows.append(-torch.log(near / (near + wrong)))
        return torch.stack(rows)

    def ours(x, proxies):
        return terms.data_to_data(x, proxies, jnp.asarray(LABELS), 0.6, 0.8)

    assert_parity(ours, theirs, *RANDOM.normal(size=(2, 6, 4)))


def test_gaussian_code():
    def theirs(codes: Tensor, means: Tensor, variances: Tensor) -> Tensor:
        return -Normal(means, variances.sqrt()).log_prob(codes).sum(1)

    codes, means, spread = RANDOM.normal(size=(3, 4, 2))
    assert_parity(terms.gaussian_code, theirs, codes, means, np.exp(spread))


def test_feature_matching():
    def theirs(real: Tensor, fake: Tensor) -> Tensor:
        return F.l1_loss(fake.mean(0), real.mean(0)).expand(4)

    assert_parity(terms.feature_matching, theirs, *RANDOM.normal(size=(2, 4, 3)))
