"""The command line: `jaxgan train`, `jaxgan sample` and so on; see `USAGE`."""

import gc
import io
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jaxgan.cli.options import (
    Evaluate,
    ImportInception,
    Info,
    Population,
    Processes,
    Recipes,
    Report,
    Sample,
    Train,
    Verify,
    parse,
)
from jaxgan.util.errors import CannotSave, UserError

# Imports that take seconds (JAX, Orbax) wait in the commands that need them.

# New objects between two looks for garbage. Imports and tracing make millions that are to stay, and
# with Python's own 700 the looks take a tenth of a start.
GARBAGE = 1_000_000

USAGE = """\
usage: jaxgan COMMAND ...

  jaxgan train RECIPE     train a GAN; every hyper-parameter is an option
  jaxgan population RECIPE
                          train many that differ in seed, and maybe hyper-parameters
  jaxgan sample RUN       draw images from a run
  jaxgan evaluate RUN     measure how good its samples are
  jaxgan report RUN       make the pictures and the page of a run anew
  jaxgan verify RUN       train a run again, and compare
  jaxgan features import-inception FILE
                          keep the weights that FID needs
  jaxgan recipes          list the recipes
  jaxgan info             print versions and devices

jaxgan COMMAND --help tells more."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line, and exits.

    Args:
        arguments: without the program's name; None for those of the process.

    Raises:
        SystemExit: always: 0 after success, 2 after an error of the user's, 1 when training
            diverged, 128 + N after signal N.
    """
    gc.set_threshold(GARBAGE)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("jaxgan").setLevel(logging.INFO)
    if isinstance(sys.stdout, io.TextIOWrapper):  # any path can be printed, also one in no encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.unraisablehook = partial(_tell_unraisable, sys.unraisablehook)
    for name in ("absl", "asyncio"):  # with which Orbax repeats, at length, what we tell
        logging.getLogger(name).setLevel(logging.CRITICAL)
    commands = {
        "train": _train,
        "population": _population,
        "sample": _sample,
        "evaluate": _evaluate,
        "report": _report,
        "verify": _verify,
        "features": _features,
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
        try:
            _fail(2, str(error))
        finally:
            if isinstance(error, CannotSave) and arguments is None:
                os._exit(2)  # Python would wait for the threads of Orbax, which take 20 minutes
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
    line = " ".join(part.strip() for part in message.splitlines())
    line = "".join(x if x.isprintable() else ascii(x)[1:-1] for x in line)
    print(f"jaxgan: {line}", file=sys.stderr)
    sys.exit(status)


def _tell_unraisable(tell: Callable[[Any], None], unraisable: Any) -> None:
    """Tells of an error that no one can catch, unless it only echoes one that is told already."""
    # When one file cannot be written, Orbax closes the event loop that the others still use.
    if str(unraisable.exc_value) != "Event loop is closed":
        tell(unraisable)


def _train(arguments: list[str]) -> None:
    _begin("train", Train, arguments)


def _population(arguments: list[str]) -> None:
    _begin("population", Population, arguments)


def _begin(command: str, options_of: Any, arguments: list[str]) -> None:
    """Trains, one GAN or many."""
    from jaxgan import rundir, training
    from jaxgan.devices.mesh import is_main_process
    from jaxgan.recipes import find_recipe, recipes
    from jaxgan.rundir.sweep import choose

    if not arguments or arguments[0].startswith("-"):
        if {"-h", "--help"} & set(arguments):
            print(f"usage: jaxgan {command} RECIPE ...\n")
            print("Recipes; add --help to see the options:\n")
            print("\n".join(f"  jaxgan {command} {name}" for name in recipes()))
            return
        raise UserError(f"jaxgan {command} needs the name of a recipe: {', '.join(recipes())}")
    name, *rest = arguments
    kind: Any = find_recipe(name)

    def parse_from(default: Any) -> Any:
        return parse(options_of[kind], rest, f"jaxgan {command} {name}", default)

    start = kind()
    options = parse_from(options_of(start))
    seed, before = options.seed, None
    run = options.out or Path("runs") / options.name(name)
    devices, deterministic = options.devices, options.deterministic
    if options.resume:
        config = rundir.read_config(run)
        before = rundir.read_members(config)
        if config["recipe"] == name:
            start, seed = rundir.read_recipe(config), config["seed"]
        used = rundir.read_devices(config)
        devices = used.per_process if devices is None else devices
        deterministic = deterministic or used.deterministic
    if options.preset is not None:
        if options.preset not in kind.presets:
            known = ", ".join(kind.presets) or "none"
            raise UserError(f"{name} has no preset {options.preset!r}; it has: {known}")
        start = replace(start, **kind.presets[options.preset])
    if options.resume or options.preset is not None:
        # What was not asked for is as in the run or the preset, which a length asked for replaces.
        if options.recipe.steps is not None or options.recipe.epochs is not None:
            start = replace(start, steps=None, epochs=None)
        options = parse_from(options_of(start, seed=seed))
    members = None
    if isinstance(options, Population):
        members = choose(options.members, options.sweep, options.at_once, kind, before)

    if devices is None and not options.processes.distributed:
        devices = 1
    _set_up(devices, deterministic, options.processes)
    try:
        training.train(
            options.recipe,
            run,
            seed=options.seed,
            members=members,
            resume=options.resume,
            overwrite=options.overwrite,
            data_dir=options.data_dir,
            devices=devices,
        )
    except training.Diverged as error:
        _fail(1, str(error))
    except training.Interrupted as error:
        again = ["jaxgan", command, name, "--out", str(run), "--resume"]
        if options.data_dir is not None:
            again += ["--data-dir", options.data_dir]
        again += options.processes.words()
        _fail(128 + error.signal, f"stopped at step {error.step}; go on with: {shlex.join(again)}")
    if is_main_process():
        if members is not None:
            print((run / "summary.txt").read_text("utf-8"), end="")
        print(f"done: {run / 'report.html'}")


def _sample(arguments: list[str]) -> None:
    options = parse(Sample, arguments, "jaxgan sample")
    from jaxgan.keys import from_seed, stream
    from jaxgan.report.pictures import save_samples
    from jaxgan.rundir import loading as sampling

    _speed_up()
    trained = sampling.load(options.run, options.step, options.member, best=options.best)
    samples = sampling.draw(trained, options.num, stream(from_seed(options.seed), "sample"))
    suffix = "npz" if samples.ndim == 2 else "png"
    of = "" if options.member is None else f"_member{options.member}"
    name = f"sample_step{int(trained.state.step)}{of}_seed{options.seed}.{suffix}"
    out = options.out or options.run / name
    save_samples(samples, out)
    print(out)


def _evaluate(arguments: list[str]) -> None:
    options = parse(Evaluate, arguments, "jaxgan evaluate")
    from jaxgan import evaluation, rundir
    from jaxgan.evaluation import finished

    _speed_up()
    extractor = None
    if options.features is not None:
        if options.features not in evaluation.EXTRACTORS:
            known = ", ".join(evaluation.EXTRACTORS)
            raise UserError(f"no features {options.features!r}: choose of {known}")
        extractor = evaluation.EXTRACTORS[options.features]()
    found = finished.evaluate(
        options.run,
        step=options.step,
        member=options.member,
        best=options.best,
        num=options.num,
        draws=options.draws,
        names=None if options.metrics is None else options.metrics.split(","),
        extractor=extractor,
        seed=options.seed,
        data_dir=options.data_dir,
    )
    rundir.write_evaluation(options.run, found.record)
    print(found.text, end="")


def _features(arguments: list[str]) -> None:
    if arguments[:1] != ["import-inception"]:
        raise UserError("there is one command for features: jaxgan features import-inception FILE")
    options = parse(ImportInception, arguments[1:], "jaxgan features import-inception")
    from jaxgan.features import inception

    print(inception.import_inception(options.file))


def _report(arguments: list[str]) -> None:
    options = parse(Report, arguments, "jaxgan report")
    from jaxgan.report.page import write_report

    print(write_report(options.run))


def _verify(arguments: list[str]) -> None:
    options = parse(Verify, arguments, "jaxgan verify")
    from jaxgan import rundir
    from jaxgan.devices.mesh import is_main_process
    from jaxgan.training import verify

    used = rundir.read_devices(rundir.read_config(options.run))
    together = options.processes.distributed
    devices = used.per_process * (1 if together else used.processes)
    _set_up(devices, used.deterministic, options.processes)
    verdict = verify.verify(options.run, options.steps, options.data_dir, devices)
    if is_main_process():
        print(verdict)
    if verdict.differs is not None:
        sys.exit(1)


def _set_up(devices: int | None, deterministic: bool, processes: Processes) -> None:
    """Tells JAX, before its first use, what was asked for on the command line."""
    from jaxgan.devices import startup
    from jaxgan.devices.mesh import is_main_process

    _speed_up()
    if devices is not None and devices > 1:
        startup.use_devices(devices)
    if deterministic:
        startup.be_deterministic()
    others = (processes.coordinator, processes.process_count, processes.process_index)
    if processes.distributed:
        startup.connect(*others)
        if not is_main_process():  # the first one speaks for all
            logging.getLogger("jaxgan").setLevel(logging.WARNING)
    elif others != (None, None, None):
        raise UserError("a coordinator, process count or index needs --distributed")


def _speed_up() -> None:
    """Tells JAX, before its first use, what makes it quicker."""
    from jaxgan.devices import startup

    startup.cache_compilations()
    startup.compile_small_loops_whole()


def _recipes(arguments: list[str]) -> None:
    parse(Recipes, arguments, "jaxgan recipes")
    from jaxgan.recipes import recipes

    for name, kind in recipes().items():
        print(f"{name:16} {(kind.__doc__ or '').splitlines()[0]}")


def _info(arguments: list[str]) -> None:
    parse(Info, arguments, "jaxgan info")
    import jax

    from jaxgan.devices.environment import cores, versions

    for name, version in versions().items():
        print(f"{name:16} {version}")
    print(f"{'cores':16} {cores()}")
    for device in jax.devices():
        print(f"{'device':16} {device.platform} {device.id} ({device.device_kind})")
