"""An observer that writes events for TensorBoard."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from jaxgan.core.state import GANState, steps_done
from jaxgan.devices.mesh import is_main_process, local_copy
from jaxgan.rundir import log, sample_path
from jaxgan.training.chunks import Chunk
from jaxgan.training.experiment import Experiment
from jaxgan.training.observers import Observer
from jaxgan.util.errors import UserError

FOLDER = "tensorboard"  # in the run directory
NOT_SCALARS = ("step", "digest")  # of a line of metrics.jsonl


class TensorBoard(Observer):
    """Writes tensorboard/, which `tensorboard --logdir RUN` shows.

    Metrics at log points, evaluations, and, at sample points, the samples and histograms of D's
    scores of reals and fakes. Those of a population have the member's number behind their name.
    """

    def __init__(self):
        """Looks for the library that writes events.

        Raises:
            UserError: if it is not installed.
        """
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise UserError(
                "events for TensorBoard need tensorboardX: pip install 'jaxgan[tensorboard]'"
            ) from None
        self._make_writer = SummaryWriter
        self._writer: Any = None  # in the main process alone

    def start(self, experiment: Experiment, run: Path, state: GANState) -> None:
        """Opens a file of events; those of an earlier one after this step no longer count."""
        self.period = experiment.recipe.sample_every
        if not is_main_process():
            return
        step = steps_done(state)
        self._experiment, self._run = experiment, run
        self._evaluations = len(log.read_evaluations(run))
        self._score = jax.jit(experiment.score)
        folder = run / FOLDER
        first = step + 1 if step else 0  # as the samples of step 0 are written again
        # A file is named by the second it was made in: without a number, a run that is resumed in
        # the same second would overwrite its earlier file.
        number = len(list(folder.glob("*.tfevents.*")))
        self._writer = self._make_writer(
            str(folder), purge_step=first, filename_suffix=f".{number:04}"
        )
        if step == 0:
            self._add_samples(step)

    def see(self, chunk: Chunk) -> None:
        """Writes what is new."""
        if self._writer is None:
            return
        for record in chunk.records:
            for name, value in record.items():
                if name not in NOT_SCALARS:
                    self._add_scalar(name, value, record["step"])
        evaluations = log.read_evaluations(self._run)
        for line in evaluations[self._evaluations :]:
            for name, value in line["metrics"].items():
                self._add_scalar(f"evaluation/{name}", value, line["step"])
        self._evaluations = len(evaluations)
        assert self.period is not None
        if chunk.step % self.period == 0 or chunk.step == self._experiment.total:
            self._add_samples(chunk.step)
            self._add_scores(chunk)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()

    def _add_scalar(self, name: str, value: Any, step: int) -> None:
        if not isinstance(value, list):
            self._writer.add_scalar(name, value, step)
            return
        for member, own in enumerate(value):
            if own is not None:  # it diverged
                self._writer.add_scalar(f"{name}/{member}", own, step)

    def _add_samples(self, step: int) -> None:
        path = sample_path(self._run, step, "png")
        if path.exists():  # else they are vectors
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            self._writer.add_image("samples", pixels, step, dataformats="HWC")

    def _add_scores(self, chunk: Chunk) -> None:
        experiment = self._experiment
        row = jax.tree.map(lambda rows: rows[0], experiment.rows(chunk.step - 1, chunk.step))
        state = local_copy(chunk.state)
        for name, scores in self._score(state, experiment.key, row, experiment.arrays).items():
            by_tag = {f"scores/{name}": scores}
            if experiment.members is not None:
                by_tag = {f"scores/{name}/{member}": own for member, own in enumerate(scores)}
            for tag, own in by_tag.items():
                finite = np.asarray(own, np.float32)[np.isfinite(own)]
                if finite.size:
                    self._writer.add_histogram(tag, finite, chunk.step)
