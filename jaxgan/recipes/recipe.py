"""What a recipe is: the hyper-parameters of a system, and how its parts come from them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxgan.core.gan import GAN
from jaxgan.core.networks import Network, in_dtype, in_microbatches, linen
from jaxgan.core.updates import Update
from jaxgan.data import Feed, load
from jaxgan.metrics.modes import Coverage
from jaxgan.types import Batch, DataSpec
from jaxgan.util.checking import in_words, is_a
from jaxgan.util.errors import UserError

LARGEST = 2**31 - 1  # of whole numbers: the training steps are counted in int32
DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}  # None: the parameters' own
MOST_SAMPLES = 10_000  # in a picture
ABOVE_ZERO = {"learning_rate", "norm_time"}  # hyper-parameters that must not be 0
BELOW_ONE = {"beta1", "beta2", "momentum", "dropout"}  # those that are shares of something


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """A system: its hyper-parameters as fields, and the pieces that they make.

    A subclass lives in a file of its own in this folder; nothing else needs to know of it.
    """

    name: ClassVar[str]
    default_length: ClassVar[Mapping[str, int]]  # {"steps": n} or {"epochs": n}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # other values of fields, by name

    batch_size: int  # real examples in one update
    steps: int | None = None  # length of the run in training steps
    epochs: int | None = None  # length of the run in passes over the data
    log_every: int  # steps between two lines of metrics
    sample_every: int  # steps between two pictures of samples
    checkpoint_every: int  # steps between two checkpoints
    eval_every: int | None = None  # steps between two evaluations of samples; none if not given
    eval_num: int = 2000  # samples in such an evaluation
    best_by: str = "fid"  # the metric by which the best checkpoint is kept
    grid: tuple[int, int]  # rows and columns of a picture of samples
    dtype: str = "float32"  # that the networks compute in: float32 or bfloat16
    microbatch: int | None = None  # examples of a batch to compute at a time, to save memory

    def __post_init__(self):
        self.check_values(vars(self))
        if math.prod(self.grid) > MOST_SAMPLES:
            raise UserError(f"grid must have at most {MOST_SAMPLES} places, not {self.grid}")
        if self.steps is not None and self.epochs is not None:
            raise UserError("steps and epochs are two ways to say how long: give one of them")
        if self.microbatch is not None and self.batch_size % self.microbatch:
            raise UserError(
                f"microbatch must divide the batch size {self.batch_size}, not {self.microbatch}"
            )
        if self.dtype not in DTYPES:
            raise UserError(f"dtype must be {' or '.join(DTYPES)}, not {self.dtype}")

    def network(self, module: nn.Module) -> Network:
        """Makes a network that computes as `dtype` and `microbatch` say.

        Args:
            module: a Linen module (see `jaxgan.linen`).

        Returns:
            The network.
        """
        network, dtype = linen(module), DTYPES[self.dtype]
        if dtype is not None:
            network = in_dtype(network, dtype)
        if self.microbatch is not None:
            network = in_microbatches(network, self.microbatch)
        return network

    @classmethod
    def check_values(cls, values: Mapping[str, Any]) -> None:
        """Checks hyper-parameters, each by itself.

        Args:
            values: by name; names that are no hyper-parameters are passed over.

        Raises:
            UserError: if a value is of a wrong type, or out of range.
        """
        for field in fields(cls):
            if field.name in values:
                _check_value(field.name, field.type, values[field.name])

    def with_values(self, values: Mapping[str, Any]) -> "Recipe":
        """Makes a recipe with other values, such as traced ones, that are not checked."""
        other = copy(self)
        for name, value in values.items():
            object.__setattr__(other, name, value)
        return other

    @property
    def examples_per_step(self) -> int:
        """Real examples that one training step takes."""
        return self.batch_size

    def total_steps(self, examples: int | None) -> int:
        """Computes the length of the run.

        Args:
            examples: number of examples in the data set, None where they are drawn.

        Returns:
            Training steps.

        Raises:
            UserError: if the length is in epochs and there is no data set.
        """
        steps, epochs = self.steps, self.epochs
        if steps is None and epochs is None:
            steps, epochs = self.default_length.get("steps"), self.default_length.get("epochs")
        if steps is not None:
            return steps
        assert epochs is not None, "default_length has neither steps nor epochs"
        if examples is None:
            raise UserError(f"{self.name} draws its examples, so it has no epochs: give steps")
        return epochs * (examples // self.examples_per_step)

    @abstractmethod
    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens the real examples.

        Args:
            seed: of their order.
            data_dir: where TFDS keeps data sets; None for its own default.

        Returns:
            The feed, with `examples_per_step` examples in a batch.
        """

    @abstractmethod
    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN for examples like those of a data set.

        Args:
            spec: what the examples look like.

        Returns:
            The GAN.

        Raises:
            UserError: if the networks cannot take such examples.
        """

    def coverage(self, samples: np.ndarray) -> Coverage | None:
        """Counts which modes of the data samples are of.

        Args:
            samples: uint8 images [N, H, W, C], or float32 vectors [N, D].

        Returns:
            The coverage; None where the modes are not known.
        """
        return None

    def conditions(self, count: int, spec: DataSpec) -> Batch:
        """Chooses what the samples of pictures and evaluations are conditioned on.

        Args:
            count: how many samples.
            spec: what the examples look like.

        Returns:
            What `GAN.inputs` takes from a batch: here "label" `[count]`, classes in turn, where the
            data set has them; unconditional GANs do not look at it.
        """
        if spec.classes is None:
            return {}
        return {"label": jnp.arange(count, dtype=jnp.int32) % spec.classes}

    @abstractmethod
    def update(self, gan: GAN) -> Update:
        """Makes what one training step does.

        Args:
            gan: what `self.gan` made.

        Returns:
            The update; `jaxgan.steps.make_step` makes a step of it.
        """


@dataclass(frozen=True, kw_only=True)
class ImageRecipe(Recipe):
    """A recipe that learns from a data set of images."""

    value_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)  # of black and white
    default_size: ClassVar[int] = 28  # of pictures that come in no size of their own

    data: str = "mnist"  # mnist, tfds:NAME or folder:PATH; @SPLIT may follow the first two
    image_size: int | None = None  # resize pictures to this height and width

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens the data set (see `Recipe.feed`)."""
        low, high = self.value_range
        return load(
            self.data,
            batch_size=self.examples_per_step,
            seed=seed,
            low=low,
            high=high,
            image_size=self.image_size,
            default_size=self.default_size,
            data_dir=data_dir,
        )


def _check_value(name: str, kind: Any, value: Any) -> None:
    """Checks a hyper-parameter's type; counts are at least 1, lists not empty, numbers finite."""
    if not is_a(kind, value):
        raise UserError(f"{name} must be {in_words(kind)}, not {value!r:.50}")
    if isinstance(value, tuple):
        if not value:
            raise UserError(f"{name} must not be empty")
        for item in value:
            _check_value(name, int, item)
    elif kind is float:
        if not math.isfinite(value) or value < 0 or (value == 0 and name in ABOVE_ZERO):
            raise UserError(f"{name} must be a positive number, not {value}")
        if value >= 1 and name in BELOW_ONE:
            raise UserError(f"{name} must be less than 1, not {value}")
    elif is_a(int, value) and not 1 <= value <= LARGEST:
        raise UserError(f"{name} must be at least 1 and at most {LARGEST}, not {value}")


def require_size(shape: tuple[int, ...], *, multiple: int, least: int) -> tuple[int, int, int]:
    """Checks that convolutional networks can make images of a shape.

    Args:
        shape: of one image.
        multiple: what height and width must be multiples of.
        least: the smallest height and width.

    Returns:
        The shape (H, W, C).

    Raises:
        UserError: if they cannot.
    """
    if len(shape) != 3:
        raise UserError(f"these networks make images, not examples of shape {shape}")
    height, width, channels = shape
    if height % multiple or width % multiple or min(height, width) < least:
        raise UserError(
            f"these networks take images whose height and width are multiples of {multiple} and at "
            f"least {least}, not {height} x {width}: choose another size with image_size"
        )
    return height, width, channels
