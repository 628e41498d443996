"""Training in chunks: one compiled loop of many steps, then back to the host.

Between two chunks the host logs, saves and looks for signals. The lengths of chunks change nothing
of the results.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from jaxgan.core.fingerprint import hexadecimal
from jaxgan.core.state import GANState, steps_done
from jaxgan.core.steps import run_steps
from jaxgan.devices.mesh import fail_together, max_over_processes, put, put_copies, put_rows
from jaxgan.training.experiment import Experiment
from jaxgan.types import PyTree

SECONDS = 2.0  # of training in a chunk
COLUMNS = ("step", "digest", "images_per_second")  # of metrics.jsonl, besides the metrics
# Else parameters are copied before they are updated, in every turn of the loop.
CPU_OPTIONS: dict[str, str | bool] = {"xla_cpu_copy_insertion_use_region_analysis": True}


class Chunk(NamedTuple):
    """Some steps that were done."""

    state: GANState  # after them; the next chunk consumes it
    step: int  # how many steps are done in all
    count: int  # how many of them in this chunk
    history: dict[str, np.ndarray]  # metrics of each of its steps, float32 [T] or [T, M]
    digests: dict[int, Any]  # of the state, or of each member's, at the log points among its steps
    examples_per_second: float  # real ones that training took in

    @property
    def last(self) -> dict[str, float]:
        """The metrics of the last step, averaged over the members whose are finite."""
        return {name: _finite_mean(values[-1]) for name, values in self.history.items()}

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl: the log points' metrics.

        A single GAN's log stops at the first non-finite metric; in a population only that member's
        value becomes None.
        """
        lines = []
        for step in range(self.step - self.count + 1, self.step + 1):
            values = {name: values[step - self.step - 1] for name, values in self.history.items()}
            if not all(np.ndim(value) or np.isfinite(value) for value in values.values()):
                break
            if step in self.digests:
                metrics = {name: _plain(value) for name, value in values.items()}
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


# (state, step, count) -> the state after so many more steps, and the metrics of each
Advance = Callable[[GANState, int, int], tuple[GANState, dict[str, np.ndarray]]]


def compile_steps(experiment: Experiment, state: GANState) -> Advance:
    """Compiles the loop that trains.

    Args:
        experiment: what to train.
        state: where to start, on the experiment's devices; it stays as it is.

    Returns:
        A function `(state, step, count) -> state, history`. It does `count` steps from `step` on,
        at most `experiment.longest`, and donates the state.
    """
    mesh = experiment.mesh
    key = put(experiment.key, experiment.sharding)
    arrays, last = put_copies((experiment.arrays, np.int32(experiment.total)), mesh)

    def rows(start: int, stop: int) -> PyTree:
        """The rows of some steps, padded to the longest chunk so that all share one compilation."""
        missing = experiment.longest - (stop - start)
        with fail_together():  # else the others would wait for a process that cannot read its share
            own = experiment.rows(start, stop)
        padded = jax.tree.map(
            lambda rows: np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1)), own
        )
        return put_rows(padded, mesh)

    first = steps_done(state)
    example = rows(first, first + 1)
    loop = experiment.over_devices(partial(_advance, experiment), example)
    loop = compiled(loop.lower(state, key, example, arrays, last, np.int32(1)), mesh)

    def advance(state: GANState, step: int, count: int):
        state, history = loop(state, key, rows(step, step + count), arrays, last, np.int32(count))
        return state, {name: np.asarray(values)[:count] for name, values in history.items()}

    return advance


def train_in_chunks(experiment: Experiment, state: GANState) -> Iterator[Chunk]:
    """Compiles the loop and trains from the state's step to the last; see `run_chunks`."""
    return run_chunks(experiment, compile_steps(experiment, state), state)


def run_chunks(
    experiment: Experiment, advance: Advance, state: GANState, periods: Sequence[int] = ()
) -> Iterator[Chunk]:
    """Trains from the state's step to the last.

    Args:
        experiment: what to train.
        advance: what `compile_steps` compiled.
        state: where to start, on the experiment's devices; it is donated.
        periods: a chunk ends at each step that one of them divides.

    Yields:
        Chunks of at most about `SECONDS`.
    """
    step, total = steps_done(state), experiment.total
    seconds_per_step = SECONDS  # not known yet: begin with a single step
    while step < total:
        ends = [step - step % period + period for period in periods]
        count = max(1, int(SECONDS / seconds_per_step))
        count = min(count, experiment.longest, min([total, *ends]) - step)
        # All processes must do the same steps, however fast each of them is.
        count = -max_over_processes(-count)
        began = time.perf_counter()
        state, history = advance(state, step, count)
        seconds_per_step = (time.perf_counter() - began) / count
        points = np.arange(step + 1, step + count + 1)
        logged = _is_log_point(points, experiment.recipe.log_every, total)
        digests = dict(
            zip(points[logged].tolist(), hexadecimal(history.pop("digest")[logged]), strict=True)
        )
        step += count
        rate = experiment.examples_per_step / seconds_per_step
        yield Chunk(state, step, count, history, digests, rate)


def compiled(program: jax.stages.Lowered, mesh: Mesh) -> jax.stages.Compiled:
    """Compiles for the mesh's kind of device, with the options that make it faster there.

    Args:
        program: of many steps.
        mesh: where it is to run.

    Returns:
        The compiled program.
    """
    if mesh.devices.flat[0].platform == "cpu":
        try:
            return program.compile(CPU_OPTIONS)
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):  # as another version of XLA may say
                raise
    return program.compile()


def _finite_mean(values: Any) -> float:
    """The mean of those that are finite; NaN if none is."""
    finite = values[np.isfinite(values)]
    return float(np.mean(finite)) if finite.size else math.nan


def _plain(values: Any) -> Any:
    """Numbers as JSON has them."""
    if values.ndim:
        return [_plain(value) for value in values]
    return float(values) if np.isfinite(values) else None


def _is_log_point(step: Any, every: int, total: Any) -> Any:
    return (step % every == 0) | (step == total)


def _advance(experiment: Experiment, state, key, rows, arrays, total, count):
    """Does `count` steps; returns the state and the metrics of each step."""

    def step(state, row, key):
        state, metrics = experiment.step(state, key, row, arrays)
        if taken := sorted(metrics.keys() & COLUMNS):
            raise ValueError(f"a metric cannot be called {taken[0]!r}: metrics.jsonl has its own")
        logged = _is_log_point(state.step.ravel()[0], experiment.recipe.log_every, total)
        shape = jax.eval_shape(experiment.digest, state)
        blank = lambda state: jnp.zeros(shape.shape, shape.dtype)  # noqa: E731
        return state, metrics | {"digest": lax.cond(logged, experiment.digest, blank, state)}

    return run_steps(step, state, rows, key, count)
