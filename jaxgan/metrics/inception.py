"""Inception score: are single images clear, and are all together diverse?

Salimans et al., "Improved techniques for training GANs" (2016), section 4. Papers use Inception as
the classifier; digits have one of their own.
"""

import jax
import jax.numpy as jnp
from jax import Array

from jaxgan.metrics.inputs import Numbers, check_features
from jaxgan.metrics.intervals import Estimate, estimate
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError


def inception_score(logits: Numbers, key: PRNGKey, *, splits: int = 10) -> Estimate:
    """Computes `exp(E KL(p(class | image) || p(class)))` on random splits of the samples.

    Args:
        logits: float32 [N, K], K classes, N at least `splits`, all finite. Log probabilities are
            logits too.
        key: chooses the splits, so that the order of the samples does not matter.
        splits: parts whose scores are averaged; N modulo `splits` samples are left out. The score
            is biased downward, more so for smaller parts.

    Returns:
        Mean and standard deviation of the parts' scores, from 1 to K.

    Raises:
        UserError: if the shape is wrong, a logit is not finite, or `splits` is less than 1.
    """
    if splits < 1:
        raise UserError(f"the Inception score needs 1 split or more, not {splits}")
    checked = check_features(logits, "logits", at_least=splits)
    size = len(checked) // splits
    order = jax.random.permutation(key, len(checked))[: splits * size]
    return estimate(_score(checked[order].reshape(splits, size, -1)))


@jax.jit
def _score(logits: Array) -> Array:
    """Scores parts, [S, N, K] to [S]."""
    log_p = jax.nn.log_softmax(logits)
    log_marginal = jax.nn.logsumexp(log_p, axis=1, keepdims=True) - jnp.log(logits.shape[1])
    return jnp.exp((jnp.exp(log_p) * (log_p - log_marginal)).sum(axis=2).mean(axis=1))
