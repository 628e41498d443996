"""Checks of the arrays that users pass to metrics."""

import math
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Num

from jaxgan.util.errors import UserError

Numbers = Num[Array | np.ndarray, "..."]  # any shape and type; the functions check


def check_features(features: Numbers, name: str, *, at_least: int) -> Float[Array, "N D"]:
    """Checks the features of samples.

    Args:
        features: should be [N, D] and finite.
        name: what an error message calls them.
        at_least: the number of samples that the metric needs.

    Returns:
        The features, float32.

    Raises:
        UserError: if the shape is wrong, N is too small, or a feature is not finite.
    """
    return _check(features, name, at_least, 2, "[N, D], a row of features for each sample")


def check_pair(real: Numbers, fake: Numbers, *, at_least: int) -> tuple[Array, Array]:
    """Checks the features of reals and of fakes.

    Args:
        real: should be [N, D] and finite.
        fake: should be [M, D] and finite.
        at_least: the number of samples of each that the metric needs.

    Returns:
        Both, float32.

    Raises:
        UserError: as in `check_features`, or if they differ in D.
    """
    real, fake = check_sets({"real": real, "generated": fake}, at_least=at_least)
    return real, fake


def check_sets(sets: Mapping[str, Numbers], *, at_least: int) -> list[Array]:
    """Checks the features of several sets of samples.

    Args:
        sets: by what an error message calls the samples; each should be [N, D] and finite.
        at_least: the number of samples of each that the metric needs.

    Returns:
        The features, float32, in the same order.

    Raises:
        UserError: as in `check_features`, or if they differ in D.
    """
    checked = {
        name: check_features(features, f"{name} features", at_least=at_least)
        for name, features in sets.items()
    }
    (first, size), *others = ((name, features.shape[1]) for name, features in checked.items())
    for name, other in others:
        if other != size:
            raise UserError(
                f"{first} features have size {size} and {name} ones {other}; "
                "take both from the same extractor"
            )
    return list(checked.values())


def check_images(images: Numbers, name: str, *, at_least: int) -> Float[Array, "N H W C"]:
    """Checks images.

    Args:
        images: should be [N, H, W, C] and finite.
        name: what an error message calls them.
        at_least: the number of images that the metric needs.

    Returns:
        The images, float32.

    Raises:
        UserError: if the shape is wrong, N is too small, or a value is not finite.
    """
    return _check(images, name, at_least, 4, "[N, H, W, C]")


def magnitude(*arrays: Array) -> float:
    """Returns the power of two just above the largest absolute value.

    Dividing by it is exact, and powers of the quotients do not overflow.
    """
    largest = max(float(jnp.abs(array).max()) for array in arrays)
    return 2.0 ** min(max(math.frexp(largest)[1], -126), 126)  # float32, and so is its inverse


def _check(array: Numbers, name: str, at_least: int, rank: int, shape: str) -> Array:
    array = array if isinstance(array, Array) else np.asarray(array)
    if array.ndim != rank or 0 in array.shape[1:]:
        raise UserError(f"{name} must have the shape {shape}, not {list(array.shape)}")
    if len(array) < at_least:
        raise UserError(f"{len(array)} {name} are too few; the metric needs {at_least} or more")
    numbers = jnp.asarray(array, jnp.float32)
    bad = ~jnp.isfinite(numbers).all(axis=tuple(range(1, rank)))
    if bad.any():
        raise UserError(
            f"{name} must be finite; of {len(array)} samples {int(bad.sum())} hold NaN or "
            f"infinite numbers, number {int(bad.argmax())} the first"
        )
    return numbers
