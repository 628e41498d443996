"""Restores pictures with a finished run, and measures how well where the truth is known."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Bool, Int32, UInt8

from jaxgan import metrics, restoration
from jaxgan.core.gan import generate
from jaxgan.core.state import GANState
from jaxgan.data import name_and_split, scale, unscale
from jaxgan.data.decoding import decode
from jaxgan.data.failures import system_failures
from jaxgan.data.folder import names_below, open_pictures
from jaxgan.data.sources import DATA, is_spec, open_source
from jaxgan.features import digits, extract
from jaxgan.keys import per_example, stream
from jaxgan.metrics.similarity import scales
from jaxgan.recipes import ImageRecipe
from jaxgan.restoration import Known, Mask, Operator, Search
from jaxgan.rundir.loading import Trained, as_data, is_conditional
from jaxgan.types import Batch, PerSample, PRNGKey, PyTree
from jaxgan.util.errors import UserError
from jaxgan.util.parsing import shown

STARTS = 8  # for each picture, at least
MOST = 8192  # starts of all pictures, which are all in memory
SHOWN = 5  # restorations of a picture that are kept: the best, and others
TOGETHER = 10  # steps of the search between two looks at it
ROUNDING = 1 / (255 * 12**0.5)  # deviation of what rounding to 255 levels of a range of 1 errs by
BATCH_ALIKE = 1e-3  # by how much a picture may depend on the others of its batch

Range = tuple[float, float]  # values of black and white
Tell = Callable[[int, float, int], None]  # steps done, loss, pictures of G in a step


class Damage(NamedTuple):
    """What happened to pictures."""

    operator: Operator = restoration.compose()  # what can be seen of a whole picture
    known: Known | None = None  # makes or draws a mask of the pixels that can be seen


class Pictures(NamedTuple):
    """Damaged pictures, and what is known of the whole ones."""

    names: Sequence[str]
    known: UInt8[np.ndarray, "N h w c"]  # what can be seen; missing pixels are black
    mask: Bool[np.ndarray, "N H W 1"] | None = None  # true where a pixel is known
    truth: UInt8[np.ndarray, "N H W C"] | None = None
    labels: Int32[np.ndarray, "N"] | None = None


class Way(NamedTuple):
    """How to search for a picture."""

    starts: int | None = None  # for each picture; None for `STARTS`, or the classes if more
    steps: int = 300
    optimizer: optax.GradientTransformation = optax.adam(0.1)
    restrict: Callable[[PyTree, PyTree], PyTree] = lambda moved, first: moved  # see `search`
    weigh: Callable[[Mask], Array] = lambda mask: jnp.where(mask, 1.0, 0.0)  # or `hole_weights`
    prior: float = 0.1  # weight of `gaussian_prior`
    realism: float = 0.0  # weight of `realism`
    label: int | None = None  # the class of all pictures; None to search for it among the starts


class Restored(NamedTuple):
    """Restorations of pictures, and how good they are."""

    images: UInt8[np.ndarray, "N K H W C"]  # the best of a picture, and others, best first
    starts: int  # of each picture
    scores: Mapping[str, Mapping[str, float]]  # of "damaged" and "restored", by metric
    each: Mapping[str, np.ndarray]  # metrics of each restored picture, [N]


def check(trained: Trained) -> tuple[int, int, int]:
    """Checks that the latents of a GAN's pictures can be searched.

    Args:
        trained: what `jaxgan.rundir.load` loaded.

    Returns:
        The shape of its pictures, (H, W, C).

    Raises:
        UserError: as `draw_latents`, or if the GAN looks at batches as a whole.
    """
    inputs = draw_latents(trained, 3)

    def first_beside(other: int) -> Array:
        both = jax.tree.map(lambda x: x[jnp.asarray([0, other])], inputs)
        return trained.recipe.example(generate(trained.gan, trained.state, both))[0]

    if jnp.abs(first_beside(1) - first_beside(2)).max() > BATCH_ALIKE:
        raise UserError(
            f"the generator of {trained.recipe.name} samples with the statistics of a batch, so "
            "its pictures depend on each other: choose a run of another recipe"
        )
    height, width, channels = trained.spec.shape
    return height, width, channels


def draw_latents(trained: Trained, count: int) -> PyTree:
    """Draws what G sees, of a GAN that makes pictures of latents.

    Args:
        trained: what `jaxgan.rundir.load` loaded.
        count: how many.

    Returns:
        Arrays `[count, ...]`, or a tree of them: latents, perhaps with labels.

    Raises:
        UserError: if the GAN makes no pictures, or makes them of pictures.
    """
    name = trained.recipe.name
    if not isinstance(trained.recipe, ImageRecipe) or len(trained.spec.shape) != 3:
        raise UserError(f"{name} makes no pictures: choose a run of another recipe")
    inputs = ()
    if trained.spec.source is None:
        with contextlib.suppress(KeyError):  # it takes pictures of the batch
            conditions = trained.recipe.conditions(count, trained.spec)
            inputs = trained.gan.inputs(jax.random.key(0), count, conditions)
    if not any(_is_latent(x) for x in jax.tree.leaves(inputs)):
        raise UserError(
            f"the generator of {name} takes pictures, not latents: choose a run of another recipe"
        )
    return inputs


def _is_latent(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating) and x.ndim < 4


def read(
    source: str, trained: Trained, damage: Damage, key: PRNGKey, data_dir: str | None = None
) -> Pictures:
    """Reads damaged pictures, or whole ones to be damaged.

    Args:
        source: the path of a damaged picture, or of a folder of them; or "data:" and whole
            pictures: a split of the run's data set, or any data set (see `jaxgan.data.load`).
        trained: the run's GAN.
        damage: what happened to the pictures, or will.
        key: of masks that are drawn, one for each picture.
        data_dir: TFDS's data directory; None for its default.

    Returns:
        The pictures, as files would hold them.

    Raises:
        UserError: if there are no such pictures, or they do not fit the GAN or the damage.
    """
    shape = trained.spec.shape
    try:
        like = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        _, *seen = jax.eval_shape(damage.operator, like).shape
    except ValueError as error:
        raise UserError(f"this damage does not suit {trained.recipe.name}: {error}") from None
    if not source.startswith(DATA):
        root = Path(source)
        height, width, channels = seen
        folder = open_pictures(root, (height, width, channels))
        known, _ = decode(folder, None)
        return _hide(Pictures(names_below(root, folder), known), damage, key)
    with system_failures(source):
        found = open_source(
            _spec(source.removeprefix(DATA), trained),
            image_size=shape[0] if shape[0] == shape[1] else None,
            default_size=shape[0],
            data_dir=data_dir,
        )
    if found.shape != shape:
        raise UserError(f"{source} has pictures {found.shape}, {trained.recipe.name} {shape}")
    truth, labels = decode(found, None)
    known = _quantize(damage.operator(scale(truth, 0.0, 1.0)))
    names = [f"{index:05d}.png" for index in range(len(truth))]
    return _hide(Pictures(names, known, None, truth, labels), damage, key)


def _spec(words: str, trained: Trained) -> str:
    """Names a data set: that of the run, if it is only a split."""
    assert isinstance(trained.recipe, ImageRecipe)
    own, _ = name_and_split(trained.recipe.data)
    if is_spec(words):
        return words
    if own.startswith("folder:"):
        raise UserError(f"{own} has no split {shown(words)}: write {DATA}folder:PATH, or a path")
    name, mark, picture = own.partition("#")
    return f"{name}@{words}{mark}{picture}"


def _quantize(images: Array) -> np.ndarray:
    return np.asarray(unscale(images, 0.0, 1.0))


def _hide(pictures: Pictures, damage: Damage, key: PRNGKey) -> Pictures:
    """Makes missing pixels black."""
    if damage.known is None:
        return pictures
    count, height, width, _ = pictures.known.shape
    keys = per_example(stream(key, "masks"), count)
    mask = np.stack([damage.known(height, width, key) for key in keys])
    return pictures._replace(known=np.where(mask, pictures.known, 0), mask=mask)


def restore(
    trained: Trained,
    pictures: Pictures,
    operator: Operator,
    way: Way,
    key: PRNGKey,
    tell: Tell = lambda step, loss, count: None,
) -> Restored:
    """Restores pictures, all of them and all starts in one program.

    A conditional GAN searches for the label too: the starts of a picture take the classes in turn.

    Args:
        trained: the run's GAN, which passed `check`.
        pictures: what `read` returned.
        operator: what can be seen of a whole picture.
        way: how to search.
        key: of the starts.
        tell: is told how far the search has come.

    Returns:
        The restorations. Known pixels are as they were, and blurred, small and gray pictures are
        what the operator makes of their restorations, up to rounding.

    Raises:
        UserError: if a number is out of range, the label or D does not suit the way, or the GAN
            diverged.
    """
    gan, state = trained.gan, trained.state
    starts, conditions = _begin(trained, way)
    count = len(pictures.known)
    if count * starts > MOST:
        raise UserError(
            f"{count:,} pictures with {starts:,} starts each are more than the {MOST:,} searches "
            "that are done at once: choose fewer pictures or --starts"
        )
    keys = per_example(stream(key, "starts"), count)
    drawn = jax.vmap(lambda key: gan.inputs(key, starts, conditions))(keys)
    inputs = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), drawn)
    shown_to_d = {name: jnp.tile(x, (count, *[1] * (x.ndim - 1))) for name, x in conditions.items()}
    assert isinstance(trained.recipe, ImageRecipe)
    low, high = trained.recipe.value_range
    known = scale(pictures.known, low, high)
    mask = None if pictures.mask is None else jnp.asarray(pictures.mask)

    def objective(inputs: PyTree, state: GANState, known: Array, mask: Mask | None) -> PerSample:
        each = jnp.repeat(known, starts, 0)
        weights = None if mask is None else jnp.repeat(way.weigh(mask), starts, 0)
        made = generate(gan, state, inputs)
        loss = restoration.distance(operator(trained.recipe.example(made)), each, weights)
        if way.prior:
            loss += way.prior * restoration.gaussian_prior(inputs)
        if way.realism:
            loss += way.realism * restoration.realism(gan, state, made, shown_to_d)
        return loss

    @jax.jit
    def finish(state: GANState, known: Array, mask: Mask | None, found: Search) -> Array:
        images = trained.recipe.example(generate(gan, state, found.best))
        best = restoration.best_first(found.loss, images, count)[:, :SHOWN]
        made = best.reshape(-1, *best.shape[2:])
        each = jnp.repeat(known, best.shape[1], 0)
        if mask is not None:
            made = restoration.blend(jnp.repeat(mask, best.shape[1], 0), each, made)
        else:
            noise = (high - low) * ROUNDING
            made = restoration.project(operator, made, each, noise)
        return made.reshape(best.shape)

    def see(step: int, search: Search) -> None:
        best = search.loss.reshape(count, starts).min(1)
        tell(step, float(best.mean()), count * starts)

    search = searcher(objective, way)(inputs, see, state, known, mask)
    made = finish(state, known, mask, search)
    images = as_data(trained, made.reshape(-1, *made.shape[2:])).reshape(made.shape)
    if pictures.mask is not None:
        images = np.where(pictures.mask[:, None], pictures.known[:, None], images)
    return Restored(images, starts, *_measure(trained, pictures, images[:, 0]))


def searcher(objective: Callable[..., PerSample], way: Way) -> Callable[..., Search]:
    """Makes a function that searches for latents in a program that is compiled once.

    Args:
        objective: `(inputs, *arrays) -> losses`, see `jaxgan.restoration.search`.
        way: how to search.

    Returns:
        `(starts, see, *arrays) -> search`, where `see(step, search)` looks at the search now and
        then.
    """

    @partial(jax.jit, static_argnums=0)
    def advance(steps: int, begun: Search, *arrays: PyTree) -> Search:
        def of_inputs(inputs: PyTree) -> PerSample:
            return objective(inputs, *arrays)

        return restoration.search(of_inputs, begun, way.optimizer, steps, way.restrict)[0]

    def find(starts: PyTree, see: Callable[[int, Search], None], *arrays: PyTree) -> Search:
        search = restoration.begin(starts, way.optimizer)
        for step in range(0, way.steps, TOGETHER):
            steps = min(TOGETHER, way.steps - step)
            search = advance(steps, search, *arrays)
            see(step + steps, search)
        return search

    return find


def _begin(trained: Trained, way: Way) -> tuple[int, Batch]:
    """Checks the way, and chooses the number of starts and what they are conditioned on."""
    name, conditional = trained.recipe.name, is_conditional(trained)
    if way.realism:
        _check_judge(trained)
    classes = trained.spec.classes or 1
    if way.label is not None:
        if not conditional:
            raise UserError(f"{name} is not conditioned on labels: leave out --label")
        if not 0 <= way.label < classes:
            raise UserError(f"--label must be from 0 to {classes - 1}, not {way.label}")
    starts = way.starts or max(STARTS, _kinds(trained) if way.label is None else 1)
    conditions = dict(trained.recipe.conditions(starts, trained.spec))
    if way.label is not None:
        conditions["label"] = jnp.full(starts, way.label, jnp.int32)
    return starts, conditions


def _kinds(trained: Trained) -> int:
    """How many different ones are among what starts are conditioned on: classes, or categories."""
    conditions = trained.recipe.conditions(MOST, trained.spec)
    return max((len(np.unique(x, axis=0)) for x in conditions.values()), default=1)


def _check_judge(trained: Trained) -> None:
    """Checks that D judges a picture as it does, whatever is beside it."""
    name, gan, state = trained.recipe.name, trained.gan, trained.state
    if gan.loss.real is None:
        raise UserError(
            f"D of {name} judges fakes beside reals, not by themselves: leave out --realism"
        )
    conditions = dict(trained.recipe.conditions(3, trained.spec))
    made = generate(gan, state, gan.inputs(jax.random.key(0), 3, conditions))

    def first_beside(other: int) -> Array:
        both = jax.tree.map(lambda x: x[jnp.asarray([0, other])], (made, conditions))
        return restoration.realism(gan, state, *both)[0]

    try:
        alone = jnp.isclose(first_beside(1), first_beside(2), rtol=1e-6, atol=0, equal_nan=True)
    except KeyError as error:
        raise UserError(
            f"D of {name} sees {error} of a batch, which restored pictures do not have: leave out "
            "--realism"
        ) from None
    except ValueError:  # of packs
        alone = False
    if not alone:
        raise UserError(
            f"D of {name} judges several pictures together, which have nothing to do with each "
            "other here: leave out --realism"
        )


def _measure(
    trained: Trained, pictures: Pictures, restored: np.ndarray
) -> tuple[dict[str, dict[str, float]], dict[str, np.ndarray]]:
    """Compares pictures with the truth, where it is known."""
    if pictures.truth is None:
        return {}, {}
    scores, each = {}, {}
    damaged = enlarge(pictures, trained.spec.shape)
    for name, images in (("damaged", damaged), ("restored", restored)):
        a, b = (x.astype(np.float32) for x in (images, pictures.truth))
        errors = metrics.squared_errors(a, b, None if pictures.mask is None else ~pictures.mask)
        values = {"psnr": np.asarray(metrics.psnr(errors, data_range=255))}
        found = {"psnr": float(metrics.psnr(errors.mean(), data_range=255))}
        if scales(*a.shape[1:3]):
            values["ssim"] = np.asarray(metrics.ssim(a, b, data_range=255))
            found["ssim"] = float(values["ssim"].mean())
        if _are_digits(trained, pictures):
            read = digits.load()
            assert read.logits is not None
            logits = read.logits(jnp.asarray(extract(read, images)))
            values["digits"] = np.asarray(logits.argmax(1)) == pictures.labels
            found["digits"] = float(values["digits"].mean())
        scores[name], each = found, values
    return scores, each


def _are_digits(trained: Trained, pictures: Pictures) -> bool:
    assert isinstance(trained.recipe, ImageRecipe)
    is_mnist = name_and_split(trained.recipe.data)[0] == "mnist"
    return is_mnist and trained.spec.shape == digits.SHAPE and pictures.labels is not None


def enlarge(
    pictures: Pictures, shape: tuple[int, ...], missing: int = 0
) -> UInt8[np.ndarray, "N H W C"]:
    """Shows damaged pictures at the size and in the channels of whole ones.

    Args:
        pictures: what `read` returned.
        shape: of a whole picture, (H, W, C).
        missing: the value of missing pixels.

    Returns:
        Pictures in which pixels and channels are repeated.
    """
    images = pictures.known
    for axis, length in enumerate(shape, start=1):
        images = images.repeat(length // images.shape[axis], axis)
    return images if pictures.mask is None else np.where(pictures.mask, images, np.uint8(missing))
