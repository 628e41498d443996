"""An experiment: a recipe on its data and its devices, as the pure functions that train it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from jaxgan.core.fingerprint import digest
from jaxgan.core.gan import GANState, init, sample
from jaxgan.core.steps import make_step
from jaxgan.data import Feed
from jaxgan.devices import mesh as parallel
from jaxgan.devices.mesh import Layout
from jaxgan.keys import from_seed, stream
from jaxgan.population import over_members
from jaxgan.recipes import Recipe
from jaxgan.rundir.sweep import Members, check_sweep
from jaxgan.types import Images, Metrics, PRNGKey, PyTree
from jaxgan.util.errors import UserError

ROWS_BYTES = 2**26  # of a population that one call of `rows` may give
TOGETHER = 2**20  # parameters in all members that a CPU computes at once: more gains it nothing


class Experiment(NamedTuple):
    """What can be trained: one GAN, or a population.

    Of a population, key, state, metrics, images and digests are those of all members: `[M, ...]`.
    """

    recipe: Recipe
    seed: int
    members: Members | None  # None for one GAN
    mesh: Mesh
    layout: Layout  # of the arrays on the mesh
    shape: tuple[int, ...]  # of one example
    total: int  # steps of the whole run
    examples_per_step: int  # real ones, of all members
    arrays: PyTree  # the data on the device, an argument of `step`
    longest: int  # the most steps that one call of `rows` may ask for
    rows: Callable[[int, int], PyTree]  # reads what the steps from one to before another need
    key: PyTree  # what all random numbers come from; of a population also what members differ in

    # Pure, to be traced:
    init: Callable[[PyTree], GANState]  # of the key: draws the first state
    step: Callable[..., tuple[GANState, Metrics]]  # of state, key, row, arrays: one step
    draw: Callable[..., Images]  # of state, key, name of a stream, n: draws n images
    digest: Callable[[GANState], jax.Array]  # uint32 [2]

    @property
    def count(self) -> int | None:
        """How many members there are."""
        return None if self.members is None else self.members.count

    @property
    def sharding(self) -> NamedSharding:
        """Where states are."""
        return NamedSharding(self.mesh, self.layout.state)

    def draw_first(self) -> GANState:
        """Draws the first state on the devices."""
        key = parallel.put(self.key, self.mesh, self.layout.state)
        return jax.jit(self.init, out_shardings=self.sharding)(key)

    def state_like(self) -> GANState:
        """The shapes of a state."""
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
        UserError: if one of them is not to be had, or they do not fit each other.
    """
    seeds = [seed] if members is None else members.seeds(seed)
    for number in (min(seeds), max(seeds)):
        from_seed(number)  # checks it
    with parallel.unanimous():
        mesh = parallel.make_mesh(devices)
        feed = recipe.feed(seed, data_dir) if parallel.leads() else None
    with parallel.unanimous():  # after the first process, so that only it prepares the data set
        feed = feed or recipe.feed(seed, data_dir)
        if members is None:
            return _solo(recipe, seed, feed, mesh)
        feeds = [feed.with_seed(number) for number in seeds]
        keys = jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32))
        return _population(recipe, seed, members, feeds, keys, mesh)


class _Functions(NamedTuple):
    """The pure functions of an experiment."""

    init: Callable[..., GANState]
    step: Callable[..., tuple[GANState, Metrics]]
    draw: Callable[..., Images]


def _functions(recipe: Recipe, feed: Feed, axis_name: str | None = None) -> _Functions:
    gan = recipe.gan(feed.shape)
    do_step = make_step(recipe.update(gan), axis_name=axis_name)
    example = {"image": np.empty((1, *feed.shape), np.float32)}

    @jax.jit  # so that it is traced once, for its shapes and its values
    def first(key: PRNGKey) -> GANState:
        return init(gan, stream(key, "init"), example)

    def step(state: GANState, key: PRNGKey, row: PyTree, arrays: PyTree):
        data_key = stream(jax.random.fold_in(key, state.step), "data")
        return do_step(state, feed.batch(arrays, row, data_key, axis_name), key)

    def draw(state: GANState, key: PRNGKey, name: str, n: int) -> Images:
        return sample(gan, state, stream(key, name), n)

    return _Functions(first, step, draw)


def _solo(recipe: Recipe, seed: int, feed: Feed, mesh: Mesh) -> Experiment:
    parallel.share(recipe.batch_size, mesh)  # so that parts and packs come out even too
    share = parallel.share(feed.batch_size, mesh)
    part = recipe.batch_size // mesh.size
    if recipe.microbatch is not None and part > recipe.microbatch and part % recipe.microbatch:
        raise UserError(f"a microbatch of {recipe.microbatch} does not divide a device's {part}")
    # A single device has nothing to average, and a tiny step would feel it.
    axis_name = parallel.AXIS if mesh.size > 1 else None
    return Experiment(
        recipe=recipe,
        seed=seed,
        members=None,
        mesh=mesh,
        layout=parallel.BY_EXAMPLE,
        shape=feed.shape,
        total=recipe.total_steps(feed.size),
        examples_per_step=recipe.examples_per_step,
        arrays=feed.arrays,
        longest=feed.stretch,
        rows=lambda start, stop: feed.rows(start, stop, share),
        key=from_seed(seed),
        digest=digest,
        **_functions(recipe, feed, axis_name)._asdict(),
    )


def _population(
    recipe: Recipe, seed: int, members: Members, feeds: Sequence[Feed], keys: PyTree, mesh: Mesh
) -> Experiment:
    if jax.process_count() > 1:
        raise UserError("a population trains in one process: leave out --distributed")
    if members.count % mesh.size:
        raise UserError(f"{members.count} members cannot be spread over {mesh.size} devices")
    check_sweep(members.sweep, type(recipe))
    for setting in members.settings:
        replace(recipe, **setting)  # checks the values
    feed = feeds[0]
    example = jax.eval_shape(_functions(recipe, feed).init, keys[0])
    members = replace(members, at_once=members.at_once or _fitting(example, members, mesh))
    values = {name: jnp.array(x, jnp.float32) for name, x in members.values().items()}

    def rows(start: int, stop: int) -> PyTree:
        own = [feed.rows(start, stop) for feed in feeds]
        return jax.tree.map(lambda *rows: np.stack(rows, axis=1), *own)

    bytes_per_step = sum(row.nbytes for row in jax.tree.leaves(rows(0, 1)))

    def lift(function: Callable) -> Callable:
        """Makes a function of all members of one of a member's functions, key and trees."""

        def of_member(own: tuple[PRNGKey, dict[str, Any]], *trees: PyTree):
            key, values = own
            return function(_functions(recipe.with_values(values), feed), key, *trees)

        return over_members(of_member, members.at_once)

    def first(key: PyTree) -> GANState:
        return lift(lambda one, key: one.init(key))(key)

    def step(state: GANState, key: PyTree, row: PyTree, arrays: PyTree):
        do_step = lift(lambda one, key, state, row: one.step(state, key, row, arrays))
        return do_step(key, state, row)

    def draw(state: GANState, key: PyTree, name: str, n: int) -> Images:
        return lift(lambda one, key, state: one.draw(state, key, name, n))(key, state)

    experiment = Experiment(
        recipe=recipe,
        seed=seed,
        members=members,
        mesh=mesh,
        layout=parallel.BY_MEMBER,
        shape=feed.shape,
        total=recipe.total_steps(feed.size),
        examples_per_step=recipe.examples_per_step * members.count,
        arrays=feed.arrays,
        longest=min(feed.stretch, max(1, ROWS_BYTES // bytes_per_step)),
        rows=rows,
        key=(keys, values),
        digest=jax.vmap(digest),
        init=first,
        step=step,
        draw=draw,
    )
    if values:
        _check_traceable(experiment)
    return experiment


def _fitting(state: GANState, members: Members, mesh: Mesh) -> int:
    """How many members to compute at once: a CPU gains nothing by large ones, all others do."""
    if mesh.devices.flat[0].platform != "cpu":
        return members.count
    numbers = sum(x.size for x in jax.tree.leaves((state.generator, state.discriminator)))
    return min(members.count, max(1, TOGETHER // numbers))


def _check_traceable(experiment: Experiment) -> None:
    """Fails where a swept hyper-parameter shapes the program itself."""
    row = jax.tree.map(lambda x: x[0], experiment.rows(0, 1))
    try:
        jax.eval_shape(
            experiment.step, experiment.state_like(), experiment.key, row, experiment.arrays
        )
    except jax.errors.ConcretizationTypeError:
        assert experiment.members is not None
        names = ", ".join(experiment.members.sweep)
        raise UserError(f"cannot sweep {names}: the program itself depends on it") from None
