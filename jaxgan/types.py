"""Names for the arrays that pass between the parts, with their shapes.

Axes: `B` batch, `Z` latent size; `...` is the shape of one example, (H, W, C) for images (NHWC) and
(D,) for vectors.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jax import Array
from jaxtyping import Float, Key

PyTree = Any  # nested dicts, tuples and dataclasses of arrays
PRNGKey = Key[Array, ""]  # a typed key, as jax.random.key makes it

Images = Float[Array, "B ..."]  # in the recipe's value range
Latents = Float[Array, "B Z"]
Scores = Float[Array, "B"]  # unbounded: logits or critic values
PatchScores = Float[Array, "B h w"]  # of patches of each image, likewise
PerSample = Float[Array, "B"]
Scalar = (
    int | float | Array
)  # one number, which may be traced, as those of a schedule or a sweep are

# "image": Images, or "latent": Images, what an autoencoder made of them; where the data has them,
# "label": Int[Array, "B"] and "source": Images, what a picture is to be made from
Batch = Mapping[str, PyTree]  # arrays `[B, ...]`, or trees of them
Metrics = dict[str, Array]  # scalars

Size = tuple[int, int]  # height, width
Padding = tuple[tuple[int, int], tuple[int, int]]  # (before, after) of height, of width


class Entry(NamedTuple):
    """What a batch of one's own holds by a name of its own."""

    name: str
    shape: tuple[int, ...]  # of one example's
    dtype: str  # such as "float32"


class DataSpec(NamedTuple):
    """What the examples of a data set look like: all that a recipe's networks depend on."""

    shape: tuple[int, ...]  # of one example: (H, W, C) of an image, (D,) of a vector
    classes: int | None = None  # of its labels; None where it has none
    source: tuple[int, ...] | None = None  # shape of what a picture is made from; None where none
    latent: tuple[int, ...] | None = None  # shape of what G makes in its place, to be decoded
    autoencoder: str | None = None  # what made latents: those of another are other data
    entries: tuple[Entry, ...] = ()  # what batches hold besides all these, by name
