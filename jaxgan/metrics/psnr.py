"""How far images are from the true ones: mean squared errors, and PSNR of them."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from jaxgan.metrics.inputs import Numbers, check_images
from jaxgan.util.errors import UserError


def squared_errors(
    a: Numbers, b: Numbers, mask: Bool[Array | np.ndarray, "..."] | None = None
) -> Float[Array, "N"]:
    """Computes the mean squared error of each image.

    Args:
        a: [N, H, W, C].
        b: [N, H, W, C].
        mask: the pixels to look at, bool [N, H, W, 1], or [1, H, W, 1] for all images; None for all
            pixels.

    Returns:
        [N]: means over the pixels and channels; NaN for an image without a pixel to look at.

    Raises:
        UserError: if a shape is wrong, or a value is not finite.
    """
    a, b = (check_images(images, "images", at_least=1) for images in (a, b))
    if a.shape != b.shape:
        raise UserError(f"errors are of images pair by pair, not of {a.shape} and {b.shape}")
    if mask is None:
        return ((a - b) ** 2).mean((1, 2, 3))
    if mask.shape not in ((len(a), *a.shape[1:3], 1), (1, *a.shape[1:3], 1)):
        raise UserError(f"a mask of the shape {mask.shape} does not fit images {a.shape}")
    where = jnp.broadcast_to(mask, a.shape)
    return jnp.where(where, (a - b) ** 2, 0).sum((1, 2, 3)) / where.sum((1, 2, 3))


def psnr(errors: Numbers, *, data_range: int | float | np.number) -> Float[Array, "..."]:
    """Converts mean squared errors to peak signal-to-noise ratios.

    Of several images, papers give either the mean of their PSNRs, or the PSNR of their mean error,
    which is lower: `psnr(errors, ...).mean()` or `psnr(errors.mean(), ...)`.

    Args:
        errors: what `squared_errors` returned, or means of them: [...].
        data_range: the value of white, such as 255 for uint8 images; black is 0.

    Returns:
        [...], in decibels; infinite where there is no error.
    """
    return 10 * jnp.log10(jnp.square(jnp.float32(data_range)) / jnp.asarray(errors, jnp.float32))
