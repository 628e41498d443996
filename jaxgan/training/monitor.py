"""Evaluation of a run as it trains, and its best checkpoint."""

import logging
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.state import GANState
from jaxgan.data import unscale
from jaxgan.devices.mesh import is_main_process, local_copy
from jaxgan.evaluation.evaluator import Evaluated, Evaluator
from jaxgan.evaluation.registry import is_higher_better, renamed
from jaxgan.recipes import ImageRecipe
from jaxgan.rundir import log
from jaxgan.rundir.checkpoints import Checkpoints
from jaxgan.training.chunks import Chunk
from jaxgan.training.experiment import Experiment
from jaxgan.training.observers import Observer
from jaxgan.util.errors import FileError, UserError

logger = logging.getLogger(__name__)


class Evaluation(Observer):
    """Evaluates states as they train; writes evaluations.jsonl and, when it is the best, best/."""

    def __init__(self, experiment: Experiment, best: Checkpoints, data_dir: str | None):
        """Measures the real examples; writes nothing yet.

        Args:
            experiment: what is trained: one GAN.
            best: where the best state is saved.
            data_dir: where TFDS keeps data sets; None for its own default.

        Raises:
            UserError: if the samples cannot be evaluated.
        """
        recipe = experiment.recipe
        if experiment.members is not None:
            raise UserError("a population is evaluated afterwards, by `jaxgan evaluate`")
        self.period = recipe.eval_every
        self._experiment, self._best = experiment, best
        self._evaluate = Evaluator(
            recipe, num=recipe.eval_num, seed=experiment.seed, data_dir=data_dir
        )
        self._by = renamed(recipe.best_by, self._evaluate.features)
        if self._by not in self._evaluate.floors:
            known = ", ".join(self._evaluate.floors)
            raise UserError(f"best_by {self._by!r} is not measured here: choose from {known}")
        labels = self._evaluate.labels(0)
        self._draw = jax.jit(
            lambda state: experiment.draw(
                state, experiment.key, "evaluation", recipe.eval_num, labels
            )
        )

    def start(self, experiment: Experiment, run: Path, state: GANState) -> None:
        """Keeps the path of the run."""
        self._run = run

    def see(self, chunk: Chunk) -> None:
        """Evaluates at evaluation points, in the main process.

        Where the samples cannot be measured, the line has no metrics, and training goes on.
        """
        if self.period is None or chunk.step % self.period or not is_main_process():
            return
        metrics = self._measure(chunk)
        if metrics and self._is_best(metrics):
            # Saved before the line is written, and both before the next checkpoint is: whichever
            # checkpoint the run is resumed from, the best state until then is there.
            self._best.save(chunk.state)
            self._best.wait()
        else:
            # That of a run which trained this step before, where it was better than it is now.
            self._best.delete(chunk.step)
        line = {
            "step": chunk.step,
            "metrics": metrics,
            "floors": self._evaluate.floors,
            "protocol": self._evaluate.protocol(draws=1),
        }
        log.append(self._run / log.EVALUATIONS, [line])

    def _measure(self, chunk: Chunk) -> dict[str, float]:
        try:
            return {result.metric: result.value for result, *_ in self._look(chunk.state)}
        except FileError:
            raise
        except UserError as error:  # real examples were measured well, so it is the samples
            logger.warning("step %d is not evaluated: %s", chunk.step, error)
            return {}

    def _is_best(self, metrics: Mapping[str, float]) -> bool:
        """Whether no step before was as good."""
        lines = [line["metrics"] for line in log.read_evaluations(self._run)]
        sign = -1 if is_higher_better(self._by) else 1
        return all(
            sign * metrics[self._by] < sign * line[self._by] for line in lines if self._by in line
        )

    def _look(self, state: GANState) -> list[Evaluated]:
        samples = self._draw(local_copy(state))
        if not jnp.isfinite(samples).all():
            raise UserError("its samples are not finite")
        recipe = self._experiment.recipe
        if isinstance(recipe, ImageRecipe):
            samples = unscale(samples, *recipe.value_range)
        return self._evaluate([np.asarray(samples)])
