"""The command line: `jaxgan train | sample | report | recipes | info`."""

import contextlib
import io
import logging
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import tyro

from jaxgan.errors import UserError

# Imports that take seconds (JAX, Orbax) wait in the commands that need them.

USAGE = """\
usage: jaxgan COMMAND ...

  jaxgan train RECIPE     train a GAN; every hyper-parameter is an option
  jaxgan sample RUN       draw images from a run
  jaxgan report RUN       make the pictures and the page of a run anew
  jaxgan recipes          list the recipes
  jaxgan info             print versions and devices

jaxgan COMMAND --help tells more."""

T = TypeVar("T")


@dataclass(frozen=True)
class Train(Generic[T]):
    """Options of `jaxgan train`, and those of the recipe."""

    recipe: tyro.conf.OmitArgPrefixes[T]
    preset: str | None = None  # named set of hyper-parameters to start from
    seed: int = 0  # of everything random
    out: Path | None = None  # run directory; runs/RECIPE-seedN if not given
    resume: bool = False  # go on with the run in --out from its newest sound checkpoint
    overwrite: bool = False  # replace the run in --out
    data_dir: str | None = None  # where TFDS keeps data sets; TFDS's own default if not given


@dataclass(frozen=True)
class Sample:
    """Draw images from a run."""

    run: tyro.conf.Positional[Path]  # run directory
    num: int = 64  # images
    seed: int = 0  # of the latents
    step: int | None = None  # of the checkpoint; the newest if not given
    out: Path | None = None  # a .png, a .npz or a folder; a file in RUN if not given


@dataclass(frozen=True)
class Report:
    """Make the pictures and the page of a run anew."""

    run: tyro.conf.Positional[Path]  # run directory


@dataclass(frozen=True)
class Recipes:
    """List the recipes."""


@dataclass(frozen=True)
class Info:
    """Print versions and devices."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line, and exits.

    Args:
        arguments: without the program's name; None for those of the process.

    Raises:
        SystemExit: always: 0 after success, 2 after an error of the user's, 1 when training
            diverged, 128 + N after signal N.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("jaxgan").setLevel(logging.INFO)
    sys.unraisablehook = partial(_tell_unraisable, sys.unraisablehook)
    for name in ("absl", "asyncio"):  # with which Orbax repeats, at length, what we tell
        logging.getLogger(name).setLevel(logging.CRITICAL)
    commands = {
        "train": _train,
        "sample": _sample,
        "report": _report,
        "recipes": _recipes,
        "info": _info,
    }
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        if command in ("-h", "--help"):
            print(USAGE)
        elif command not in commands:
            raise UserError(f"there is no command {command!r}: choose of {', '.join(commands)}")
        else:
            commands[command](rest)
    except UserError as error:
        _fail(2, str(error))
    except (MemoryError, RuntimeError) as error:  # JAX raises a RuntimeError of its own
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        _fail(2, "out of memory: choose a smaller batch, image or network")
    except OSError as error:
        # The disk is full, read-only or not ours: that is the user's to mend.
        _fail(2, f"{error.filename or 'the file system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        _fail(130, "stopped")
    sys.exit(0)


def _fail(status: int, message: str) -> None:
    line = re.sub(r"\s*\n\s*", " ", message)
    print(f"jaxgan: {line}", file=sys.stderr)
    sys.exit(status)


def _tell_unraisable(tell: Callable[[Any], None], unraisable: Any) -> None:
    """Tells of an error that no one can catch, unless it only echoes one that is told already."""
    # When one file cannot be written, Orbax closes the event loop that the others still use.
    if str(unraisable.exc_value) != "Event loop is closed":
        tell(unraisable)


def _parse(kind: Callable[..., T], arguments: Sequence[str], prog: str, default: Any = None) -> T:
    """Parses options with tyro, but tells errors in one line."""
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


def _train(arguments: list[str]) -> None:
    from jaxgan import rundir, training
    from jaxgan.recipes import find_recipe, recipes

    if not arguments or arguments[0].startswith("-"):
        if {"-h", "--help"} & set(arguments):
            print("usage: jaxgan train RECIPE ...\n\nRecipes; add --help to see the options:\n")
            print("\n".join(f"  jaxgan train {name}" for name in recipes()))
            return
        raise UserError(f"jaxgan train needs the name of a recipe: {', '.join(recipes())}")
    name, *rest = arguments
    kind: Any = find_recipe(name)

    def parse(default: Train) -> Train:
        return _parse(Train[kind], rest, f"jaxgan train {name}", default)

    start = kind()
    options = parse(Train(start))
    seed = options.seed
    run = options.out or Path("runs") / f"{name}-seed{seed}"
    if options.resume:
        config = rundir.read_config(run)
        if config["recipe"] == name:
            start, seed = rundir.read_recipe(config), config["seed"]
    if options.preset is not None:
        if options.preset not in kind.presets:
            known = ", ".join(kind.presets) or "none"
            raise UserError(f"{name} has no preset {options.preset!r}; it has: {known}")
        start = replace(start, **kind.presets[options.preset])
    if options.resume or options.preset is not None:
        # What was not asked for is as in the run or the preset, which a length asked for replaces.
        if options.recipe.steps is not None or options.recipe.epochs is not None:
            start = replace(start, steps=None, epochs=None)
        options = parse(Train(start, seed=seed))

    try:
        training.train(
            options.recipe,
            run,
            seed=options.seed,
            resume=options.resume,
            overwrite=options.overwrite,
            data_dir=options.data_dir,
        )
    except training.Diverged as error:
        _fail(1, str(error))
    except training.Interrupted as error:
        again = ["jaxgan", "train", name, "--out", str(run), "--resume"]
        if options.data_dir is not None:
            again += ["--data-dir", options.data_dir]
        _fail(128 + error.signal, f"stopped at step {error.step}; go on with: {shlex.join(again)}")
    print(f"done: {run / 'report.html'}")


def _sample(arguments: list[str]) -> None:
    options = _parse(Sample, arguments, "jaxgan sample")
    from jaxgan import sampling

    trained = sampling.load(options.run, options.step)
    samples = sampling.draw(trained, options.num, options.seed)
    suffix = "npz" if samples.ndim == 2 else "png"
    name = f"sample_step{int(trained.state.step)}_seed{options.seed}.{suffix}"
    out = options.out or options.run / name
    sampling.save(samples, out)
    print(out)


def _report(arguments: list[str]) -> None:
    options = _parse(Report, arguments, "jaxgan report")
    from jaxgan.report import write_report

    print(write_report(options.run))


def _recipes(arguments: list[str]) -> None:
    _parse(Recipes, arguments, "jaxgan recipes")
    from jaxgan.recipes import recipes

    for name, kind in recipes().items():
        print(f"{name:16} {(kind.__doc__ or '').splitlines()[0]}")


def _info(arguments: list[str]) -> None:
    _parse(Info, arguments, "jaxgan info")
    import jax

    from jaxgan.rundir import cores, versions

    for name, version in versions().items():
        print(f"{name:16} {version}")
    print(f"{'cores':16} {cores()}")
    for device in jax.devices():
        print(f"{'device':16} {device.platform} {device.id} ({device.device_kind})")


if __name__ == "__main__":
    main()
