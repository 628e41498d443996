"""A small SNGAN on MNIST."""

from dataclasses import dataclass
from typing import ClassVar

from jaxgan.recipes.cifar10_sngan import Cifar10Sngan
from jaxgan.recipes.recipe import Count, Counts


@dataclass(frozen=True, kw_only=True)
class MnistSngan(Cifar10Sngan):
    """A small SNGAN on MNIST: residual networks, two steps of D for one of G.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018), as
    `cifar10_sngan`; sizes, number of D's steps and length are our own.

    Command: `jaxgan train mnist_sngan`
    Expect: digits, half of them well formed, after all 2,500 steps (seed 0): a Frechet distance of
    21.8 of the digit network's features, precision 0.48, recall 0.31 (10,000 samples); 23 minutes
    of processor time, on one of two CPU cores.
    """

    name: ClassVar[str] = "mnist_sngan"
    default_length: ClassVar = {"steps": 2500}
    default_size: ClassVar = 28
    presets: ClassVar = {}

    data: str = "mnist"  # mnist, openmoji, faces, tfds:NAME, folder:PATH; @SPLIT may follow
    log_every: Count = 50  # steps between two lines of metrics
    sample_every: Count = 250  # steps between two pictures of samples
    checkpoint_every: Count = 500  # steps between two checkpoints
    discriminator_steps: Count = 2  # of D for one of G; with 1, both have as many latents
    generator_widths: Counts = (32, 32, 16)  # channels of G: smallest size, each block
    discriminator_widths: Counts = (16, 32, 32)  # channels of D's blocks
    decay_steps: Count = 2500  # training steps in which the learning rate falls to 0
