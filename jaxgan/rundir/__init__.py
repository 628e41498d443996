"""The run directory: what a run writes about itself, and how it is loaded again."""

from jaxgan.rundir.checkpoints import Checkpoints
from jaxgan.rundir.config import (
    Devices,
    check_same,
    describe,
    read_config,
    read_devices,
    read_members,
    read_recipe,
    read_spec,
    write_config,
)
from jaxgan.rundir.directory import (
    BEST,
    Sample,
    check_free,
    create,
    find_samples,
    locked,
    rewind,
    sample_path,
    write_evaluation,
)
from jaxgan.rundir.loading import Trained, draw, load, load_all
from jaxgan.rundir.log import EVALUATIONS, METRICS, read_evaluations, read_metrics
from jaxgan.rundir.sweep import Members

__all__ = [
    "BEST",
    "EVALUATIONS",
    "METRICS",
    "Checkpoints",
    "Devices",
    "Members",
    "Sample",
    "Trained",
    "check_free",
    "check_same",
    "create",
    "describe",
    "draw",
    "find_samples",
    "load",
    "load_all",
    "locked",
    "read_config",
    "read_devices",
    "read_evaluations",
    "read_members",
    "read_metrics",
    "read_recipe",
    "read_spec",
    "rewind",
    "sample_path",
    "write_config",
    "write_evaluation",
]
