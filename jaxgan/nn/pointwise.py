"""Dense layers of each pixel by itself, which are convolutions of 1 x 1."""

from functools import partial
from typing import Any

from flax import linen as nn
from jax import Array, lax
from jaxtyping import Float


def product_of_rows(
    inputs: Float[Array, "*axes C"],
    kernel: Float[Array, "C F"],
    dimension_numbers: lax.DotDimensionNumbers,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Float[Array, "*axes F"]:
    """Multiplies the last axis of inputs by a kernel, in one product of two matrices.

    It stands for `lax.dot_general` in a `nn.Dense`. There, with several axes before the last, XLA
    transposes all pixels on a CPU for the gradient by the kernel.

    Args:
        inputs: `[..., C]`.
        kernel: `[C, F]`.
        dimension_numbers: those of such a product, as `nn.Dense` gives them.
        precision: as in `lax.dot_general`.
        preferred_element_type: the same.

    Returns:
        `[..., F]`.

    Raises:
        ValueError: if other axes are to be multiplied.
    """
    *axes, channels = inputs.shape
    if dimension_numbers != (((len(axes),), (0,)), ((), ())):
        raise ValueError(f"a product of the last axis by the first, not of {dimension_numbers}")
    product = lax.dot_general(
        inputs.reshape(-1, channels),
        kernel,
        (((1,), (0,)), ((), ())),
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    return product.reshape(*axes, kernel.shape[1])


#: A dense layer of pixels, `[B, H, W, C]` to `[B, H, W, features]`, or of vectors.
PixelDense = partial(nn.Dense, dot_general=product_of_rows)
