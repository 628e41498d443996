"""Observers: what a run writes and shows as it trains, one thing each.

`train` gives every chunk to a list of observers, and `train(..., observers=[...])` adds yours:

    class Print(Observer):
        def see(self, chunk):
            print(chunk.step, chunk.last)
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL.Image import Image

from jaxgan.core.state import GANState, steps_done
from jaxgan.data import unscale
from jaxgan.devices.mesh import is_main_process, local_copy
from jaxgan.recipes import ImageRecipe
from jaxgan.report import pictures, write_report
from jaxgan.rundir import METRICS, Checkpoints, log, sample_path, write_vectors
from jaxgan.training.chunks import Chunk
from jaxgan.training.experiment import Experiment
from jaxgan.training.progress import Progress
from jaxgan.util.errors import UserError
from jaxgan.util.files import identify

logger = logging.getLogger(__name__)

MOST_ROWS = 64  # members in a picture


class Diverged(Exception):
    """A metric or a parameter became NaN or infinite."""


class Observer:
    """Sees a run as it trains. Override what you need.

    Where several processes train together, all of them call all observers; `is_main_process` of
    `jaxgan.devices.mesh` tells which one should write. An exception that an observer raises ends
    the run, in all processes.
    """

    period: int | None = None  # a chunk ends at each multiple of it; may be set in `start`

    def start(self, experiment: Experiment, run: Path, state: GANState) -> None:
        """Called before the first chunk.

        Args:
            experiment: what is trained.
            run: the run directory.
            state: where training starts or goes on.
        """

    def see(self, chunk: Chunk) -> None:
        """Called after each chunk; the chunk's state is donated to the next one.

        Args:
            chunk: the steps that were done.
        """

    def finish(self, state: GANState, step: int) -> None:
        """Called once training has ended, at its last step or early by a signal.

        Args:
            state: the state then.
            step: the number of steps done.
        """

    def close(self) -> None:
        """Called last, also where training ended in an error."""


class InPlace(Observer):
    """Ends a run whose directory was moved or removed, before anything is written at its path."""

    def start(self, experiment: Experiment, run: Path, state: GANState) -> None:
        """Looks at the directory."""
        self._run, self._began = run, identify(run)

    def see(self, chunk: Chunk) -> None:
        """Looks again.

        Raises:
            UserError: if the directory is not there any more, or is another one.
        """
        if is_main_process():
            self._check()

    def finish(self, state: GANState, step: int) -> None:
        """Looks a last time, as `see`."""
        if is_main_process():
            self._check()

    def _check(self) -> None:
        try:
            moved = identify(self._run) != self._began
        except UserError:
            moved = True
        if moved:
            raise UserError(
                f"{self._run} was moved or removed while it trained: the steps after its last "
                "checkpoint are lost (put it back, then go on with --resume)"
            )


class MetricsLog(Observer):
    """Writes metrics.jsonl."""

    def start(self, experiment: Experiment, run: Path, state: GANState) -> None:
        """Looks up the path of the file."""
        self._path = run / METRICS

    def see(self, chunk: Chunk) -> None:
        """Appends the chunk's lines."""
        if is_main_process():
            log.append(self._path, chunk.records)


class Sampling(Observer):
    """Writes samples/: a picture, or an array of vectors, of fixed latents per sample point."""

    def start(self, experiment: Experiment, run: Path, state: GANState) -> None:
        """Writes the samples of the first state."""
        self._experiment, self._run = experiment, run
        self.period = experiment.recipe.sample_every
        self._draw = drawer(experiment, "samples")
        if steps_done(state) == 0:
            self._write(state, 0)

    def see(self, chunk: Chunk) -> None:
        """Writes samples at sample points."""
        assert self.period is not None
        if chunk.step % self.period == 0 or chunk.step == self._experiment.total:
            self._write(chunk.state, chunk.step)

    def _write(self, state: GANState, step: int) -> None:
        if not is_main_process():
            return
        samples = self._draw(local_copy(state))
        if isinstance(self._experiment.recipe, ImageRecipe):
            picture = grid(self._experiment, samples)
            pictures.save_png(picture, sample_path(self._run, step, "png"))
        else:
            write_vectors(sample_path(self._run, step, "npy"), samples)


class Saving(Observer):
    """Writes checkpoints/, and ends the run of a single GAN that has diverged."""

    def __init__(self, checkpoints: Checkpoints):
        """Keeps where to save."""
        self._checkpoints = checkpoints

    def start(self, experiment: Experiment, run: Path, state: GANState) -> None:
        """Compiles the check of a state."""
        self._run, self._solo = run, experiment.members is None
        self.period = experiment.recipe.checkpoint_every
        self._all_finite = jax.jit(
            lambda state: jnp.stack(
                [
                    jnp.isfinite(x).all()
                    for x in jax.tree.leaves(state)
                    if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
                ]
            ).all()
        )

    def see(self, chunk: Chunk) -> None:
        """Saves at checkpoint points.

        Raises:
            Diverged: if a metric or a parameter of a single GAN is not finite.
        """
        assert self.period is not None
        for name, values in chunk.history.items() if self._solo else ():
            if not np.isfinite(values).all():
                bad = int(np.isfinite(values).argmin())
                raise self._diverged(name, values[bad], chunk.step - len(values) + bad + 1)
        if chunk.step % self.period == 0:
            self._save(chunk.state, chunk.step)

    def finish(self, state: GANState, step: int) -> None:
        """Saves the last state, and waits until it is on the disk."""
        self._save(state, step)
        self._checkpoints.wait()

    def _save(self, state: GANState, step: int) -> None:
        if self._solo and not self._all_finite(local_copy(state)):
            raise self._diverged("a parameter", "NaN or infinite", step)
        self._checkpoints.save(state)

    def _diverged(self, what: str, value: object, step: int) -> Diverged:
        self._checkpoints.wait()
        saved = self._checkpoints.steps()
        good = f"the last good checkpoint is step {saved[-1]}" if saved else "nothing was saved"
        return Diverged(
            f"{what} became {value} at step {step} of {self._run}; {good}: "
            "try a smaller learning rate or another seed"
        )


class ProgressBar(Observer):
    """Shows step, losses, speed and time left on standard error."""

    _shown: Progress | None = None

    def start(self, experiment: Experiment, run: Path, state: GANState) -> None:
        """Draws the bar."""
        if is_main_process():
            self._shown = Progress(experiment.total, steps_done(state))

    def see(self, chunk: Chunk) -> None:
        """Moves the bar."""
        if self._shown is not None:
            self._shown.update(chunk.step, chunk.last, chunk.examples_per_second)

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._shown is not None:
            self._shown.close()


class Report(Observer):
    """Writes final.png and the page of a run that has come to its end."""

    def start(self, experiment: Experiment, run: Path, state: GANState) -> None:
        """Keeps what the page is about."""
        self._experiment, self._run = experiment, run

    def finish(self, state: GANState, step: int) -> None:
        """Draws fresh samples and writes the page."""
        if step < self._experiment.total or not is_main_process():
            return
        if isinstance(self._experiment.recipe, ImageRecipe):
            images = drawer(self._experiment, "final")(local_copy(state))
            pictures.save_png(grid(self._experiment, images), self._run / "final.png")
        write_report(self._run)


def drawer(experiment: Experiment, name: str) -> Callable[[GANState], np.ndarray]:
    """Makes the function that draws a picture's samples.

    Args:
        experiment: what is trained.
        name: of the key stream that the latents come from.

    Returns:
        A function of a state; of a population, each member gets a row of the picture.
    """
    rows, columns = experiment.recipe.grid
    is_row = experiment.members is not None and isinstance(experiment.recipe, ImageRecipe)
    n = columns if is_row else rows * columns  # of each member
    draw = jax.jit(partial(experiment.draw, name=name, n=n))
    return lambda state: np.asarray(draw(state, experiment.key))


def grid(experiment: Experiment, images: np.ndarray) -> Image:
    """Arranges a run's samples as a picture; of a population, with a row for each member.

    Args:
        experiment: what is trained.
        images: what `drawer` drew.

    Returns:
        The picture.
    """
    recipe = experiment.recipe
    assert isinstance(recipe, ImageRecipe)
    rows, columns = recipe.grid
    if experiment.members is not None:
        images = images[:MOST_ROWS]
        rows, images = len(images), images.reshape(-1, *images.shape[2:])
    return pictures.grid(np.asarray(unscale(images, *recipe.value_range)), rows, columns)
