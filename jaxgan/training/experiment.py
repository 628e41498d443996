"""An experiment: a recipe on its data and its devices, as the pure functions that train it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.typing import ArrayLike

from jaxgan.core.decoding import has_decoder_weights
from jaxgan.core.fingerprint import digest
from jaxgan.core.gan import init, sample
from jaxgan.core.state import GANState
from jaxgan.core.steps import make_step
from jaxgan.core.updates import scores
from jaxgan.data import Feed, batch_like, spec_of
from jaxgan.devices.mesh import (
    by_leading_axis,
    fail_together,
    is_main_process,
    make_mesh,
    map_members,
    put,
    replicated,
    share,
)
from jaxgan.keys import from_seed, stream
from jaxgan.population import over_members
from jaxgan.recipes import Recipe
from jaxgan.rundir.sweep import Members, check_sweep
from jaxgan.types import Batch, DataSpec, Images, Metrics, PRNGKey, PyTree
from jaxgan.util.errors import UserError

ROWS_BYTES = 2**26  # of a population that one call of `rows` may give
TOGETHER = 2**20  # parameters in all members that a CPU computes at once: more gains it nothing


class Experiment(NamedTuple):
    """What can be trained: one GAN, or a population.

    Key, state, metrics, images and digests of a population are those of all members: `[M, ...]`.
    """

    recipe: Recipe
    seed: int
    members: Members | None  # None for one GAN
    mesh: Mesh
    sharding: NamedSharding  # of states
    spec: DataSpec
    size: int | None  # examples of the data set; None of one that is drawn
    total: int  # steps of the whole run
    examples_per_step: int  # real ones, of all members
    arrays: PyTree  # the data on the device, an argument of `step`
    longest: int  # the most steps that one call of `rows` may ask for
    rows: Callable[[int, int], PyTree]  # reads what the steps from one to before another need
    key: PyTree  # what all random numbers come from, and the members' swept hyperparameters

    # Pure, to be traced:
    init: Callable[[PyTree], GANState]  # key -> the first state
    step: Callable[..., tuple[GANState, Metrics]]  # state, key, row, arrays -> one step
    draw: Callable[..., Images]  # state, key, name of a stream, n, labels or None -> n images
    score: Callable[..., dict[str, jax.Array]]  # state, key, row, arrays -> D's scores (`scores`)
    digest: Callable[[GANState], jax.Array]  # state -> uint32 [2]
    over_devices: Callable[[Callable, PyTree], Callable]  # a loop of steps -> the same on the mesh

    @property
    def count(self) -> int | None:
        """The number of members; None for one GAN."""
        return None if self.members is None else self.members.count

    def draw_first(self) -> GANState:
        """Draws the first state on the devices, with what the recipe has trained already.

        Raises:
            UserError: if that cannot be read, or does not fit.
            ValueError: if a decoder (see `jaxgan.core.decoding`) is still without weights.
        """

        def first(key: PyTree, begin: Callable[[GANState], GANState]) -> GANState:
            return (begin if self.members is None else jax.vmap(begin))(self.init(key))

        key = put(self.key, self.sharding)
        state = jax.jit(first, out_shardings=self.sharding)(key, self.recipe.begin())
        if not has_decoder_weights(state):
            raise ValueError("G's decoder has no weights: Recipe.begin must put them in")
        return state

    def state_like(self) -> GANState:
        """Returns the shapes of a state."""
        return jax.eval_shape(self.init, self.key)


def set_up(
    recipe: Recipe,
    seed: int = 0,
    *,
    members: Members | None = None,
    data_dir: str | None = None,
    devices: int | None = 1,
) -> Experiment:
    """Finds the devices and the real examples of a run, and makes what trains it.

    Args:
        recipe: the recipe.
        seed: of everything random; the first member's of a population.
        members: of a population; None for one GAN.
        data_dir: where TFDS keeps data sets; None for its own default.
        devices: how many of each process; None for all. A GAN's batches are spread over them, or a
            population's members.

    Returns:
        The experiment.

    Raises:
        UserError: if one of them cannot be had, or they do not fit each other.
    """
    seeds = [seed] if members is None else members.seeds(seed)
    for number in (min(seeds), max(seeds)):
        from_seed(number)  # checks it
    with fail_together():
        mesh = make_mesh(devices)
        if members is not None:
            _check(members, recipe, mesh)  # before the data set, which may take long
        feed = recipe.feed(seed, data_dir) if is_main_process() else None
    with fail_together():  # after the main process, so that only it prepares the data set
        feed = feed or recipe.feed(seed, data_dir)
        if members is None:
            return _solo(recipe, seed, feed, mesh, data_dir)
        feeds = [feed.with_seed(number) for number in seeds]
        keys = jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32))
        return _population(recipe, seed, members, feeds, keys, mesh, data_dir)


class _Functions(NamedTuple):
    """The pure functions of one GAN."""

    init: Callable[..., GANState]
    step: Callable[..., tuple[GANState, Metrics]]
    draw: Callable[..., Images]
    score: Callable[..., dict[str, jax.Array]]


def _functions(
    recipe: Recipe,
    feed: Feed,
    spec: DataSpec,
    data_dir: str | None,
    sharding: NamedSharding | None = None,
) -> _Functions:
    """Makes the functions of one GAN; `sharding` is that of its batches on several devices."""
    gan = recipe.gan(spec)
    update = recipe.update(gan)
    do_step = make_step(update, sharding=sharding)

    @jax.jit  # so that it is traced once, for its shapes and its values
    def first(key: PRNGKey) -> GANState:
        return init(gan, stream(key, "init"), batch_like(feed), update)

    def read(state: GANState, key: PRNGKey, row: PyTree, arrays: PyTree) -> Batch:
        return feed.batch(arrays, row, stream(jax.random.fold_in(key, state.step), "data"))

    def step(state: GANState, key: PRNGKey, row: PyTree, arrays: PyTree):
        batch = read(state, key, row, arrays)
        if sharding is not None:
            batch = jax.tree.map(lambda x: lax.with_sharding_constraint(x, sharding), batch)
        return do_step(state, batch, key)

    def draw(
        state: GANState, key: PRNGKey, name: str, n: int, labels: ArrayLike | None = None
    ) -> Images:
        conditions = dict(recipe.conditions(n, spec, data_dir))
        if labels is not None and "label" in conditions:
            conditions["label"] = jnp.asarray(labels)
        made = recipe.example(sample(gan, state, stream(key, name), n, conditions))
        if made.shape[1:] != spec.shape:
            raise ValueError(
                f"G of {recipe.name} makes examples of the shape {made.shape[1:]}, but those of "
                f"the data have {spec.shape}"
            )
        return made

    def score(state: GANState, key: PRNGKey, row: PyTree, arrays: PyTree):
        own = stream(jax.random.fold_in(key, state.step), "scores")
        return scores(gan, state, read(state, key, row, arrays), own)

    return _Functions(first, step, draw, score)


def _solo(recipe: Recipe, seed: int, feed: Feed, mesh: Mesh, data_dir: str | None) -> Experiment:
    share(recipe.batch_size, mesh)  # so that parts and packs come out even too
    own = share(feed.batch_size, mesh)
    if recipe.microbatch is not None and recipe.microbatch % mesh.size:
        raise UserError(
            f"a microbatch of {recipe.microbatch} cannot be spread over {mesh.size} devices: "
            f"choose a --microbatch that {mesh.size} divides"
        )

    spec, sharding = spec_of(feed), by_leading_axis(mesh) if mesh.size > 1 else None

    def over_devices(function: Callable, rows: PyTree) -> Callable:
        return jax.jit(function, donate_argnums=0, out_shardings=replicated(mesh))

    return Experiment(
        recipe=recipe,
        seed=seed,
        members=None,
        mesh=mesh,
        sharding=replicated(mesh),
        spec=spec,
        size=feed.size,
        total=recipe.total_steps(feed.size),
        examples_per_step=recipe.examples_per_step,
        arrays=feed.arrays,
        longest=feed.longest,
        rows=lambda start, stop: feed.rows(start, stop, own),
        key=from_seed(seed),
        digest=digest,
        over_devices=over_devices,
        **_functions(recipe, feed, spec, data_dir, sharding)._asdict(),
    )


def _check(members: Members, recipe: Recipe, mesh: Mesh) -> None:
    if jax.process_count() > 1:
        raise UserError("a population trains in one process: leave out --distributed")
    if members.count % mesh.size:
        raise UserError(f"{members.count} members cannot be spread over {mesh.size} devices")
    check_sweep(members.sweep, type(recipe))
    for setting in members.settings:
        replace(recipe, **setting)  # checks the values


def _population(
    recipe: Recipe,
    seed: int,
    members: Members,
    feeds: Sequence[Feed],
    keys: PyTree,
    mesh: Mesh,
    data_dir: str | None,
) -> Experiment:
    feed = feeds[0]
    spec = spec_of(feed)
    example = jax.eval_shape(_functions(recipe, feed, spec, data_dir).init, keys[0])
    members = replace(members, at_once=members.at_once or _fitting(example, members, mesh))
    values = {name: jnp.array(x, jnp.float32) for name, x in members.values().items()}

    def rows(start: int, stop: int) -> PyTree:
        own = [feed.rows(start, stop) for feed in feeds]
        return jax.tree.map(lambda *rows: np.stack(rows, axis=1), *own)

    bytes_per_step = sum(row.nbytes for row in jax.tree.leaves(rows(0, 1)))

    def lift(function: Callable) -> Callable:
        """Lifts a per-member function `f(functions, key, *trees)` to the whole population."""

        def of_member(own: tuple[PRNGKey, dict[str, Any]], *trees: PyTree):
            key, values = own
            own_recipe = recipe.with_values(values)
            return function(_functions(own_recipe, feed, spec, data_dir), key, *trees)

        return over_members(of_member, members.at_once)

    def first(key: PyTree) -> GANState:
        return lift(lambda one, key: one.init(key))(key)

    def step(state: GANState, key: PyTree, row: PyTree, arrays: PyTree):
        do_step = lift(lambda one, key, state, row: one.step(state, key, row, arrays))
        return do_step(key, state, row)

    def draw(
        state: GANState, key: PyTree, name: str, n: int, labels: ArrayLike | None = None
    ) -> Images:
        return lift(lambda one, key, state: one.draw(state, key, name, n, labels))(key, state)

    def score(state: GANState, key: PyTree, row: PyTree, arrays: PyTree):
        return lift(lambda one, key, state, row: one.score(state, key, row, arrays))(
            key, state, row
        )

    def over_devices(function: Callable, rows: PyTree) -> Callable:
        return jax.jit(map_members(function, mesh, rows, arguments=3), donate_argnums=0)

    experiment = Experiment(
        recipe=recipe,
        seed=seed,
        members=members,
        mesh=mesh,
        sharding=by_leading_axis(mesh),
        spec=spec,
        size=feed.size,
        total=recipe.total_steps(feed.size),
        examples_per_step=recipe.examples_per_step * members.count,
        arrays=feed.arrays,
        longest=min(feed.longest, max(1, ROWS_BYTES // bytes_per_step)),
        rows=rows,
        key=(keys, values),
        digest=jax.vmap(digest),
        init=first,
        step=step,
        draw=draw,
        score=score,
        over_devices=over_devices,
    )
    if values:
        _check_traceable(experiment)
    return experiment


def _fitting(state: GANState, members: Members, mesh: Mesh) -> int:
    """Chooses how many members to compute at once: large ones gain nothing by it on a CPU."""
    if mesh.devices.flat[0].platform != "cpu":
        return members.count
    numbers = sum(x.size for x in jax.tree.leaves((state.generator, state.discriminator)))
    return min(members.count, max(1, TOGETHER // numbers))


def _check_traceable(experiment: Experiment) -> None:
    """Raises where a swept hyperparameter shapes the program itself."""
    row = jax.tree.map(lambda x: x[0], experiment.rows(0, 1))
    try:
        jax.eval_shape(
            experiment.step, experiment.state_like(), experiment.key, row, experiment.arrays
        )
    except jax.errors.ConcretizationTypeError:
        assert experiment.members is not None
        names = ", ".join(experiment.members.sweep)
        raise UserError(f"cannot sweep {names}: the program itself depends on it") from None
