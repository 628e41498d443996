"""Evaluation of samples: metrics against real examples, each with a floor."""

from jaxgan.evaluation.evaluator import (
    EXTRACTORS,
    Evaluated,
    Evaluator,
    as_json,
    fitting_extractor,
    pixels,
)
from jaxgan.evaluation.examples import real_examples
from jaxgan.evaluation.finished import Evaluation, evaluate
from jaxgan.report.evaluations import table

__all__ = [
    "EXTRACTORS",
    "Evaluated",
    "Evaluation",
    "Evaluator",
    "as_json",
    "evaluate",
    "fitting_extractor",
    "pixels",
    "real_examples",
    "table",
]
