"""The last touch: what is known takes its place in G's picture."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxgan.restoration.operators import Images, Mask, Operator
from jaxgan.types import PyTree

TOLERANCE = 1e-6  # of the slope at which least squares end, relative to that at the beginning
SAFETY = 1.1  # of the discrepancy principle: errors are rarely a little larger than they should be


def blend(mask: Mask, known: Images, made: Images) -> Images:
    """Fills holes with what G made, so that no seam shows (Poisson blending).

    In a hole, neighboring pixels differ as they do in `made`; at its border they continue what is
    known. Pixels beyond the edges of the picture are no neighbors.

    Source: Pérez et al., "Poisson Image Editing" (2003), equations 7 and 8; for GANs, Yeh et al.,
    "Semantic Image Inpainting with Deep Generative Models" (2017), section 3.4, whose code takes
    the pixels beyond the edges for 0.

    Args:
        mask: `[N, H, W, 1]`, true where a pixel is known, or `[1, H, W, 1]` for all images.
        known: `[N, H, W, C]`; what it has in the holes does not matter.
        made: `[N, H, W, C]`, by G.

    Returns:
        `[N, H, W, C]`, bit for bit `known` outside the holes. Where nothing is known, `made`.
    """
    offset = jnp.where(mask, known - made, 0)

    def slopes(x: Images) -> tuple[Array, Array]:
        filled = jnp.where(mask, 0, x)
        return jnp.diff(filled, axis=1), jnp.diff(filled, axis=2)

    # As little as possible of slope is added to that of `made`: a problem of least squares.
    right = (-jnp.diff(offset, axis=1), -jnp.diff(offset, axis=2))
    steps = 4 * sum(made.shape[1:3])  # enough for errors to cross the picture several times
    return jnp.where(mask, known, made + _least_squares(slopes, right, made, 0.0, steps))


def project(
    operator: Operator,
    made: Images,
    known: Float[Array, "N ..."],
    noise: float = 0.0,
    steps: int = 100,
) -> Images:
    """Moves pictures by as little as makes them agree with what is known.

    `x + A^+ (y - A x)`: what the operator A sees of a picture comes from y, all else (the null
    space of A) from x. A^+ is the pseudoinverse, by conjugate gradients: exact after one step for
    `downscale` and `gray`. A blur all but erases fine detail, so that its pseudoinverse would blow
    up the slightest error of y; the solution stops as soon as it is as close as the noise allows.

    Source: Wang et al., "GAN Prior based Null-Space Learning for Consistent Super-Resolution"
    (2023), equation 6; stopped by the discrepancy principle of Morozov (1966).

    Args:
        operator: A, any linear function of images.
        made: x, `[N, H, W, C]`, by G.
        known: y, `[N, ...]`.
        noise: standard deviation of the errors in y, such as those of rounding.
        steps: at most.

    Returns:
        `[N, H, W, C]`.
    """
    enough = SAFETY * noise * math.sqrt(math.prod(known.shape[1:]))
    return made + _least_squares(operator, known - operator(made), made, enough, steps)


def _least_squares(
    function: Callable[[Images], PyTree], right: PyTree, like: Images, enough: float, steps: int
) -> Images:
    """Finds the least x for which `function(x)` is closest to `right`, by conjugate gradients.

    Source: Hestenes and Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems"
    (1952), section 10.

    Args:
        function: linear, example by example.
        right: arrays `[N, ...]`.
        like: of the shape of x, `[N, ...]`.
        enough: the distance from `right` at which an example stops; 0 for the closest.
        steps: at most.

    Returns:
        x, `[N, ...]`.
    """
    transpose = jax.linear_transpose(function, like)

    def square(tree: PyTree) -> Array:
        """Sums the squares of each example."""
        parts = [(x**2).reshape(len(x), -1).sum(1) for x in jax.tree.leaves(tree)]
        return jnp.stack(parts).sum(0)

    def along(scales: Array, tree: PyTree) -> PyTree:
        """Multiplies each example by its number."""
        return jax.tree.map(lambda x: scales.reshape(-1, *[1] * (x.ndim - 1)) * x, tree)

    def divide(a: Array, b: Array, where: Array) -> Array:
        return jnp.where(where, a / jnp.where(where, b, 1), 0)

    slope = transpose(right)[0]
    flat = TOLERANCE**2 * square(slope)

    def is_moving(residual: PyTree, slope: Array) -> Array:
        return (square(slope) > flat) & (square(residual) > enough**2)

    def goes_on(now: tuple) -> Array:
        step, _, residual, slope, _ = now
        return (step < steps) & is_moving(residual, slope).any()

    def move(now: tuple) -> tuple:
        step, x, residual, slope, direction = now
        moving = is_moving(residual, slope)
        image = function(direction)
        stride = divide(square(slope), square(image), moving & (square(image) > 0))
        residual = jax.tree.map(jnp.subtract, residual, along(stride, image))
        after = transpose(residual)[0]
        ratio = divide(square(after), square(slope), moving)
        x = x + along(stride, direction)
        return step + 1, x, residual, after, after + along(ratio, direction)

    start = (jnp.zeros((), jnp.int32), jnp.zeros_like(like), right, slope, slope)
    return lax.while_loop(goes_on, move, start)[1]
