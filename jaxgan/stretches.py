"""Training as a sequence of stretches: many steps in one program, then a look at the result."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from jaxgan import parallel
from jaxgan.data import Feed
from jaxgan.digest import digest, hexadecimal
from jaxgan.gan import GAN, GANState
from jaxgan.keys import stream
from jaxgan.recipes import Recipe
from jaxgan.steps import make_step, run_steps
from jaxgan.types import PRNGKey, PyTree

SECONDS = 1.0  # of training between two looks


class Stretch(NamedTuple):
    """Some steps that were done."""

    state: GANState  # after them, the same on all devices; the next stretch consumes it
    step: int  # how many steps are done in all
    history: dict[str, np.ndarray]  # metrics of each of its steps, float32 [T]
    digests: dict[int, str]  # of the state, at the log points among its steps
    examples_per_second: float  # real ones that training took in

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl: the log points' metrics, up to one that is not finite."""
        lines = []
        first = self.step - len(next(iter(self.history.values()))) + 1
        for step, values in enumerate(zip(*self.history.values(), strict=True), start=first):
            if not np.isfinite(values).all():
                break
            if step in self.digests:
                metrics = dict(zip(self.history, map(float, values), strict=True))
                rate = round(self.examples_per_second, 1)
                lines.append(
                    {
                        "step": step,
                        **metrics,
                        "digest": self.digests[step],
                        "images_per_second": rate,
                    }
                )
        return lines


def train_in_stretches(
    recipe: Recipe,
    gan: GAN,
    feed: Feed,
    state: GANState,
    key: PRNGKey,
    total: int,
    mesh: Mesh,
    stops: Sequence[int] = (),
) -> Iterator[Stretch]:
    """Trains from the state's step to the last.

    Args:
        recipe: the recipe.
        gan: the GAN that it made.
        feed: its real examples.
        state: where to start, the same on all devices of the mesh; it is donated.
        key: of the run.
        total: steps of the whole run.
        mesh: the devices.
        stops: periods; at each step that one of them divides, a stretch ends.

    Yields:
        Stretches of about `SECONDS`. Their lengths change nothing of the results.
    """
    share = parallel.share(feed.batch_size, mesh)
    arrays = parallel.put_same(feed.arrays, mesh)
    key, last = parallel.put_same((key, np.int32(total)), mesh)
    step = int(state.step)

    def rows(start: int, stop: int) -> PyTree:
        """The rows of some steps, padded to the longest stretch, to share one compilation."""
        missing = feed.stretch - (stop - start)
        padded = jax.tree.map(
            lambda rows: np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1)),
            feed.rows(start, stop, share),
        )
        return parallel.put_rows(padded, mesh)

    # Ahead of time, so that the first rate measured is not that of the compiler.
    example = rows(step, step + 1)
    # A single device has nothing to average, and a tiny step would feel it.
    axis_name = parallel.AXIS if mesh.size > 1 else None
    advance = _make_advance(recipe, gan, feed, axis_name)
    advance = parallel.spread(advance, mesh, example, arguments=4)
    advance = jax.jit(advance, donate_argnums=0)
    advance = advance.lower(state, example, arrays, key, last, np.int32(1)).compile()

    seconds_per_step = SECONDS  # not known yet: begin with a single step
    while step < total:
        ends = [step - step % period + period for period in stops]
        count = max(1, int(SECONDS / seconds_per_step))
        count = min(count, feed.stretch, min([total, *ends]) - step)
        # All processes must do the same steps, however fast each of them is.
        count = -parallel.highest(-count)
        began = time.perf_counter()
        state, history = advance(
            state, rows(step, step + count), arrays, key, last, np.int32(count)
        )
        history = {name: np.asarray(values)[:count] for name, values in history.items()}
        seconds_per_step = (time.perf_counter() - began) / count
        digests = {
            step + index + 1: hexadecimal(words)
            for index, words in enumerate(history.pop("digest"))
            if _is_log_point(step + index + 1, recipe.log_every, total)
        }
        step += count
        rate = recipe.examples_per_step / seconds_per_step
        yield Stretch(state, step, history, digests, rate)


def _is_log_point(step: Any, every: int, total: Any) -> Any:
    return (step % every == 0) | (step == total)


def _make_advance(recipe: Recipe, gan: GAN, feed: Feed, axis_name: str | None):
    """Makes `(state, rows, arrays, key, total, count) -> (state, metrics [T])`, for any count."""
    step = make_step(recipe.update(gan), axis_name=axis_name)

    def advance(state, rows, arrays, key, total, count):
        def step_on_row(state, row, key):
            data_key = stream(jax.random.fold_in(key, state.step), "data")
            batch = feed.batch(arrays, row, data_key, axis_name)
            state, metrics = step(state, batch, key)
            logged = _is_log_point(state.step, recipe.log_every, total)
            blank = lambda state: jnp.zeros(2, jnp.uint32)  # noqa: E731
            return state, metrics | {"digest": lax.cond(logged, digest, blank, state)}

        return run_steps(step_on_row, state, rows, key, count)

    return advance
