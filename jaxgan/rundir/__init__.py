"""The run directory: what a run writes about itself, and how it is loaded again."""

from jaxgan.rundir.bundles import is_bundle, refuse_bundle, write_bundle
from jaxgan.rundir.checkpoints import Checkpoints
from jaxgan.rundir.config import (
    check_data,
    check_same,
    describe,
    read_config,
    read_recipe,
    renew_config,
    write_config,
)
from jaxgan.rundir.directory import (
    BEST,
    CHECKPOINTS,
    WEIGHTS,
    Sample,
    check_free,
    check_place,
    check_unkept,
    create,
    find_samples,
    locked,
    read_vectors,
    sample_path,
    write_vectors,
)
from jaxgan.rundir.evaluated import (
    EVALUATED,
    Measured,
    add_evaluation,
    newest_of,
    read_evaluated,
)
from jaxgan.rundir.loading import Trained, draw, load, load_all
from jaxgan.rundir.log import EVALUATIONS, METRICS, read_evaluations, read_metrics
from jaxgan.rundir.resuming import best_at, best_step, resume_step, rewind
from jaxgan.rundir.schema import Config
from jaxgan.rundir.sweep import Members

__all__ = [
    "BEST",
    "CHECKPOINTS",
    "EVALUATED",
    "EVALUATIONS",
    "METRICS",
    "WEIGHTS",
    "Checkpoints",
    "Config",
    "Measured",
    "Members",
    "Sample",
    "Trained",
    "add_evaluation",
    "best_at",
    "best_step",
    "check_data",
    "check_free",
    "check_place",
    "check_same",
    "check_unkept",
    "create",
    "describe",
    "draw",
    "find_samples",
    "is_bundle",
    "load",
    "load_all",
    "locked",
    "newest_of",
    "read_config",
    "read_evaluated",
    "read_evaluations",
    "read_metrics",
    "read_recipe",
    "read_vectors",
    "refuse_bundle",
    "resume_step",
    "rewind",
    "sample_path",
    "write_bundle",
    "renew_config",
    "write_config",
    "write_vectors",
]
