"""The augmentations of ADA, each with a probability.

Source: Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020), appendix
B and its code, where `geometry` is "bg" (blits and general transformations) and `color` is "c".
"""

import jax.numpy as jnp

from jaxgan.augment import affine, colors
from jaxgan.augment.composition import Augmentation, compose
from jaxgan.augment.matrices import by_chance, product
from jaxgan.types import Scalar


def bgc(probability: Scalar) -> Augmentation:
    """Makes the augmentation that the source found best: `geometry`, then `color`.

    Args:
        probability: of each transformation, in [0, 1]; it may be traced, as an update moves it.

    Returns:
        The augmentation, of images of 1 or 3 channels.
    """
    return compose(geometry(probability), color(probability))


def geometry(probability: Scalar) -> Augmentation:
    """Makes the augmentation that moves pixels, by one warp.

    Mirror image, quarter turns, a shift by whole pixels, a scale, a turn, a stretch, another turn,
    and any shift, in this order.

    Args:
        probability: of each transformation, in [0, 1]; it may be traced. The two turns have the
            probability together.

    Returns:
        The augmentation, of images of any number of channels.
    """
    once = 1 - jnp.sqrt(1 - probability)  # of either turn
    return affine.warped(
        product(
            by_chance(affine.mirror, probability),
            by_chance(affine.quarter_turn, probability),
            by_chance(affine.whole_shift(), probability),
            by_chance(affine.zoom(), probability),
            by_chance(affine.turn, once),
            by_chance(affine.stretch(), probability),
            by_chance(affine.turn, once),
            by_chance(affine.shift(), probability),
        )
    )


def color(probability: Scalar) -> Augmentation:
    """Makes the augmentation that changes colors, by one matrix.

    Brightness, contrast, bright for dark, hue and saturation, in this order.

    Args:
        probability: of each transformation, in [0, 1]; it may be traced.

    Returns:
        The augmentation, of images of 1 or 3 channels.
    """
    return colors.recolored(
        product(
            by_chance(colors.brighten(), probability),
            by_chance(colors.amplify(), probability),
            by_chance(colors.flip_luma, probability),
            by_chance(colors.turn_hue, probability),
            by_chance(colors.saturate(), probability),
        )
    )
