"""The generator of a run as others can call it: named arrays in, pictures out, weights inside."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, export
from scipy import stats

from jaxgan.core.dependence import dependence
from jaxgan.core.gan import GAN, generate
from jaxgan.core.state import steps_done
from jaxgan.recipes import ImageRecipe
from jaxgan.rundir import Trained
from jaxgan.rundir.loading import GIVEN, Domain, check_way
from jaxgan.types import Batch, Images, PRNGKey
from jaxgan.util.errors import UserError

BATCH = "batch"  # the name of the axis of any size
EXAMPLES = 4  # with which a sampler is tried
ROUNDING = 1e-3  # of the largest number: pictures that differ by less are the same
NUMBERS = 20_000  # by which a distribution is recognized
NEAR = 0.018  # gap between distribution functions, to which chance gets 1 in 100,000 times

PLAIN = {"dtype": "float32", "in_bfloat16": None}  # hyperparameters of a G that is exported
SCALARS = {"truncation": 1.0}  # hyperparameters that become arguments, and what to try them with
DISTRIBUTIONS = {"N(0, 1)": stats.norm(), "U(-1, 1)": stats.uniform(-1, 2)}


class Sampler(NamedTuple):
    """A generator as a function, an example of what it does, and what there is to know of it."""

    draw: Callable[[Mapping[str, Array]], Images]  # pure; of arrays [B, ...] and scalars, by name
    arguments: dict[str, Array]  # of the example
    pictures: Images  # that `draw` makes of them
    about: dict[str, Any]  # for JSON


def sampler(trained: Trained, data_dir: str | None = None, to: Domain = "b") -> Sampler:
    """Makes the sampling function of a run's GAN.

    It computes in float32, and makes each picture as if it were the only one. What G draws while it
    samples, such as the noise of StyleGAN2, is the same in all pictures.

    Args:
        trained: what `jaxgan.rundir.load` loaded.
        data_dir: TFDS's data directory; None for its default. For a G that sees pictures.
        to: the domain that pictures are made of, by a G that sees pictures; "a" is the way back.

    Returns:
        The sampler. Its arguments are "latents" (and "latents_2" and so on where there are
        several), what G sees of the recipe's conditions, such as "label" or "source", and the
        scalar "truncation" where the recipe has it.

    Raises:
        UserError: if there is no way back, G takes nothing, the GAN diverged, or its pictures
            depend on each other.
    """
    if to == "a":
        check_way(trained, to)
    recipe, spec, _, state = trained
    known = {field.name for field in fields(recipe)}
    plain = {name: value for name, value in PLAIN.items() if name in known}
    scalars = {name: jnp.float32(value) for name, value in SCALARS.items() if name in known}

    def make(values: Mapping[str, Any]) -> GAN:
        return recipe.with_values(plain | dict(values)).gan(spec)

    gan = make({})
    batch = jax.tree.map(jnp.asarray, dict(recipe.conditions(EXAMPLES, spec, data_dir)))
    inputs = gan.inputs(jax.random.key(0), EXAMPLES, batch)
    called = {}  # how an argument is called that has another name in a batch
    if to == "a":  # the way back is tried with what the way there makes
        batch = {GIVEN[to]: recipe.example(generate(gan, state, inputs))}
        inputs = gan.inputs(jax.random.key(0), EXAMPLES, batch)
        called = {GIVEN[to]: "source"}
    leaves, structure = jax.tree.flatten(inputs)
    parts, whole = jax.tree.flatten(batch)
    drawn, given = _origins(gan, batch)
    latents = {
        f"latents_{number}" if number > 1 else "latents": i for number, i in enumerate(drawn, 1)
    }
    paths = [path for path, _ in jax.tree.leaves_with_path(batch)]
    names = [jax.tree_util.keystr(path, simple=True, separator="_") for path in paths]
    conditions = {called.get(names[i], names[i]): i for i in given}
    arguments = {name: leaves[i] for name, i in latents.items()}
    arguments |= {name: parts[i] for name, i in conditions.items()}
    if not arguments:
        raise UserError(
            f"the generator of {recipe.name} takes no array: there is nothing to export"
        )

    def inputs_of_one(key: PRNGKey, arguments: Mapping[str, Array]) -> list[Array]:
        one = [x[:1] for x in parts]
        for name, i in conditions.items():
            one[i] = arguments[name][None]
        return jax.tree.leaves(gan.inputs(key, 1, jax.tree.unflatten(whole, one)))

    def draw(arguments: Mapping[str, Array]) -> Images:
        own = make({name: arguments[name] for name in scalars})

        def one(arguments: Mapping[str, Array]) -> Images:
            # What is drawn here is replaced, so the compiler leaves it out.
            leaves = inputs_of_one(jax.random.key(0), arguments)
            for name, i in latents.items():
                leaves[i] = arguments[name][None]
            return recipe.example(generate(own, state, jax.tree.unflatten(structure, leaves)))[0]

        return jax.vmap(one)({name: x for name, x in arguments.items() if name not in scalars})

    pictures = jax.jit(draw)(arguments | scalars)
    together = jax.jit(lambda inputs: recipe.example(generate(gan, state, inputs)))(inputs)
    if not jnp.isfinite(together).all():
        raise UserError("this GAN diverged: its samples are not finite; choose another --step")
    if jnp.abs(pictures[0] - together[0]).max() > ROUNDING * jnp.abs(together).max():
        raise UserError(
            f"the pictures of {recipe.name} depend on each other, through the statistics of their "
            "batch, so none can be made by itself: export with --format safetensors"
        )

    example = {name: x[0] for name, x in arguments.items()}

    def draws(i: int) -> Callable[[PRNGKey], Array]:
        return lambda key: inputs_of_one(key, example)[i]

    scale = {"range": list(recipe.value_range)} if isinstance(recipe, ImageRecipe) else {}
    told: dict[str, dict[str, Any]] = {
        "label": {"classes": spec.classes},
        "source": scale,
        **{name: {"distribution": _distribution(draws(i))} for name, i in latents.items()},
    }
    about = {
        "recipe": recipe.name,
        "steps": steps_done(state),
        **({} if spec.source is None else {"to": to}),
        "inputs": {
            **{name: _form(x) | told.get(name, {}) for name, x in arguments.items()},
            **{name: {"shape": [], "dtype": x.dtype.name} for name, x in scalars.items()},
        },
        "output": _form(pictures) | scale,
    }
    return Sampler(draw, arguments | scalars, pictures, about)


def symbolic_shapes(sampler: Sampler) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of a sampler's arguments for batches of any size."""
    (batch,) = export.symbolic_shape(BATCH)
    return {
        name: jax.ShapeDtypeStruct((batch, *x.shape[1:]) if x.ndim else (), x.dtype)
        for name, x in sampler.arguments.items()
    }


def _origins(gan: GAN, batch: Batch) -> tuple[list[int], list[int]]:
    """Tells where the arrays that G sees come from, by their places and those of a batch's arrays.

    Args:
        gan: the GAN.
        batch: what its inputs are conditioned on.

    Returns:
        Which of them are drawn, or always the same, and of which of the batch all others are made.
    """

    def inputs(key: PRNGKey, batch: Batch) -> list[Array]:
        return jax.tree.leaves(gan.inputs(key, EXAMPLES, batch))

    key = jax.random.key(0)
    drawn, given = [], set()
    for i in range(len(jax.eval_shape(inputs, key, batch))):
        of_key, of_batch = dependence(lambda *args, i=i: inputs(*args)[i], key, batch)
        places = {place for place, used in enumerate(jax.tree.leaves(of_batch)) if used}
        if of_key or not places:
            drawn.append(i)
        else:
            given |= places
    return drawn, sorted(given)


def _form(x: Array) -> dict[str, Any]:
    return {"shape": [BATCH, *x.shape[1:]], "dtype": x.dtype.name}


def _distribution(draw: Callable[[PRNGKey], Array]) -> str | None:
    """Recognizes from what distribution latents are drawn; None where it is none of the usual."""
    size = math.prod(jax.eval_shape(draw, jax.random.key(0)).shape)
    keys = jax.random.split(jax.random.key(0), math.ceil(NUMBERS / size))
    numbers = np.ravel(jax.jit(jax.vmap(draw))(keys))
    if numbers.min() == numbers.max():
        return f"always {numbers[0]}"
    for name, law in DISTRIBUTIONS.items():
        if stats.kstest(numbers, law.cdf).statistic < NEAR:
            return name
    return None
