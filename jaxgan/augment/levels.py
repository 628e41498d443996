"""Noise and augmentations of levels: several pictures of one example, which D judges as one.

A generator that makes a picture in steps shows D what it has after each. The earlier a level, the
more noise hides it, so that early steps answer for the coarse content alone. With

    show = of_batch(on_levels(compose(color(), translation(), cutout())))
    hide = of_batch(level_noise())

a GAN's view is `hide(show(levels, key), key)`, with two keys. Levels are `[L, H, W, C]`; an array
`[1, H, W, C]` is a picture that is the same at all levels, as reals are.

Source: Hyun et al., "Scalable GANs with Transformers" (2025), and its code.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxgan.augment.composition import Augmentation
from jaxgan.types import PRNGKey

Levels = Float[Array, "L H W C"]  # pictures of one example


def on_levels(augmentation: Augmentation) -> Callable[[Levels, PRNGKey], Levels]:
    """Lifts an augmentation to the levels of an example, which all change by the same draw.

    Args:
        augmentation: of one image. What it computes of an image, such as a mean, is each level's
            own; in the source's code, the last level's.

    Returns:
        `(levels [L, H, W, C], key) -> levels`.
    """
    return jax.vmap(augmentation, (0, None))


def noise_shares(levels: int = 4, least: float = 0.125) -> Float[np.ndarray, "L"]:
    """Computes how much of each level is noise, `t_i = 1.01 - least^(1 - i / (L - 1))`.

    Args:
        levels: L, at least 2.
        least: what remains of the first level.

    Returns:
        `[L]`, falling, down to 0.01.

    Raises:
        ValueError: if there is only one level.
    """
    if levels < 2:
        raise ValueError(f"noise falls from level to level: there must be 2 at least, not {levels}")
    return 1.01 - least ** (1 - np.arange(levels) / (levels - 1))


def level_noise(shares: Sequence[float] | None = None) -> Callable[[Levels, PRNGKey], Levels]:
    """Makes the noise that hides levels: of level i there remains `(1 - t_i) * x_i + n_i`.

    `n_i` is normal with the standard deviation `t_i`. The noises of an example are a chain from the
    last level to the first: `n_i = r n_(i+1) + sqrt(t_i^2 - r^2 t_(i+1)^2) e_i` with independent
    `e_i` and `r = (1 - t_i) / (1 - t_(i+1))`. Where pictures are alike, a level is therefore what
    the next one is, with more noise.

    Args:
        shares: t, falling numbers in (0, 1); None for the four of `noise_shares`.

    Returns:
        `(levels [L, H, W, C], key) -> [L, H, W, C]`, which also takes `[1, H, W, C]`.

    Raises:
        ValueError: if shares do not fall, or one is not in (0, 1).
    """
    noise = np.asarray(noise_shares() if shares is None else shares)
    if not ((noise > 0) & (noise < 1)).all() or (np.diff(noise) >= 0).any():
        raise ValueError(f"shares of noise must fall, and be above 0 and below 1, not {noise}")
    chain = _chain(noise)

    def hide(levels: Float[Array, "#L H W C"], key: PRNGKey) -> Levels:
        drawn = jax.random.normal(key, (len(noise), *levels.shape[1:]), levels.dtype)
        kept = jnp.asarray(1 - noise, levels.dtype).reshape(-1, 1, 1, 1)
        return kept * levels + jnp.tensordot(jnp.asarray(chain, levels.dtype), drawn, 1)

    return hide


def _chain(shares: Float[np.ndarray, "L"]) -> Float[np.ndarray, "L L"]:
    """The matrix that makes the noises of all levels of as many independent ones."""
    matrix, later = np.zeros((len(shares), len(shares))), 0.0
    row = np.zeros(len(shares))
    for level in reversed(range(len(shares))):
        share = shares[level]
        rest = (1 - share) / (1 - later)
        row = rest * row
        row[level] = np.sqrt(share**2 - (rest * later) ** 2)
        matrix[level], later = row, share
    return matrix
