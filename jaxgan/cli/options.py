"""The options of each command, and how words become options."""

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import tyro

from jaxgan.util.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """How this process finds the others that it works with."""

    distributed: bool = False  # work together with other processes, started the same way
    coordinator: str | None = None  # host:port of process 0; found if a cluster tells
    process_count: int | None = None  # number of processes; found if a cluster tells
    process_index: int | None = None  # of this process, from 0; found if a cluster tells

    def words(self) -> list[str]:
        """Says on a command line what is said here."""
        given = {
            "--coordinator": self.coordinator,
            "--process-count": self.process_count,
            "--process-index": self.process_index,
        }
        values = [[name, str(value)] for name, value in given.items() if value is not None]
        return [*(["--distributed"] if self.distributed else []), *chain(*values)]


@dataclass(frozen=True)
class Training(Generic[T]):
    """Options of all commands that train, and those of the recipe."""

    recipe: tyro.conf.OmitArgPrefixes[T]
    preset: str | None = None  # named set of hyper-parameters to start from
    seed: int = 0  # of everything random; of a population the first member's
    out: Path | None = None  # run directory; in runs/ if not given
    resume: bool = False  # go on with the run in --out from its newest sound checkpoint
    overwrite: bool = False  # replace the run in --out
    data_dir: str | None = None  # where TFDS keeps data sets; TFDS's own default if not given
    devices: int | None = None  # of this process to use; 1 if not given, all with --distributed
    deterministic: bool = False  # only operations that repeat bit for bit on a GPU; slower


@dataclass(frozen=True)
class Train(Training[T]):
    """Options of `jaxgan train`, and those of the recipe."""

    processes: tyro.conf.OmitArgPrefixes[Processes] = Processes()

    def name(self, recipe: str) -> str:
        """Names a run."""
        return f"{recipe}-seed{self.seed}"


@dataclass(frozen=True)
class Population(Training[T]):
    """Options of `jaxgan population`, and those of the recipe."""

    members: int | None = None  # GANs to train; 8 for each setting of the sweep if not given
    sweep: tyro.conf.UseAppendAction[tuple[str, ...]] = ()  # such as learning_rate=1e-4,2e-4
    at_once: int | None = None  # members computed together; as many as are quick if not given

    @property
    def processes(self) -> Processes:
        """A population trains in this process alone."""
        return Processes()

    def name(self, recipe: str) -> str:
        """Names a run."""
        return f"{recipe}-population-seed{self.seed}"


@dataclass(frozen=True)
class Sample:
    """Draw images from a run."""

    run: tyro.conf.Positional[Path]  # run directory
    member: int | None = None  # which GAN of a population, from 0
    num: int = 64  # images
    seed: int = 0  # of the latents
    step: int | None = None  # of the checkpoint; the newest if not given
    best: bool = False  # take the best checkpoint by --eval-every instead
    out: Path | None = None  # a .png, a .npz or a folder; a file in RUN if not given


@dataclass(frozen=True)
class Evaluate:
    """Measure how good the samples of a run are."""

    run: tyro.conf.Positional[Path]  # run directory
    member: int | None = None  # which GAN of a population, from 0; all if not given
    step: int | None = None  # of the checkpoint; the newest if not given
    best: bool = False  # take the best checkpoint by --eval-every instead
    num: int = 10_000  # samples in a draw, and real examples beside them
    draws: int | None = None  # of samples; 5 of one GAN, 1 of each of a population if not given
    metrics: str | None = None  # such as fid,kid; all that apply if not given
    features: str | None = None  # digits, inception or pixels; what suits the data if not given
    seed: int = 0  # of the latents, and of the choice of real examples
    data_dir: str | None = None  # where TFDS keeps data sets; TFDS's own default if not given


@dataclass(frozen=True)
class ImportInception:
    """Keep Inception's weights where evaluations find them."""

    file: tyro.conf.Positional[Path]  # PyTorch's .pth, or .safetensors


@dataclass(frozen=True)
class Report:
    """Make the pictures and the page of a run anew."""

    run: tyro.conf.Positional[Path]  # run directory


@dataclass(frozen=True)
class Verify:
    """Train a run again from its own config, and compare digests of the state."""

    run: tyro.conf.Positional[Path]  # run directory
    steps: int | None = None  # how far to go; as far as the run went if not given
    data_dir: str | None = None  # where TFDS keeps data sets; TFDS's own default if not given
    processes: tyro.conf.OmitArgPrefixes[Processes] = Processes()


@dataclass(frozen=True)
class Recipes:
    """List the recipes."""


@dataclass(frozen=True)
class Info:
    """Print versions and devices."""


def parse(kind: Callable[..., T], arguments: Sequence[str], prog: str, default: Any = None) -> T:
    """Parses the words of a command line.

    Args:
        kind: one of the classes above.
        arguments: the words after the command.
        prog: the command, for messages.
        default: the options where nothing is said; None for those of `kind`.

    Returns:
        The options.

    Raises:
        UserError: if the words make no sense.
        SystemExit: after printing help that was asked for.
    """
    if "" in arguments:
        raise UserError(f"one of the arguments of {prog} is empty")
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            config = (tyro.conf.FlagCreatePairsOff,)
            parsed = tyro.cli(kind, args=arguments, prog=prog, default=default, config=config)
            return cast(T, parsed)
    except SystemExit as exit:
        if exit.code == 0:  # --help, which goes to standard output
            raise
        # Tyro draws a box: a title, what is wrong, a rule, then help.
        lines = [line.strip("│ ") for line in told.getvalue().splitlines()]
        wrong = " ".join(line for line in lines if line and not re.match(r"[╭╰]", line))
        said, *more = re.split(r"\s*[─-]{3,}\s*", wrong)
        if "╭" not in told.getvalue():  # in ASCII the title has a line of its own
            said, *more = more
        said = re.sub(r"(no type matching .*)?invalid literal for int.* 10: ", "not whole: ", said)
        near = " ".join(re.findall(r"--[\w-]+", more[0])) if more and "meant" in more[0] else ""
        hint = f"did you mean {near}? " if near else ""
        raise UserError(f"{said}; {hint}{prog} --help lists the options") from None
