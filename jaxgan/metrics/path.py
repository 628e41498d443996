"""Perceptual path length: how fast features of images change on the way between two latents.

The generator, the way and the features are one function of how far the ways have come:

    def path(t):
        images = generate(gan, state, slerp(a, b, t))  # latents a and b, [N, Z]
        return extractor.features((images + 1) / 2)

    lengths = path_lengths(path, jax.random.uniform(key, (N,)))
    perceptual_path_length(lengths)

Between styles of StyleGAN2, [N, L, S], whose noise must be the same at both ends of a step:

    def path(t):
        styles = lerp(a, b, t[:, None])
        images = module.apply(variables, styles, noise, method="to_images")
        return extractor.features((images + 1) / 2)

Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks" (2019),
section 4.1: 100,000 ways, features of VGG16 as LPIPS weighs them, `slerp` of latents, `lerp` of
styles. Values under other features are not comparable, so say which: on MNIST those of
`jaxgan.features.digits`.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxgan.metrics.inputs import Numbers, check_features

TRIMMED = 1  # percent of the lengths, at either end


def path_lengths(
    path: Callable[[Float[Array, "N"]], Float[Array, "N ..."]],
    places: Float[Array, "N"],
    step: float = 1e-4,
) -> Float[Array, "N"]:
    """Computes squared speeds, `|| path(t + step) - path(t) ||^2 / step^2`; pure.

    In float32, much smaller steps than this would be lost in rounding.

    Args:
        path: from places to features, each place on a way of its own.
        places: t, in [0, 1]; from U(0, 1), or 0 to look at the ends alone.
        step: epsilon in the source.

    Returns:
        `[N]`.
    """
    change = (path(places + step) - path(places)) / step
    return (change.reshape(len(places), -1) ** 2).sum(1)


def perceptual_path_length(lengths: Numbers) -> float:
    """Computes the mean of the lengths between the 1st and the 99th percentile.

    Args:
        lengths: of `path_lengths`, `[N]`, N at least 1.

    Returns:
        The metric; less is smoother.

    Raises:
        UserError: if the shape is wrong, or a length is not finite.
    """
    checked = check_features(jnp.asarray(lengths)[..., None], "path lengths", at_least=1)[:, 0]
    low = jnp.percentile(checked, TRIMMED, method="lower")
    high = jnp.percentile(checked, 100 - TRIMMED, method="higher")
    kept = (checked >= low) & (checked <= high)
    return float(checked.mean(where=kept))
