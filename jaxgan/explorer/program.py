"""What the page of a run computes: pictures of latents, and how to change latents towards others.

The page is told of one array of latents, whatever G sees: it joins the arrays that are drawn, one
after the other. Classes are weights, so that it can mix them where G can. Where G makes styles of
its latents, as StyleGAN2 does, the coarse ones can be those of one latent and the fine ones those
of another.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.errors import FlaxError
from jax import Array

from jaxgan.core.first_layer import first_layer
from jaxgan.data import unscale
from jaxgan.export.onnx import run, serialize
from jaxgan.export.sampler import ROUNDING, Sampler, sampler
from jaxgan.latents import sefa
from jaxgan.recipes import ImageRecipe
from jaxgan.rundir import Trained
from jaxgan.rundir.loading import check_way
from jaxgan.types import Images
from jaxgan.util.errors import UserError

Arguments = Mapping[str, Array]

STYLES = "to_styles"  # the method of a G that makes styles `[B, L, S]` of its latents
SOURCES = 12  # pictures to begin with, of a G that sees pictures
DIRECTIONS = 8  # along which the page moves latents, at most
LEAST = 1e-6  # sum of weights: of a picture that is all unknown, it is 0
PICTURES = 512  # of which principal components are found
CODES = 10  # numbers in an array of uniform latents of which each is a direction of its own
MOST_CATEGORIES = 100_000  # looked for in what samples are conditioned on besides labels
OPTIONAL = ("back", "search")  # models that not every program has
DRAWABLE = ("N(0, 1)", "U(-1, 1)")  # distributions that the page can draw from


class Program(NamedTuple):
    """What a page computes, as models of ONNX, and what it needs to know of them."""

    models: Mapping[str, bytes]  # "draw", and "back" and "search" where there are such
    about: Mapping[str, Any]  # for JSON
    sampler: Sampler  # the function of "draw", and examples of what it makes
    sources: np.ndarray | None  # uint8 [N, H, W, C]: of a G that sees pictures, some of them


def program(trained: Trained, data_dir: str | None = None) -> Program:
    """Makes what the page of a run computes.

    Args:
        trained: what `jaxgan.rundir.load` loaded.
        data_dir: TFDS's data directory; None for its default. For a G that sees pictures.

    Returns:
        The program. Arguments of "draw" are, as far as G has them, "latents" `[B, Z]`, "classes"
        `[B, K]`, "source" `[B, H, W, C]`, the scalar "truncation", and for styles "others" `[B, Z]`
        and "taken" `[B, L]`, the share of the other style in each layer. "search" also has "target"
        `[B, H, W, C]` and "weight" `[B, H, W, 1]`, and makes the gradient by the latents of the
        mean square of what differs; it is left out where that has no counterpart in ONNX. "back" is
        the way back of a G that learned both ways between pictures of one shape.

    Raises:
        UserError: if the samples are no pictures that a page can show, latents have a distribution
            that it cannot draw from, or ONNX has no counterpart of an operation.
    """
    recipe, spec = trained.recipe, trained.spec
    if not isinstance(recipe, ImageRecipe) or spec.shape[-1] not in (1, 3):
        raise UserError(f"{recipe.name} does not make grayscale or RGB images")
    if spec.source is not None and spec.source[-1] not in (1, 3):
        raise UserError(f"{recipe.name} does not take grayscale or RGB images")
    exported = sampler(trained, data_dir)
    told = exported.about["inputs"]
    parts = _parts(told)
    classes = _classes(trained, told)
    mixes = bool(classes) and _takes_weights(exported, parts, classes)
    draw, arguments = _joined(exported, parts, classes, mixes)
    layers = _layers(draw, arguments)
    if layers:
        draw, arguments = _with_styles(draw, arguments, layers)
    page = Sampler(draw, arguments, jax.jit(draw)(arguments), exported.about)
    models, why, directions = {"draw": _model(page)}, None, []
    if "source" in told:
        if spec.source == spec.shape and _goes_back(trained):  # the page turns what it has turned
            models["back"] = _model(sampler(trained, data_dir, "a"))
    else:
        directions = _directions(trained, page, parts)
        try:
            models["search"] = _model(_search(page))
        except UserError as error:
            why = str(error)
    about = {
        "recipe": recipe.name,
        "description": recipe.summary(),
        "steps": exported.about["steps"],
        "shape": list(page.pictures.shape[1:]),
        "range": list(recipe.value_range),
        "latents": [part._asdict() for part in parts],
        "directions": directions,
        "classes": arguments["classes"].shape[1] if "classes" in arguments else 0,
        "mixes": mixes,
        "source": list(told["source"]["shape"][1:]) if "source" in told else None,
        "truncation": "truncation" in told,
        "layers": layers,
        "no_search": why,
    }
    sources = None
    if "source" in told:
        given = recipe.conditions(SOURCES, spec, data_dir)["source"]
        sources = np.asarray(unscale(given, *recipe.value_range))
    return Program(models, about, page, sources)


def _goes_back(trained: Trained) -> bool:
    try:
        check_way(trained, "a")
    except UserError:
        return False
    return True


class _Part(NamedTuple):
    """An array of latents, which the page has as a part of its own."""

    name: str
    size: int
    distribution: str


def _parts(told: Mapping[str, Any]) -> list[_Part]:
    parts = []
    for name, form in told.items():
        if name.startswith("latents"):
            if form["distribution"] not in DRAWABLE or len(form["shape"]) != 2:
                raise UserError(
                    f"the page cannot draw {name}, which are neither N(0, 1) nor U(-1, 1)"
                )
            parts.append(_Part(name, form["shape"][1], form["distribution"]))
    return parts


def _classes(trained: Trained, told: Mapping[str, Any]) -> dict[str, int]:
    """Counts the classes of what is a number of a class: labels, or InfoGAN's categories."""
    if "source" in told:
        return {}
    conditions = trained.recipe.conditions(MOST_CATEGORIES, trained.spec)
    counts = {name: int(np.max(x)) + 1 for name, x in conditions.items()}
    counts["label"] = trained.spec.classes or 0
    return {name: count for name, count in counts.items() if name in told}


def _takes_weights(exported: Sampler, parts: list[_Part], classes: Mapping[str, int]) -> bool:
    """Whether G takes weights of classes in the place of labels, as networks of jaxgan do."""
    draw, arguments = _joined(exported, parts, classes, mixes=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # as of jax.nn.one_hot
            made = jax.jit(draw)(arguments)
    except (TypeError, ValueError, FlaxError, DeprecationWarning):  # of shapes and types
        return False
    expected = exported.pictures
    if made.shape != expected.shape:
        return False
    return bool(jnp.abs(made - expected).max() <= ROUNDING * jnp.abs(expected).max())


def _joined(
    exported: Sampler, parts: list[_Part], classes: Mapping[str, int], mixes: bool
) -> tuple[Callable[[Arguments], Images], dict[str, Array]]:
    """Joins latents, and takes weights of classes; where G cannot, it sees the largest's label."""
    ends = np.cumsum([part.size for part in parts])
    own = exported.arguments
    kept = [name for name in own if name in ("source", "truncation")]

    def draw(arguments: Arguments) -> Images:
        values = {name: arguments[name] for name in kept}
        if classes:
            weights = arguments["classes"]
            seen = weights if mixes else jnp.argmax(weights, 1).astype(jnp.int32)
            values |= dict.fromkeys(classes, seen)
        if parts:
            pieces = jnp.split(arguments["latents"], ends[:-1].tolist(), 1)
            values |= {part.name: piece for part, piece in zip(parts, pieces, strict=True)}
        return exported.draw(values)

    arguments = {name: own[name] for name in kept}
    if parts:
        arguments["latents"] = jnp.concatenate([own[part.name] for part in parts], 1)
    for name, count in classes.items():
        arguments["classes"] = jax.nn.one_hot(own[name], count)
    return draw, arguments


def _layers(draw: Callable[[Arguments], Images], arguments: Arguments) -> int:
    """Counts the layers that have styles of their own; 0 where there are none."""
    found = []

    def look(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        made = call(*args, **kwargs)
        if context.method_name == STYLES and made.ndim == 3:
            found.append(made.shape[1])
        return made

    with nn.intercept_methods(look):
        jax.eval_shape(draw, arguments)
    return max(found, default=0)


def _with_styles(
    draw: Callable[[Arguments], Images], arguments: dict[str, Array], layers: int
) -> tuple[Callable[[Arguments], Images], dict[str, Array]]:
    """Takes a second latent, and the share of its style in each layer."""

    def mixed(arguments: Arguments) -> Images:
        scalars = {name: x for name, x in arguments.items() if not x.ndim}

        def one(own: Arguments) -> Images:
            others, taken = own["others"][None], own["taken"][None, :, None]

            def mix(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
                styles = call(*args, **kwargs)
                if context.method_name != STYLES:
                    return styles
                return styles + taken * (call(others, *args[1:], **kwargs) - styles)

            with nn.intercept_methods(mix):
                return draw({name: x[None] for name, x in own.items()} | scalars)[0]

        return jax.vmap(one)({name: x for name, x in arguments.items() if x.ndim})

    latents = arguments["latents"]
    taken = jnp.broadcast_to(jnp.arange(layers) < layers // 2, (len(latents), layers))
    new = {"others": latents[::-1], "taken": taken.astype(latents.dtype)}
    return mixed, arguments | new


def _search(page: Sampler) -> Sampler:
    """Makes the gradient of what a picture lacks, by its latents."""

    def gradient(arguments: Arguments) -> Array:
        wanted, weight = arguments["target"], arguments["weight"]

        def loss(latents: Array) -> Array:
            made = page.draw({**arguments, "latents": latents})
            differences = (weight * (made - wanted) ** 2).sum((1, 2, 3))
            total = jnp.maximum(weight.sum((1, 2, 3)), LEAST)
            return (differences / (total * made.shape[-1])).sum()

        return jax.grad(loss)(arguments["latents"])

    pictures = page.pictures
    weight = jnp.ones_like(pictures[..., :1]).at[:, ::2].set(0.5)
    arguments = {**page.arguments, "target": jnp.flip(pictures, 0), "weight": weight}
    return Sampler(gradient, arguments, jax.jit(gradient)(arguments), page.about)


def _model(sampler: Sampler) -> bytes:
    model = serialize(sampler)
    made, expected = run(model, sampler.arguments), np.asarray(sampler.pictures)
    if not np.abs(made - expected).max() <= ROUNDING * np.abs(expected).max():
        apart = np.abs(made - expected).max()
        raise UserError(f"the ONNX model does not match JAX: they differ by {apart:.1e}")
    return model


def _directions(trained: Trained, page: Sampler, parts: list[_Part]) -> list[dict[str, Any]]:
    """Finds directions in latents: SeFa's of the first array, or the codes where there are few."""
    found, before, size = [], 0, sum(part.size for part in parts)
    for place, part in enumerate(parts):
        rows, name = [], "Direction"
        if part.distribution == "U(-1, 1)" and part.size <= CODES:
            rows, name = np.eye(part.size), "Code"
        elif place == 0:
            inputs = trained.gan.inputs(
                jax.random.key(0), 1, trained.recipe.conditions(1, trained.spec)
            )
            try:
                rows = sefa(first_layer(trained.gan, trained.state, inputs))[:DIRECTIONS]
            except ValueError:  # G has no such layer
                rows = _principal(page, parts)
        for number, row in enumerate(np.asarray(rows), 1):
            vector = np.pad(row, (before, size - before - part.size))
            reach = 2 if name == "Code" else 4  # as far as from one end to the other, or likely
            told = {"name": f"{name} {number}", "reach": reach, "vector": vector.round(5).tolist()}
            found.append(told)
        before += part.size
    return sorted(found, key=lambda x: x["name"].startswith("Direction"))  # codes first


def _principal(page: Sampler, parts: list[_Part]) -> np.ndarray:
    """Finds the first latents' directions along which pictures vary most.

    Source: Haerkoenen et al., "GANSpace: Discovering Interpretable GAN Controls" (2020), section
    2.1, for networks whose latents are not styles: the principal components, here of the pictures
    themselves, and their regression on latents.
    """
    normal = jax.random.normal(jax.random.key(0), (PICTURES, sum(part.size for part in parts)))
    is_normal = np.repeat(
        [part.distribution == "N(0, 1)" for part in parts], [part.size for part in parts]
    )
    # By its distribution function, a normal number is as likely from U(-1, 1).
    latents = jnp.where(is_normal[None], normal, 2 * jax.scipy.stats.norm.cdf(normal) - 1)
    others = {name: x for name, x in page.arguments.items() if name != "latents"}
    same = {name: jnp.repeat(x[:1], PICTURES, 0) if x.ndim else x for name, x in others.items()}
    if "classes" in same:
        count = same["classes"].shape[1]
        same["classes"] = jax.nn.one_hot(jnp.arange(PICTURES) % count, count)
    made = np.asarray(jax.jit(page.draw)(same | {"latents": latents})).reshape(PICTURES, -1)
    left, _, _ = np.linalg.svd(made - made.mean(0), full_matrices=False)
    size = parts[0].size
    found = left[:, : min(DIRECTIONS, size)].T @ np.asarray(latents)[:, :size]
    return found / np.linalg.norm(found, axis=1, keepdims=True)
