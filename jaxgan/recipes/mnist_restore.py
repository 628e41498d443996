"""Pix2Pix that restores digits: fills holes by default."""

from dataclasses import dataclass
from typing import ClassVar

from jaxgan.recipes.openmoji_color import OpenmojiColor
from jaxgan.recipes.pix2pix import Degradation
from jaxgan.recipes.recipe import Count, CountFrom0, NonNegative


@dataclass(frozen=True, kw_only=True)
class MnistRestore(OpenmojiColor):
    """A small Pix2Pix that restores digits: it fills holes, or sharpens, or enlarges.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017).
    Sizes and length are our own; there is neither jitter, which would mirror digits, nor dropout.
    `--adversarial-weight 0` restores by the L1 distance alone, for the best PSNR; `--degrade blur`
    and others choose what is to be restored.

    Command: `jaxgan train mnist_restore`, then `jaxgan translate RUN "data:mnist@test[:200]"`
    Expect: holes at 10.8 dB in the first 200 test digits, 11.2 by the L1 distance alone, where the
    best linear estimate has 9.8 and the mean of the 20 nearest training digits 10.5 (seed 0); 19
    minutes on one CPU core.
    """

    name: ClassVar[str] = "mnist_restore"

    data: str = "mnist"  # mnist, openmoji, faces, tfds:NAME, folder:PATH; @SPLIT may follow
    degrade: Degradation | None = "mask"  # what the pictures are restored from
    image_size: Count | None = None  # resize images to this height and width
    grid: tuple[Count, Count] = (10, 10)  # rows and columns of a picture of samples
    jitter: NonNegative = 0.0  # enlarge by this share, crop, mirror; 0: leave as they are
    dropouts: CountFrom0 = 0  # layers of U-Net with dropout, from the innermost on
