"""Augmentations of what D sees: differentiable, drawn for each image by itself.

An `Augmentation` changes one image. They compose, and `of_batch` lifts one to a batch, as the
`view` of a GAN needs it:

    augment = of_batch(compose(color(), translation(), cutout()))
    gan = GAN(..., view=lambda images, batch, key, state: augment(images, key))

So D's steps see reals and fakes augmented, and G learns through the augmentation of its fakes.
Penalties differentiate through it too: they see the images before it.

That is DiffAugment. The transformations of ADA, adaptive discriminator augmentation, are `bgc(p)`,
with a probability that may be traced, so an update can move it. They are made of drawn matrices
(`affine`, `colors`), which compose as well.
"""

from jaxgan.augment.ada import bgc
from jaxgan.augment.composition import Augmentation, Image, compose, of_batch, sometimes
from jaxgan.augment.diffaugment import (
    brightness,
    color,
    contrast,
    cutout,
    quarter_turns,
    saturation,
    translation,
)
from jaxgan.augment.jitter import jitter
from jaxgan.augment.levels import level_noise, on_levels

__all__ = [
    "Augmentation",
    "Image",
    "bgc",
    "brightness",
    "color",
    "compose",
    "contrast",
    "cutout",
    "jitter",
    "level_noise",
    "of_batch",
    "on_levels",
    "quarter_turns",
    "saturation",
    "sometimes",
    "translation",
]
