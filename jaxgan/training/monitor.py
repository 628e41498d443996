"""Evaluation of a run as it trains, and its best checkpoint."""

import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.gan import GANState
from jaxgan.data import unscale
from jaxgan.devices import mesh as parallel
from jaxgan.evaluation.evaluator import Evaluated, Evaluator
from jaxgan.evaluation.registry import HIGHER
from jaxgan.recipes import ImageRecipe
from jaxgan.rundir import log
from jaxgan.rundir.checkpoints import Checkpoints
from jaxgan.training.experiment import Experiment
from jaxgan.util.errors import UserError

logger = logging.getLogger(__name__)


class Judge:
    """Evaluates states, writes evaluations.jsonl, and keeps the best state."""

    def __init__(self, experiment: Experiment, run: Path, data_dir: str | None):
        """Looks at the real examples; writes nothing yet.

        Args:
            experiment: what is trained: one GAN.
            run: the run directory.
            data_dir: where TFDS keeps data sets; None for its own default.

        Raises:
            UserError: if the samples cannot be evaluated.
        """
        recipe = experiment.recipe
        if experiment.members is not None:
            raise UserError("a population is evaluated afterwards, by `jaxgan evaluate`")
        self._experiment, self._run = experiment, run
        self._by = recipe.best_by
        self._evaluate = Evaluator(
            recipe, num=recipe.eval_num, seed=experiment.seed, data_dir=data_dir
        )
        if self._by not in self._evaluate.floors:
            known = ", ".join(self._evaluate.floors)
            raise UserError(f"best_by {self._by!r} is not measured here: choose of {known}")
        self._draw = jax.jit(
            lambda state: experiment.draw(state, experiment.key, "evaluation", recipe.eval_num)
        )

    def __call__(self, state: GANState, step: int, best: Checkpoints) -> None:
        """Evaluates a state, the same in all processes, which call this together.

        A state whose samples cannot be measured leaves no line, and training goes on.

        Args:
            state: the state.
            step: that it is at.
            best: where the best state is kept.
        """
        better = False
        if parallel.leads():
            try:
                found = self._look(state)
            except UserError as error:  # real examples were measured well, so it is the samples
                logger.warning("step %d is not evaluated: %s", step, error)
            else:
                better = self._write(step, found)
        if parallel.highest(int(better)):
            best.save(state)

    def _look(self, state: GANState) -> list[Evaluated]:
        samples = self._draw(parallel.local(state))
        if not jnp.isfinite(samples).all():
            raise UserError("its samples are not finite")
        recipe = self._experiment.recipe
        if isinstance(recipe, ImageRecipe):
            samples = unscale(samples, *recipe.value_range)
        return self._evaluate([np.asarray(samples)])

    def _write(self, step: int, found: list[Evaluated]) -> bool:
        """Writes a line; tells whether no step before was as good."""
        metrics = {result.metric: result.value for result, _ in found}
        before = [each["metrics"][self._by] for each in log.read_evaluations(self._run)]
        line = {
            "step": step,
            "metrics": metrics,
            "floors": self._evaluate.floors,
            "protocol": self._evaluate.protocol(draws=1),
        }
        log.append(self._run / log.EVALUATIONS, [line])
        sign = -1 if self._by in HIGHER else 1
        return all(sign * metrics[self._by] < sign * value for value in before)
