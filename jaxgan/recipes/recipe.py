"""What a recipe is: the hyperparameters of a system, and the parts that are made of them."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from functools import cache
from inspect import get_annotations, getdoc
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_origin, get_type_hints

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from flax import linen as nn
from jax.tree_util import Partial
from msgspec import Meta

import __main__
from jaxgan.core.gan import GAN
from jaxgan.core.networks import Network, in_dtype, in_microbatches, linen
from jaxgan.core.state import GANState
from jaxgan.core.updates import Update
from jaxgan.data import Feed, load
from jaxgan.metrics.modes import Coverage
from jaxgan.types import Batch, DataSpec, Images, PyTree
from jaxgan.util.errors import UserError
from jaxgan.util.parsing import convert, shown

#: Types of hyperparameters with a range. Of a plain `float`, every finite float32 is in range.
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]  # training steps are counted in int32
Counts = Annotated[tuple[Count, ...], Meta(min_length=1)]  #: such as the widths of layers
CountFrom0 = Annotated[int, Meta(ge=0, le=2**31 - 1)]  #: such as layers that may be left out
Positive = Annotated[float, Meta(gt=0)]  #: such as a learning rate
NonNegative = Annotated[float, Meta(ge=0)]  #: such as a weight
Share = Annotated[float, Meta(ge=0, lt=1)]  #: such as a momentum or a probability

DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}  # None: that of the parameters
MOST_SAMPLES = 10_000  # in a picture
LARGEST = float(jnp.finfo(jnp.float32).max)

known: dict[str, type["Recipe"]] = {}  # every recipe that was defined so far, by its name


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """A system: its hyperparameters as fields, and the parts that are made of them.

    A subclass with a `name` of its own is a recipe that `jaxgan train NAME` finds, wherever it is
    defined (see `jaxgan.recipes`). Its fields may have any types that JSON can hold and the command
    line can read: numbers, text, tuples of them, `Literal`, `float | None`; ranges are part of the
    type, as in `Positive`.
    """

    name: ClassVar[str]
    default_length: ClassVar[Mapping[str, int]]  # {"steps": n} or {"epochs": n}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # other values of fields, by name
    of_data: ClassVar[Sequence[str]] = ()  # real numbers that `feed` looks at: no sweep has these

    batch_size: Count  # real examples in one update
    steps: Count | None = None  # length of the run in training steps
    epochs: Count | None = None  # length of the run in passes over the data
    log_every: Count  # steps between two lines of metrics
    sample_every: Count  # steps between two pictures of samples
    checkpoint_every: Count  # steps between two checkpoints
    eval_every: Count | None = None  # steps between two evaluations of samples
    eval_num: Count = 2000  # samples in such an evaluation
    best_by: str = "fd"  # the metric of the best checkpoint; fd: Frechet distance
    grid: tuple[Count, Count]  # rows and columns of a picture of samples
    dtype: Literal["float32", "bfloat16"] = "float32"  # that the networks compute in
    microbatch: Count | None = None  # examples of a batch to compute at a time, to save memory

    def __init_subclass__(cls, **options: Any):
        """Makes a recipe with a name of its own known by it.

        Raises:
            UserError: if another recipe has that name.
        """
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            return
        other = known.get(cls.name, cls)  # the same one if a cell or a module is run again
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise UserError(
                f"two recipes are called {cls.name!r}, one in {source_of(other)} and one in "
                f"{source_of(cls)}: give one of them another name"
            )
        known[cls.name] = cls

    def __post_init__(self):
        for name, value in self.check_values(vars(self)).items():
            object.__setattr__(self, name, value)
        if math.prod(self.grid) > MOST_SAMPLES:
            raise UserError(f"grid must have at most {MOST_SAMPLES} places, not {self.grid}")
        if self.steps is not None and self.epochs is not None:
            raise UserError("steps and epochs both say how long to train: give one of them")
        if self.microbatch is not None and self.batch_size % self.microbatch:
            raise UserError(
                f"microbatch must divide the batch size {self.batch_size}, not {self.microbatch}"
            )

    @classmethod
    def summary(cls) -> str:
        """Returns the first line of the docstring; "" if there is only the one of dataclasses."""
        text = getdoc(cls) or ""
        return "" if text.startswith(f"{cls.__name__}(") else text.partition("\n")[0]

    def network(self, player: nn.Module | Network) -> Network:
        """Makes a network that computes as `dtype` and `microbatch` say.

        Args:
            player: a Linen module, or a network such as `always_training(linen(module))`.

        Returns:
            The network.
        """
        network = linen(player) if isinstance(player, nn.Module) else player
        dtype = DTYPES[self.dtype]
        if dtype is not None:
            network = in_dtype(network, dtype)
        if self.microbatch is not None:
            network = in_microbatches(network, self.microbatch)
        return network

    @classmethod
    def check_values(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Checks and converts hyperparameters, each by itself.

        Args:
            values: by name, as Python or JSON has them (lists for tuples). Other names are ignored.

        Returns:
            The hyperparameters among them, each of its field's type.

        Raises:
            UserError: if a value has the wrong type, or is out of range.
        """
        return {
            name: _converted(values[name], kind, name)
            for name, kind in _kinds(cls).items()
            if name in values
        }

    def with_values(self, values: Mapping[str, Any]) -> "Recipe":
        """Makes a recipe with other values, which are not checked: they may be tracers."""
        other = copy(self)
        for name, value in values.items():
            object.__setattr__(other, name, value)
        return other

    @property
    def examples_per_step(self) -> int:
        """Number of real examples that one training step takes."""
        return self.batch_size

    def total_steps(self, examples: int | None) -> int:
        """Computes the length of the run.

        Args:
            examples: number of examples in the data set; None where they are drawn.

        Returns:
            The number of training steps.

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

    def examples(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens real examples to compare samples with: here those of `feed`.

        Args:
            seed: of their order.
            data_dir: where TFDS keeps data sets; None for its own default.

        Returns:
            The feed, whose "image" is an example as G should make it.
        """
        return self.feed(seed, data_dir)

    def example(self, made: PyTree) -> Images:
        """Picks the examples, such as images, out of what G makes: here all of it.

        Args:
            made: what `jaxgan.sample` or `jaxgan.generate` returned.

        Returns:
            Examples `[B, ...]`, in the range of G's outputs.
        """
        return made

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

    def begin(self) -> Callable[[GANState], GANState]:
        """Reads what is trained already when a run begins: here nothing.

        Returns:
            A function that puts it into the state that `jaxgan.init` drew, pure. One with large
            arrays should be a `jax.tree_util.Partial` with the arrays among its arguments.

        Raises:
            UserError: if it cannot be read, or does not fit.
        """
        return Partial(lambda state: state)

    def coverage(self, samples: np.ndarray) -> Coverage | None:
        """Measures which modes of the data the samples cover.

        Args:
            samples: uint8 images [N, H, W, C], or float32 [N, ...].

        Returns:
            The coverage; None where the modes are not known.
        """
        return None

    def conditions(self, count: int, spec: DataSpec, data_dir: str | None = None) -> Batch:
        """Chooses what the samples of pictures and evaluations are conditioned on.

        Args:
            count: how many samples.
            spec: what the examples look like.
            data_dir: where TFDS keeps data sets; None for its own default. For recipes whose G
                sees pictures, which choose some that they do not train on.

        Returns:
            What `GAN.inputs` takes from a batch: here "label" `[count]`, each class in turn, where
            the data set has labels; an unconditional GAN ignores it.
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
            The update, of which `jaxgan.make_step` makes a step.
        """


@dataclass(frozen=True, kw_only=True)
class ImageRecipe(Recipe):
    """A recipe that learns from a data set of images."""

    value_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)  # of black and white
    default_size: ClassVar[int] = 28  # height and width of images that differ in size

    data: str = "mnist"  # mnist, openmoji, faces, tfds:NAME, folder:PATH; @SPLIT may follow
    image_size: Count | None = None  # resize images to this height and width

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens the data set (see `Recipe.feed`)."""
        return self.open(self.data, seed, data_dir)

    def one_by_one(self, **values: Any) -> "ImageRecipe":
        """Returns a recipe to read pictures with, whose batches of one any data set can fill.

        Args:
            values: of other fields.

        Returns:
            The recipe. Whether its GAN can train on such batches is not asked.

        Raises:
            UserError: if a value has the wrong type, or is out of range.
        """
        read = self.with_values({**self.check_values(values), "batch_size": 1})
        assert isinstance(read, ImageRecipe)
        return read

    def open(self, data: str, seed: int | None, data_dir: str | None = None) -> Feed:
        """Opens any data set at the batch size, value range and image size of the recipe.

        Args:
            data: as in the field `data`.
            seed: of the order; None for that of the data set.
            data_dir: where TFDS keeps data sets; None for its own default.

        Returns:
            The feed.

        Raises:
            UserError: if the data set is not available, or has too few examples.
        """
        low, high = self.value_range
        return load(
            data,
            batch_size=self.examples_per_step,
            seed=seed,
            low=low,
            high=high,
            image_size=self.image_size,
            default_size=self.default_size,
            data_dir=data_dir,
        )


def source_of(kind: type[Recipe]) -> str:
    """Returns where a recipe is defined: the name of a module, or the path of a file."""
    if kind.__module__ == "__main__" and hasattr(__main__, "__file__"):  # a script's, not a shell's
        return str(Path(__main__.__file__).resolve())
    return kind.__module__


@cache
def _kinds(kind: type[Recipe]) -> dict[str, Any]:
    """The types of a recipe's fields, with their ranges; raises where its class is incomplete."""
    if "name" not in vars(kind):
        raise TypeError(f"{kind.__name__} needs a `name` of its own, to find its recipe by")
    hints = get_type_hints(kind, include_extras=True)
    own = [hints[name] for name in get_annotations(kind)]
    if "__dataclass_fields__" not in vars(kind) and any(
        ClassVar not in (x, get_origin(x)) for x in own
    ):
        raise TypeError(f"{kind.__name__} has fields, so it must be a @dataclass")
    return {field.name: hints[field.name] for field in fields(kind)}


def _converted(value: Any, kind: Any, name: str) -> Any:
    value = convert(value.item() if isinstance(value, np.generic) else value, kind, name)
    try:
        json.dumps(msgspec.to_builtins(value), allow_nan=False)  # as config.json will hold it
    except ValueError:
        raise UserError(f"{name} must be finite, not {shown(value)}") from None
    floats = [x for x in jax.tree.leaves(value) if isinstance(x, float)]
    if any(abs(x) > LARGEST for x in floats):
        raise UserError(f"{name} must be a number that float32 can hold, not {shown(value)}")
    return value


def require_learning(steps: int, end: int) -> int:
    """Returns the length of a run, if its learning rate does not become 0 before.

    Args:
        steps: the length.
        end: the step from which the learning rate is 0, by the field `decay_steps`.

    Raises:
        UserError: if the run is longer.
    """
    if steps > end:
        raise UserError(
            f"a run of {steps} steps would learn nothing after step {end}, where its learning rate "
            f"reaches 0: choose at most {end} steps, or raise decay_steps"
        )
    return steps


def require_classes(spec: DataSpec) -> int:
    """Returns the number of classes, for networks that are conditioned on labels.

    Args:
        spec: what the examples look like.

    Raises:
        UserError: if the data set has no labels.
    """
    if spec.classes is None:
        raise UserError("these networks need labels, which this data set does not have")
    return spec.classes


def require_source(spec: DataSpec) -> tuple[int, ...]:
    """Returns the shape of what an example is made from, for networks that translate pictures.

    Args:
        spec: what the examples look like.

    Raises:
        UserError: if the data set has single pictures.
    """
    if spec.source is None:
        raise UserError(
            "these networks make one picture from another, and this data set has single ones: "
            "choose pairs, such as openmoji-pairs, folder:PATH#SOURCE,TARGET or halves:PATH, or "
            "make them by degrade, if the recipe has it"
        )
    return spec.source


def require_size(shape: tuple[int, ...], *, multiple: int, least: int) -> tuple[int, int, int]:
    """Checks that convolutional networks can make images of a shape.

    Args:
        shape: the shape of one example.
        multiple: height and width must be multiples of it.
        least: the smallest height and width.

    Returns:
        The shape (H, W, C).

    Raises:
        UserError: if it is not the shape of an image, or height or width do not fit.
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


def require_patches(shape: tuple[int, ...], layers: int) -> None:
    """Checks that a PatchGAN leaves at least one patch of images of a shape.

    Args:
        shape: (H, W, C).
        layers: of the discriminator that halve the size.

    Raises:
        UserError: if it leaves none.
    """
    height, width, _ = shape
    if layers and min(height, width) >> layers < 3:
        raise UserError(
            f"a discriminator with {layers} layers that halve the size leaves no patch of "
            f"{height} x {width} pixels: choose fewer layers, or a larger image_size"
        )


def require_side(shape: tuple[int, ...], multiple: int) -> tuple[int, int]:
    """Checks that networks of square images can make images of a shape.

    Args:
        shape: the shape of one example.
        multiple: height and width must be a multiple of it, at least twice as large.

    Returns:
        Height and width, and the number of channels.

    Raises:
        UserError: if it is not the shape of a square image, or the side does not fit.
    """
    height, width, channels = require_size(shape, multiple=multiple, least=2 * multiple)
    if height != width:
        raise UserError(
            f"these networks take square images, not {height} x {width}: choose a size with "
            "image_size"
        )
    return height, channels


def require_sizes(in_bfloat16: int | None, widths: Sequence[int]) -> None:
    """Checks how many sizes of a network compute in bfloat16.

    Args:
        in_bfloat16: how many; None for none.
        widths: the channels of each size.

    Raises:
        UserError: if there are not so many.
    """
    if in_bfloat16 is not None and in_bfloat16 > len(widths):
        raise UserError(f"in_bfloat16 must be at most {len(widths)}, one for each of the widths")
