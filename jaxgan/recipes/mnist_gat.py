"""A small GAT on MNIST."""

from dataclasses import dataclass
from typing import ClassVar

import optax

from jaxgan.augment import Augmentation, compose
from jaxgan.features import digits
from jaxgan.recipes.gat import GatRecipe, Representation
from jaxgan.recipes.recipe import Count, NonNegative, Positive, Share
from jaxgan.schedules import cosine
from jaxgan.types import DataSpec, Scalar
from jaxgan.util.errors import UserError


@dataclass(frozen=True, kw_only=True)
class MnistGat(GatRecipe):
    """A small GAT on MNIST: a transformer draws digits in four steps, another judges them.

    Source: Hyun et al., "Scalable GANs with Transformers" (2025). Sizes, batch, average, cooldown
    and length are our own, for some 45 minutes on one CPU core. D's features are drawn towards
    those of the digit network, which also measures samples.

    Command: `jaxgan train mnist_gat`
    Expect: digits of all classes, a little noisy, 98% of them read as asked, after its 8,000 steps
    of 0.36 s on one CPU core (seed 0): a Frechet distance of 6.5 (10,000 samples, digit network;
    6.1 for seed 1), precision 0.90 and recall 0.08. `mnist_r3gan` comes to 11 in half an hour and
    to 4.9 in an hour. In runs of 3,000 steps, with a cooldown as short or none, and with the digit
    network or without, one to three classes never formed. With `--style-gain 0.1`, as in the
    source, and DiffAugment, digits of a class stay nearly alike. `--patch 4` makes 49 tokens of a
    digit instead of 16, and takes three times as long.
    """

    name: ClassVar[str] = "mnist_gat"
    default_length: ClassVar = {"steps": 8000}

    batch_size: Count = 32  # real examples in one update
    log_every: Count = 50  # steps between two lines of metrics
    sample_every: Count = 500  # steps between two pictures of samples
    checkpoint_every: Count = 1000  # steps between two checkpoints
    code_size: Count = 128  # dimensions of a label's code in D
    depth: Count = 4  # blocks of either player; 4 divides them
    width: Count = 96  # width of a token
    heads: Count = 4  # of attention; the channels of each are a multiple of 4
    patch: Count = 7  # side of the square of pixels that a token stands for
    style_gain: Positive = 5.0  # how much first pictures depend on styles
    cooldown: Count = 256_000  # images in which learning rates fall to a twentieth
    gamma: NonNegative = 1.0  # of the approximate R1 and R2
    representation_weight: NonNegative = 1.0  # of what the digit network sees in reals, for D
    average_decay: Share = 0.995  # of the moving average of G

    def adam(self, rate: Scalar) -> optax.GradientTransformation:
        """Makes Adam with a rate that falls along half a cosine (see `GatRecipe.adam`)."""
        fall = cosine(rate, 0.05 * rate, self.cooldown / self.batch_size)
        return optax.inject_hyperparams(optax.adam)(fall, self.beta1, self.beta2)

    def augment(self) -> Augmentation:
        """Makes no augmentation, which would hide how digits vary (see `GatRecipe.augment`)."""
        return compose()

    def representation(self, spec: DataSpec) -> Representation:
        """Returns the digit network's features (see `GatRecipe.representation`)."""
        if spec.shape != digits.SHAPE:
            raise UserError("representation_weight is for digits of 28 x 28, in gray: set it to 0")
        features = digits.load().features
        return Representation(
            digits.FEATURES, lambda batch: {"whole": features((batch["image"] + 1) / 2)}
        )
