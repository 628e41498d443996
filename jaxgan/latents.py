"""Latents: distributions to draw them from, ways between two, and directions to move them in.

Where training draws from `normal`, samples may come from `truncated_normal`: less variety, fewer
failures. `slerp` and `lerp` walk from one latent to another, `mix` moves normal latents towards
others without changing their distribution, and a row of `sefa` is a direction along which to move
one:

    images = generate(gan, state, slerp(a, b, 0.5))
    images = generate(gan, state, a + 3 * sefa(first_layer(gan, state, a))[:1])
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxgan.types import Latents, PRNGKey, PyTree, Scalar


@runtime_checkable
class Inputs(Protocol):
    """What a generator sees: latents, latents with labels, or pictures."""

    def __call__(self, key: PRNGKey, n: int, batch: Mapping[str, Any], /) -> PyTree:
        """Draws the inputs of a batch; pure.

        Args:
            key: a typed key, scalar.
            n: how many examples.
            batch: what the examples are conditioned on, such as "label" `[n]`: the batch of real
                examples in training, the caller's choice in sampling.

        Returns:
            Arrays `[n, ...]`, or a tuple of them for a network with several inputs.
        """
        ...


def normal(size: int) -> Callable[..., Latents]:
    """Makes a sampler of standard normal latents.

    Args:
        size: numbers in one latent.

    Returns:
        `(key, n, batch) -> [n, size]`, float32 (float64 under x64); `batch` may be left out.
    """
    return lambda key, n, batch=None: jax.random.normal(key, (n, size))


def uniform(size: int) -> Callable[..., Latents]:
    """Makes a sampler of latents from U(-1, 1).

    Args:
        size: numbers in one latent.

    Returns:
        `(key, n, batch) -> [n, size]`, float32 (float64 under x64); `batch` may be left out.
    """
    return lambda key, n, batch=None: jax.random.uniform(key, (n, size), minval=-1.0, maxval=1.0)


def truncated_normal(size: int, threshold: Scalar) -> Callable[..., Latents]:
    """Makes a sampler of normal latents without numbers beyond a threshold.

    Source: Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis"
    (2019), section 3.1: numbers that fall outside are drawn again.

    Args:
        size: numbers in one latent.
        threshold: the largest absolute value, above 0.

    Returns:
        `(key, n, batch) -> [n, size]`, float32 (float64 under x64); `batch` may be left out.
    """
    return lambda key, n, batch=None: jax.random.truncated_normal(
        key, -threshold, threshold, (n, size)
    )


def lerp(a: Float[Array, "... Z"], b: Float[Array, "... Z"], t: Scalar) -> Float[Array, "... Z"]:
    """Interpolates along the straight line, `(1 - t) * a + t * b`.

    Args:
        a: `[..., Z]`, where t is 0.
        b: `[..., Z]`, where t is 1.
        t: one number, or one for each latent: `[...]`. Leading axes may be 1 in any of the three.

    Returns:
        `[..., Z]`.
    """
    t = _for_latents(t, a)
    return (1 - t) * a + t * b


def slerp(a: Float[Array, "... Z"], b: Float[Array, "... Z"], t: Scalar) -> Float[Array, "... Z"]:
    """Interpolates along the great circle, so that normal latents keep their typical length.

    `(sin((1 - t) w) * a + sin(t w) * b) / sin(w)`, where w is the angle between a and b. Where they
    are parallel, or opposite and no circle is the shortest, it is `lerp`.

    Source: Shoemake, "Animating Rotation with Quaternion Curves" (1985); for GANs, White, "Sampling
    Generative Networks" (2016).

    Args:
        a: `[..., Z]`, where t is 0.
        b: `[..., Z]`, where t is 1.
        t: one number, or one for each latent: `[...]`. Leading axes may be 1 in any of the three.

    Returns:
        `[..., Z]`.
    """
    squares = (a**2).sum(-1, keepdims=True) * (b**2).sum(-1, keepdims=True)
    product = (a * b).sum(-1, keepdims=True)
    # Of angles whose square is lost beside 1, sines have no correct digits; nor has a length of 0.
    straight = squares - product**2 <= jnp.finfo(a.dtype).eps * squares
    cosine = jnp.where(straight, 0, product / jnp.sqrt(jnp.where(straight, 1, squares)))
    angle = jnp.arccos(cosine)
    t = _for_latents(t, a)
    arc = (jnp.sin((1 - t) * angle) * a + jnp.sin(t * angle) * b) / jnp.sin(angle)
    return jnp.where(straight, (1 - t) * a + t * b, arc)


def mix(a: Float[Array, "..."], b: Float[Array, "..."], t: Scalar) -> Float[Array, "..."]:
    """Moves normal latents towards others, `sqrt(1 - t^2) * a + t * b`.

    If a and b are independent draws from N(0, 1), so is what is between them, whatever t is.

    Args:
        a: where t is 0.
        b: of the same shape: where t is 1.
        t: one number, 0 to 1.

    Returns:
        Latents of the same shape.
    """
    t = jnp.asarray(t, a.dtype)
    return jnp.sqrt(1 - t**2) * a + t * b


def _for_latents(t: Scalar, like: Array) -> Array:
    """Lays out numbers so that each belongs to a whole latent."""
    t = jnp.asarray(t, like.dtype)
    return t[..., None] if t.ndim else t


def sefa(matrix: Float[Array, "Z F"]) -> Float[Array, "Z Z"]:
    """Finds the directions in which a first layer `latents @ matrix + bias` changes most.

    They are the eigenvectors of `matrix @ matrix.T`, and need neither samples nor labels. In a
    network without a style mapping, the matrix is that of G's first layer
    (`jaxgan.first_layer`). In StyleGAN2, where styles are edited instead of latents, it is
    `jaxgan.models.stylegan2.style_matrix`.

    Source: Shen and Zhou, "Closed-Form Factorization of Latent Semantics in GANs" (2021). Its code
    divides each column of the matrix by its length first, the paper does not.

    Args:
        matrix: `[Z, F]`.

    Returns:
        `[Z, Z]`: orthogonal rows of length 1, from the most effective direction to the least. Of
        the two signs, that which makes the number of largest absolute value positive.
    """
    _, columns = jnp.linalg.eigh(jnp.matmul(matrix, matrix.T, precision="highest"))
    directions = columns.T[::-1]
    largest = jnp.abs(directions).argmax(-1, keepdims=True)
    return directions * jnp.sign(jnp.take_along_axis(directions, largest, -1))
