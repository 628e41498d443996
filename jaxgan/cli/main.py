"""The command line: `jaxgan train`, `jaxgan sample` and so on; `COMMANDS` lists them."""

import difflib
import gc
import inspect
import io
import logging
import math
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.cli.options import (
    Compare,
    Completion,
    Dataset,
    Directions,
    Encode,
    Evaluate,
    Explore,
    Export,
    ImportWeights,
    Info,
    Interpolate,
    Population,
    ProcessOptions,
    Recipes,
    Report,
    Restore,
    Sample,
    Train,
    Translate,
    Verify,
    imports,
    parse,
)
from jaxgan.pretrained import place_beside
from jaxgan.util.errors import CannotSave, UserError
from jaxgan.util.files import naming
from jaxgan.util.parsing import shown
from jaxgan.util.tables import as_text

# Imports that take seconds (JAX, Orbax) wait in the commands that need them.

# Allocations between two collections of garbage. Imports and tracing allocate millions of objects
# that stay: with Python's own 700, `jaxgan train pattern_1010 --steps 10` took 8.7 s of processor
# time, with this 6.4 s.
GARBAGE = 1_000_000
LONGEST = 600  # characters in a message
# Commands of `jaxgan features`.
IMPORTS = ("import-clip", "import-dinov2", "import-dinov2-base", "import-inception")


class Command(NamedTuple):
    """A command, and what is said of it."""

    run: Callable[[list[str]], None]  # given the words after the command
    options: Any  # their class, or those of its own commands by name
    usage: str
    summary: str
    less_memory: str = "choose a smaller --num"  # the way out when memory runs out


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line, and exits.

    Args:
        arguments: without the program's name; None for those of the process.

    Raises:
        SystemExit: always: 0 after success, 2 after an error of the user's, 1 when training
            diverged, 128 + N after signal N.
    """
    gc.set_threshold(GARBAGE)
    _prepare_output()
    name, *words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        _check_text([name, *words])
        if name in ("-h", "--help"):
            print(_usage())
        elif name == "--version":
            print(f"jaxgan {metadata.version('jaxgan')}")
        else:
            _find(name).run(words)
    except UserError as error:
        try:
            _fail(2, str(error))
        finally:
            if isinstance(error, CannotSave) and arguments is None:
                os._exit(2)  # Python would wait for the threads of Orbax, which take 20 minutes
    except (MemoryError, RuntimeError) as error:  # JAX raises a RuntimeError of its own
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        _fail(2, f"out of memory: {_find(name).less_memory}")
    except BrokenPipeError:  # whoever reads the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        # The disk is full, read-only or not ours: that is for the user to fix.
        _fail(2, f"{error.filename or f'jaxgan {name}'}: {error.strerror or error}")
    except KeyboardInterrupt:
        _fail(130, "stopped")
    sys.exit(0)


def _prepare_output() -> None:
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("jaxgan").setLevel(logging.INFO)
    if isinstance(sys.stdout, io.TextIOWrapper):  # paths can be printed where there is only ASCII
        sys.stdout.reconfigure(errors="backslashreplace")
    # A checkpoint on a full disk is told in one line. Without these, Orbax adds some 100 lines to
    # it: it logs its own error, and closes an event loop that its other files still use.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    tell = sys.unraisablehook
    sys.unraisablehook = lambda x: None if str(x.exc_value) == "Event loop is closed" else tell(x)


def _check_text(words: Sequence[str]) -> None:
    """Checks that words can go wherever they are needed: files, JSON, pages, TensorStore."""
    for word in words:
        if not word:
            raise UserError("one of the arguments is empty")
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError(f"{shown(word)} is not text in UTF-8") from None


def _find(name: str) -> Command:
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose {', '.join(COMMANDS)}"
        raise UserError(f"there is no command {shown(name)}: {hint}")
    return COMMANDS[name]


def _usage() -> str:
    first, *rest = [(f"  jaxgan {each.usage}", each.summary) for each in COMMANDS.values()]
    return (
        "usage: jaxgan COMMAND ...\n\n"
        "  Trains generative adversarial networks.\n\n"
        f"{as_text(first, rest)}\n"
        "jaxgan COMMAND --help shows the options of a command, jaxgan --version the version."
    )


def _fail(status: int, message: str) -> None:
    """Ends the program with one line on standard error."""
    line = " ".join(part.strip() for part in message.splitlines())
    line = "".join(x if x.isprintable() else ascii(x)[1:-1] for x in line)
    if len(line) > LONGEST:  # the end mostly says what to do
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    print(f"jaxgan: {line}", file=sys.stderr)
    sys.exit(status)


def _import(sources: Sequence[str]) -> None:
    from jaxgan.recipes import load_from

    for source in sources:
        load_from(source)


def _train(words: list[str]) -> None:
    _begin("train", Train, words)


def _population(words: list[str]) -> None:
    _begin("population", Population, words)


def _begin(command: str, options_of: Any, words: list[str]) -> None:
    """Trains, one GAN or many."""
    sources = imports(words)
    _import(sources)
    from jaxgan import rundir, training
    from jaxgan.devices.mesh import is_main_process
    from jaxgan.recipes import find_recipe, recipes
    from jaxgan.rundir.sweep import choose

    if not words or words[0].startswith("-"):
        if not {"-h", "--help"} & set(words):
            raise UserError(f"jaxgan {command} needs the name of a recipe: {', '.join(recipes())}")
        print(f"usage: jaxgan {COMMANDS[command].usage} ...\n\n{_recipe_table()}")
        print(f"jaxgan {command} RECIPE --help shows the options of a recipe.")
        return
    name, *rest = words
    kind: Any = find_recipe(name)

    def parse_from(start: Any, **run: Any) -> Any:
        default = options_of(start)
        default = replace(default, run=replace(default.run, **run))
        return parse(options_of[kind], rest, f"jaxgan {command} {name}", default, _about(kind))

    start = kind()
    options = parse_from(start)
    is_population = isinstance(options, Population)
    middle = "-population" if is_population else ""
    run = options.run.out or Path("runs") / f"{name}{middle}-seed{options.run.seed}"
    devices, deterministic = options.device.devices, options.device.deterministic
    seed, before = options.run.seed, None
    if options.run.resume:
        config = rundir.read_config(run)
        before = config.members
        if config.recipe == name:
            start, seed = rundir.read_recipe(config), config.seed
        devices = config.device.per_process if devices is None else devices
        deterministic = deterministic or config.device.deterministic
    if options.run.preset is not None:
        if options.run.preset not in kind.presets:
            if not kind.presets:
                raise UserError(f"{name} has no presets: leave out --preset")
            known = ", ".join(kind.presets)
            raise UserError(f"{name} has no preset {shown(options.run.preset)}; it has: {known}")
        start = replace(start, **kind.presets[options.run.preset])
    if options.run.resume or options.run.preset is not None:
        # Options that are not given are as in the run or the preset. A length replaces the other.
        if options.recipe.steps is not None or options.recipe.epochs is not None:
            start = replace(start, steps=None, epochs=None)
        options = parse_from(start, seed=seed)
    members, process = None, ProcessOptions()
    if is_population:
        asked = options.member
        members = choose(asked.members, asked.sweep, asked.at_once, kind, before)
    else:
        process = options.process

    if devices is None and not process.distributed:
        devices = 1
    _set_up(devices, deterministic, process)
    observers = []
    if options.run.tensorboard:
        from jaxgan.training.tensorboard import TensorBoard

        observers.append(TensorBoard())
    try:
        with naming(run, missing=True):
            training.train(
                options.recipe,
                run,
                seed=options.run.seed,
                members=members,
                resume=options.run.resume,
                overwrite=options.run.overwrite,
                data_dir=options.run.data_dir,
                devices=devices,
                observers=observers,
            )
    except training.Diverged as error:
        _fail(1, str(error))
    except training.Interrupted as error:
        again = ["jaxgan", command, name, "--out", str(run), "--resume"]
        for source in sources:
            again += ["--import", source]
        if options.run.data_dir is not None:
            again += ["--data-dir", options.run.data_dir]
        if options.run.tensorboard:
            again.append("--tensorboard")
        again += process.words()
        _fail(128 + error.signal, f"stopped at step {error.step}; go on with: {shlex.join(again)}")
    if is_main_process():
        if members is not None:
            print((run / "summary.txt").read_text("utf-8"), end="")
        print(f"done: {run / 'report.html'}")


def _about(kind: Any) -> str:
    """Writes what stands above the options of a recipe."""
    told = [inspect.getdoc(kind) or ""] if kind.summary() else []
    lengths = getattr(kind, "default_length", {})  # without one, --steps must be given
    told += [f"Length: {number} {unit}, by default." for unit, number in lengths.items()]
    if kind.presets:
        told.append(f"Presets: {', '.join(kind.presets)}.")
    return "\n\n".join(told)


def _sample(words: list[str]) -> None:
    options = parse(Sample, words, "jaxgan sample")
    _import(options.import_)
    from jaxgan.keys import from_seed, stream
    from jaxgan.report.pictures import save_samples, suffix_of
    from jaxgan.rundir import check_unkept, loading

    _set_up()
    trained = loading.load(options.run, options.step, options.member, best=options.best)
    labels, columns = _labels(options, trained)
    num = options.num if labels is None else len(labels)
    samples = loading.draw(trained, num, stream(from_seed(options.seed), "sample"), labels)
    member = "" if options.member is None else f"_member{options.member}"
    label = "" if options.label is None else f"_label_{options.label}"
    name = f"sample_step{int(trained.state.step)}{member}{label}_seed{options.seed}"
    out = options.out or place_beside(options.run) / f"{name}{suffix_of(samples)}"
    check_unkept(out)
    with naming(out, missing=True):
        save_samples(samples, out, columns)
    print(out)


def _labels(options: Sample, trained: Any) -> tuple[list[int] | None, int | None]:
    """Returns the label of each sample, and the columns of a picture whose rows are classes."""
    from jaxgan.rundir import loading

    if options.label is None:
        return None, None
    if not loading.is_conditional(trained):
        raise UserError(f"{options.run} is not conditioned on labels: leave out --label")
    loading.check_num(options.num)
    classes = trained.spec.classes
    if options.label == "each":
        columns = math.ceil(options.num / classes)
        return [label for label in range(classes) for _ in range(columns)], columns
    if options.label not in map(str, range(classes)):
        raise UserError(
            f"--label must be from 0 to {classes - 1}, or each, not {shown(options.label)}"
        )
    return [int(options.label)] * options.num, None


def _interpolate(words: list[str]) -> None:
    options = parse(Interpolate, words, "jaxgan interpolate")
    trained, key = _begin_walks(options)
    from jaxgan.rundir import walks

    samples = walks.interpolate(trained, options.rows, options.columns, key)
    _save_walks("interpolation", options, trained, samples)


def _directions(words: list[str]) -> None:
    options = parse(Directions, words, "jaxgan directions")
    trained, key = _begin_walks(options)
    from jaxgan.rundir import walks

    samples = walks.vary(trained, options.rows, options.columns, options.reach, key)
    _save_walks("directions", options, trained, samples)


def _begin_walks(options: Interpolate | Directions) -> tuple[Any, Any]:
    """Loads the GAN of a run, and makes the key of its latents."""
    _import(options.import_)
    from jaxgan.keys import from_seed, stream
    from jaxgan.rundir import loading

    _set_up()
    trained = loading.load(options.run, options.step, options.member, best=options.best)
    return trained, stream(from_seed(options.seed), "walks")


def _save_walks(name: str, options: Interpolate | Directions, trained: Any, samples: Any) -> None:
    """Writes what was made along walks, and says where."""
    from jaxgan.report.pictures import save_walks, suffix_of
    from jaxgan.rundir import check_unkept

    member = "" if options.member is None else f"_member{options.member}"
    name = f"{name}_step{int(trained.state.step)}{member}_seed{options.seed}"
    out = options.out or place_beside(options.run) / f"{name}{suffix_of(samples)}"
    check_unkept(out)
    with naming(out, missing=True):
        save_walks(samples, out, options.columns)
    print(out)


def _restore(words: list[str]) -> None:
    options = parse(Restore, words, "jaxgan restore")
    _import(options.import_)
    from jaxgan.cli.restore import restore

    _set_up()
    print(restore(options))


def _translate(words: list[str]) -> None:
    options = parse(Translate, words, "jaxgan translate")
    _import(options.import_)
    from jaxgan.cli.translate import translate

    _set_up()
    print(translate(options))


def _dataset(words: list[str]) -> None:
    options = parse(Dataset, words, "jaxgan dataset")
    _import(options.import_)
    from jaxgan.cli.dataset import make_dataset

    _set_up()
    print(make_dataset(options, shlex.join(["jaxgan", "dataset", *words])))


def _evaluate(words: list[str]) -> None:
    options = parse(Evaluate, words, "jaxgan evaluate")
    _import(options.import_)
    from jaxgan.cli.evaluate import evaluate

    _set_up()
    print(evaluate(options, shlex.join(["jaxgan", "evaluate", *words])))


def _features(words: list[str]) -> None:
    networks = ",".join(command.removeprefix("import-") for command in IMPORTS)
    usage = f"jaxgan features import-{{{networks}}}"
    if words[:1] in (["-h"], ["--help"]):
        parse(ImportWeights, ["--help"], usage)
    command, *rest = words or [""]
    if command not in IMPORTS:
        raise UserError(f"write {usage} FILE")
    options = parse(ImportWeights, rest, f"jaxgan features {command}")
    from jaxgan.features import clip, dinov2, inception

    base = partial(dinov2.import_dinov2, size=dinov2.BASE)
    importers = (clip.import_clip, dinov2.import_dinov2, base, inception.import_inception)
    print(dict(zip(IMPORTS, importers, strict=True))[command](options.file))


def _export(words: list[str]) -> None:
    options = parse(Export, words, "jaxgan export")
    _import(options.import_)
    from jaxgan.cli.export import export

    _set_up()
    print(export(options))


def _explore(words: list[str]) -> None:
    options = parse(Explore, words, "jaxgan explore")
    _import(options.import_)
    from jaxgan.cli.explore import explore

    _set_up()
    print(explore(options))


def _encode(words: list[str]) -> None:
    options = parse(Encode, words, "jaxgan encode")
    _import(options.import_)
    from jaxgan.cli.encode import make_latents

    _set_up()
    print(make_latents(options))


def _report(words: list[str]) -> None:
    options = parse(Report, words, "jaxgan report")
    _import(options.import_)
    from jaxgan.report.page import write_report
    from jaxgan.rundir import refuse_bundle

    refuse_bundle(options.run)
    with naming(options.run, missing=True):
        print(write_report(options.run))


def _compare(words: list[str]) -> None:
    options = parse(Compare, words, "jaxgan compare")
    if options.out.suffix != ".html":
        raise UserError(f"--out must end in .html, not {shown(str(options.out))}")
    from jaxgan.cli.outputs import check_file
    from jaxgan.report.comparing import comparison
    from jaxgan.util.files import write_atomically

    check_file(options.out)
    write_atomically(options.out, comparison(options.runs).encode())
    print(options.out)


def _verify(words: list[str]) -> None:
    options = parse(Verify, words, "jaxgan verify")
    _import(options.import_)
    from jaxgan import rundir
    from jaxgan.devices.mesh import is_main_process
    from jaxgan.training import verify

    used = rundir.read_config(options.run).device
    devices = used.per_process * (1 if options.process.distributed else used.processes)
    _set_up(devices, used.deterministic, options.process)
    verdict = verify.verify(options.run, options.steps, options.data_dir, devices)
    if is_main_process():
        print(verdict)
    if verdict.differs is not None:
        sys.exit(1)


def _set_up(
    devices: int | None = None,
    deterministic: bool = False,
    process: ProcessOptions | None = None,
) -> None:
    """Tells JAX what makes it faster and what the command line asks for, and starts it."""
    from jaxgan.devices import startup
    from jaxgan.devices.mesh import is_main_process

    startup.cache_compilations()
    startup.compile_small_loops_whole()
    if devices is not None and devices > 1:
        startup.use_devices(devices)
    if deterministic:
        startup.be_deterministic()
    process = process or ProcessOptions()
    others = (process.coordinator, process.process_count, process.process_index)
    if process.distributed:
        startup.connect(*others)
    elif others != (None, None, None):
        raise UserError("a coordinator, process count or index needs --distributed")
    startup.find_devices()
    if not is_main_process():  # which logs for all
        logging.getLogger("jaxgan").setLevel(logging.WARNING)


def _recipes(words: list[str]) -> None:
    options = parse(Recipes, words, "jaxgan recipes")
    _import(options.import_)
    print(_recipe_table(), end="")


def _recipe_table() -> str:
    from jaxgan.recipes import recipes

    first, *others = [(name, kind.summary()) for name, kind in recipes().items()]
    return as_text(first, others)


def _info(words: list[str]) -> None:
    parse(Info, words, "jaxgan info")
    from jaxgan.devices.environment import cores, versions
    from jaxgan.devices.startup import find_devices

    devices = [
        ("device", f"{device.platform} {device.id} ({device.device_kind})")
        for device in find_devices()
    ]
    first, *others = [*versions().items(), ("cores", f"{cores()}"), *devices]
    print(as_text(first, others), end="")


def _completion(words: list[str]) -> None:
    options = parse(Completion, words, "jaxgan completion")
    from jaxgan.cli.completion import print_script

    print_script(options.shell, {name: command.options for name, command in COMMANDS.items()})


COMMANDS = {
    "train": Command(
        _train,
        Train,
        "train RECIPE",
        "train a GAN; every hyperparameter is an option",
        "choose a smaller --batch-size, or a --microbatch",
    ),
    "population": Command(
        _population,
        Population,
        "population RECIPE",
        "train many GANs that differ in seed and hyperparameters",
        "choose a smaller --at-once, --members or --batch-size",
    ),
    "sample": Command(_sample, Sample, "sample RUN", "draw samples from a run"),
    "interpolate": Command(
        _interpolate,
        Interpolate,
        "interpolate RUN",
        "walk from one latent to another",
        "choose fewer --rows or --columns",
    ),
    "directions": Command(
        _directions,
        Directions,
        "directions RUN",
        "move a latent along its most effective directions",
        "choose fewer --rows or --columns",
    ),
    "restore": Command(
        _restore,
        Restore,
        "restore RUN INPUT",
        "repair pictures: holes, blur, few pixels, no color",
        "choose fewer pictures or --starts",
    ),
    "translate": Command(
        _translate,
        Translate,
        "translate RUN INPUT",
        "turn pictures into others, such as drawings into emoji",
        "choose smaller pictures, or fewer",
    ),
    "dataset": Command(
        _dataset,
        Dataset,
        "dataset RUN",
        "make a data set, as similar to the training data as you like",
        "choose a smaller --num, --sources or --knob-num",
    ),
    "evaluate": Command(_evaluate, Evaluate, "evaluate RUN", "measure how good its samples are"),
    "export": Command(
        _export, Export, "export RUN --out PATH", "write its weights, or a program, to give away"
    ),
    "explore": Command(
        _explore,
        Explore,
        "explore RUN",
        "write a page in which its generator runs",
        "close other programs",
    ),
    "encode": Command(
        _encode,
        Encode,
        "encode RUN --out FOLDER",
        "make a data set of an autoencoder's latents",
        "choose a smaller --image-size",
    ),
    "report": Command(
        _report,
        Report,
        "report RUN",
        "draw its figures and write its page again",
        "close other programs",
    ),
    "compare": Command(
        _compare,
        Compare,
        "compare RUN RUN ...",
        "show runs side by side, on a page",
        "compare fewer runs",
    ),
    "verify": Command(
        _verify,
        Verify,
        "verify RUN",
        "train it again, and compare every bit",
        "use the machine that it was trained on, or close other programs",
    ),
    "features": Command(
        _features,
        dict.fromkeys(IMPORTS, ImportWeights),
        "features import-NETWORK FILE",
        "keep weights that metrics need",
        "close other programs",
    ),
    "recipes": Command(_recipes, Recipes, "recipes", "list the recipes", "close other programs"),
    "info": Command(_info, Info, "info", "print versions and devices", "close other programs"),
    "completion": Command(
        _completion,
        Completion,
        "completion SHELL",
        "print a script for bash, zsh or fish that completes all of this",
        "close other programs",
    ),
}
