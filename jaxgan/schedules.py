"""Schedules that optax lacks. Like those of optax, they are functions of the step number."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from jaxgan.types import Scalar


def cosine(first: Scalar, last: Scalar, steps: int | float) -> Callable[[Array], Array]:
    """Makes a schedule that goes from one number to another along half a cosine, and stays there.

    `first + (last - first) * (1 - cos(pi * step / steps)) / 2`. Unlike
    `optax.cosine_decay_schedule`, it may start at 0.

    The burn-in of R3GAN moves the learning rate, Adam's beta2, the weight of R1 and R2, and the
    half-life of the average of G this way, all in the same number of images seen:

        burn_in = 20_000_000 / batch_size  # steps
        adam = optax.inject_hyperparams(optax.adam)(
            learning_rate=cosine(2e-4, 5e-5, burn_in), b1=0.0, b2=cosine(0.9, 0.99, burn_in)
        )
        update_average(half_life(cosine(0.0, 5_000_000 / batch_size, burn_in)))

    Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline" (2024),
    appendix D.

    Args:
        first: at step 0.
        last: from `steps` on; at once, if these are 0.
        steps: how many steps it takes (of images seen: images / batch size).

    Returns:
        A function of the step number, a scalar.
    """

    def value(step: Array) -> Array:
        passed = jnp.where(step < steps, step / jnp.maximum(steps, 1), 1)  # never 0 / 0
        share = (1 - jnp.cos(jnp.pi * passed)) / 2
        return first + (last - first) * share

    return value
