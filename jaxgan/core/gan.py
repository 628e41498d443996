"""A GAN: the wiring of the usual game of two players, how it begins, and how to sample from it."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxgan.core.networks import Network
from jaxgan.core.state import GANState, TrainState
from jaxgan.keys import stream
from jaxgan.latents import Inputs
from jaxgan.losses import Loss
from jaxgan.penalties import Penalty
from jaxgan.types import Batch, PerSample, PRNGKey, PyTree

if TYPE_CHECKING:
    from jaxgan.core.updates import Update

SAMPLE_BATCH = 128  # images that `sample` makes at a time


_FUNCTIONS = {  # fields of a GAN, and what they are called with
    "inputs": ("key", "n", "batch"),
    "real": ("batch",),
    "view": ("example", "batch", "key", "state"),
    "penalty": ("critic", "real", "fake", "keys"),
    "discriminator_terms": ("play",),
    "generator_terms": ("play",),
}
_NEEDED = ("inputs", "real", "view")


class Play(NamedTuple):
    """One pass of both players over a batch, for the terms that either adds to its loss.

    Terms that look elsewhere too call the players: `generate` and `judge` run them in training
    mode, with the same dropout masks and the same view in all calls. They are differentiable by the
    parameters that the step moves, and leave collections alone.
    """

    batch: Batch
    inputs: PyTree  # what G saw
    real: PyTree
    fake: PyTree
    real_outputs: PyTree  # of D
    fake_outputs: PyTree  # of D
    state: GANState
    key: PRNGKey  # for terms that draw, the same on all devices
    generate: Callable[[PyTree], PyTree]  # inputs -> examples; of `inputs`, it makes `fake`
    judge: Callable[[PyTree], PyTree]  # examples -> D's outputs, through `view`


def _image(batch: Batch) -> PyTree:
    return batch["image"]


def _as_it_is(example: PyTree, batch: Batch, key: PRNGKey, state: GANState) -> PyTree:
    return example


@dataclass(frozen=True)
class GAN:
    """The static part of a GAN: everything but its arrays. Close over it; never put it in a state.

    Every field is a part of the wiring. A conditional GAN, for example, is

        GAN(..., inputs=lambda key, n, batch: (normal(key, n), batch["label"]),
            view=lambda example, batch, key, state: (example, batch["label"]))

    A view that draws should draw by `jaxgan.keys.per_example(key, n)`, so that nothing depends on
    how a batch is spread over devices.

    Where the wiring does not reach, `minimize` steps either player down any objective.
    """

    generator: Network  # what `inputs` draws -> an example, such as images [B, ...]
    discriminator: (
        Network  # what `view` shows -> scores [B] or [B, h, w], or a tree that `loss` knows
    )
    generator_optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    loss: Loss  # of D's outputs
    inputs: Inputs  # key, n, batch -> what G sees
    real: Callable[[Batch], PyTree] = _image  # batch -> real examples, as G makes fakes
    # example, batch, key, state -> what D sees of reals and fakes: augmented, with labels
    view: Callable[[PyTree, Batch, PRNGKey, GANState], PyTree] = _as_it_is
    penalty: Penalty | None = None  # D's, on how steep it is; looks through `view`
    discriminator_terms: Callable[[Play], PerSample] | None = None  # D adds to its loss
    generator_terms: Callable[[Play], PerSample] | None = None  # G adds to its loss

    def __post_init__(self):
        """Checks every part, so that a mistake raises a TypeError here, not in a traced step."""
        for name in ("generator", "discriminator"):
            # A module has an `init` and an `apply` too, of other forms.
            if not isinstance(network := getattr(self, name), Network):
                raise TypeError(
                    f"{name} is a {type(network).__name__}, not a jaxgan.Network: wrap a Linen "
                    "module in jaxgan.linen, and what makes an NNX module in jaxgan.nnx"
                )
            optimizer = getattr(self, f"{name}_optimizer")
            if not isinstance(optimizer, optax.GradientTransformation):
                raise TypeError(
                    f"{name}_optimizer is a {type(optimizer).__name__}, not an optimizer of optax, "
                    "such as optax.adam(1e-4)"
                )
        if not isinstance(self.loss, Loss):
            raise TypeError(
                f"loss is a {type(self.loss).__name__}, not a jaxgan.losses.Loss: take one of "
                "jaxgan.losses, or make one of functions by `separable`"
            )
        for name, arguments in _FUNCTIONS.items():
            function = getattr(self, name)
            if (function is not None or name in _NEEDED) and not _takes(function, len(arguments)):
                raise TypeError(
                    f"{name} is not a function of {', '.join(arguments)}: {_shown(function)}"
                )


def _takes(function: Any, count: int) -> bool:
    """Whether something can be called with so many arguments, as far as Python can tell."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # of what is not written in Python
        return True
    return True


def _shown(value: Any) -> str:
    """Shows a function as it is called, and anything else by its type."""
    name = getattr(value, "__name__", None)
    if not callable(value) or name is None:
        return f"it is a {type(value).__name__}"
    return f"it is {name}{inspect.signature(value)}, which may have to be called to make one"


def init(
    gan: GAN, key: PRNGKey, batch: Mapping[str, Any], update: "Update | None" = None
) -> GANState:
    """Draws the first state of a GAN.

    Args:
        gan: the GAN.
        key: a typed key.
        batch: an example batch, or its shapes.
        update: what training steps will do. May be left out if it keeps nothing for itself, as
            averages and adaptive augmentation do; `make_step` raises if it was needed.

    Returns:
        The state at step 0. No two of its leaves share a buffer, so it can be donated.
    """
    fixed = {name: x for name, x in batch.items() if isinstance(x, jax.ShapeDtypeStruct)}
    given = {name: x for name, x in batch.items() if name not in fixed}

    @jax.jit  # leaves out the networks' passes, of which only shapes matter
    def first(key: PRNGKey, given: dict[str, Any]) -> GANState:
        zeros = {name: jnp.zeros(x.shape, x.dtype) for name, x in fixed.items()}
        return _first(gan, key, {**given, **zeros}, update)

    return jax.tree.map(jnp.copy, first(key, given))


def _first(gan: GAN, key: PRNGKey, batch: Batch, update: "Update | None") -> GANState:
    def train_state(network: Network, optimizer, inputs: PyTree, name: str) -> TrainState:
        params, collections = network.init(stream(key, name), inputs)
        return TrainState(params, collections, optimizer.init(params))

    inputs = gan.inputs(stream(key, "init_latents"), batch_size(batch), batch)
    generator = train_state(gan.generator, gan.generator_optimizer, inputs, "generator")
    # A view may need what an update keeps, and D needs the view. So the updates begin twice: once
    # with G in D's place.
    state = GANState(jnp.zeros((), jnp.int32), generator, generator, {})
    update_key = stream(key, "update")
    draft = state if update is None else update.init(state, batch, update_key)
    try:
        seen = gan.view(gan.real(batch), batch, stream(key, "view"), draft)
    except KeyError as error:
        if update is None:
            error.add_note("If an update keeps it, give it: jaxgan.init(gan, key, batch, update)")
        raise
    discriminator = train_state(
        gan.discriminator, gan.discriminator_optimizer, seen, "discriminator"
    )
    state = state.replace(discriminator=discriminator)
    return state if update is None else update.init(state, batch, update_key)


def batch_size(batch: Batch) -> int:
    """Returns the number of examples in a batch, or in this device's share of it."""
    return jax.tree.leaves(batch)[0].shape[0]


def generate(gan: GAN, state: GANState, inputs: PyTree, key: PRNGKey | None = None) -> PyTree:
    """Turns latents, or whatever else G sees, into images; differentiable by the inputs.

    Uses the moving average of G where an update keeps one (see `update_average`).

    Args:
        gan: the GAN.
        state: its state.
        inputs: as `gan.inputs` draws them, such as latents `[B, Z]`.
        key: for a generator that draws as it samples; a fixed one by default.

    Returns:
        What G makes, such as images `[B, ...]` in the range of its outputs.
    """
    net = state.extra.get("average", state.generator)
    key = jax.random.key(0) if key is None else key
    return gan.generator.apply(net.params, net.collections, inputs, key, False)[0]


def sample(
    gan: GAN, state: GANState, key: PRNGKey, n: int, conditions: Mapping[str, Any] | None = None
) -> PyTree:
    """Draws images. The first of them are the same whatever `n` is.

    It is compiled once for a GAN and a number of images.

    Args:
        gan: the GAN.
        state: its state.
        key: a typed key.
        n: how many images.
        conditions: what `gan.inputs` takes from a batch, such as `{"label": labels}`: arrays
            `[n, ...]`.

    Returns:
        What G makes, such as images `[n, ...]` in the range of its outputs.
    """
    # A list is an array here, not a tree of numbers.
    given = jax.tree.map(jnp.asarray, dict(conditions or {}), is_leaf=lambda x: isinstance(x, list))
    return _sample(gan, state, key, n, given)


@partial(jax.jit, static_argnums=(0, 3))
def _sample(gan: GAN, state: GANState, key: PRNGKey, n: int, conditions: Batch) -> PyTree:
    count = math.ceil(n / SAMPLE_BATCH)
    missing = count * SAMPLE_BATCH - n

    def split(x: jax.Array) -> jax.Array:
        if x.shape[:1] != (n,):
            raise ValueError(f"conditions of the shape {x.shape} do not fit {n} samples")
        padded = jnp.concatenate([x, jnp.repeat(x[-1:], missing, 0)])
        return padded.reshape(count, SAMPLE_BATCH, *x.shape[1:])

    def draw(args: tuple[PRNGKey, Batch]) -> PyTree:
        key, batch = args
        inputs = gan.inputs(key, SAMPLE_BATCH, batch)
        return generate(gan, state, inputs, stream(key, "generator"))

    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(count))
    batches = lax.map(draw, (keys, jax.tree.map(split, conditions)))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n], batches)
