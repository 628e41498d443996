"""The options of each command, and how the words of a command line become options.

Options are fields of dataclasses, and the comments behind fields are their help: Tyro reads both.
"""

import difflib
import inspect
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import chain, cycle
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, cast, get_args

import tyro
from tyro import _errors as events  # private, so pyproject.toml bounds the version
from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    UnsupportedTypeAnnotationError,
)

from jaxgan.pretrained import directory
from jaxgan.util.errors import UserError
from jaxgan.util.files import expanded
from jaxgan.util.parsing import shown

T = TypeVar("T")

WIDTH = 100  # of help, at most
DIGITS = 20  # in a whole number, at most
SHORT = {"--lr": "--learning-rate"}  # what options are called elsewhere


def _default(words: str) -> Any:
    """Says in help what an option that is not given comes to."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {words})")


_no_default = tyro.conf.arg(help_behavior_hint="")
Flag = Annotated[bool, _no_default]
OwnRun = Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
Runs = Annotated[
    Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN RUN ...", help_behavior_hint="")
]
RunDirectory = Annotated[
    Positional[Path],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="RUN",
        instance_from_str=lambda words: directory(words[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda value: [str(value)],
    ),
]
Imports = Annotated[
    UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="import", metavar="MODULE|FILE.py")
]
DataDir = Annotated[str | None, _default("$TFDS_DATA_DIR or ~/tensorflow_datasets")]
Input = Annotated[Positional[str], tyro.conf.arg(metavar="INPUT")]
Label = Annotated[str | None, tyro.conf.arg(metavar="CLASS|each", help_behavior_hint="")]
Protocol = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
Features = Annotated[str | None, _default("to suit the data")]
HeldOut = Annotated[str | None, _no_default]
TestSplit = Annotated[str | None, _default("the test split of data that come with jaxgan")]
Truncation = Annotated[float | None, _no_default]
Sources = Annotated[int | None, _default("1000; --num if that is less")]
NewRun = Annotated[
    Path | None, _default("runs/RECIPE-seedN; of a population, runs/RECIPE-population-seedN")
]
OutFile = Annotated[Path | None, _default("a file in RUN")]
OutFolder = Annotated[Path | None, _default("a new folder in RUN")]
Mask = Annotated[
    str | None, tyro.conf.arg(metavar="center|left|random:SHARE|FILE", help_behavior_hint="")
]
Member = Annotated[int | None, _no_default]
Step = Annotated[int | None, _default("the newest")]
OfCluster = _default("as the cluster says")


@dataclass(frozen=True)
class RunOptions:
    """Where the run is kept, and how it starts."""

    preset: Annotated[str | None, _no_default] = None  # hyperparameters to start from, by name
    seed: int = 0  # of everything random; in a population, of its first member
    out: NewRun = None  # run directory
    resume: Flag = False  # go on with the run in --out from its newest checkpoint
    overwrite: Flag = False  # replace the run in --out
    tensorboard: Flag = False  # also write events for TensorBoard
    data_dir: DataDir = None  # where TFDS keeps data sets
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class DeviceOptions:
    """What to train on."""

    devices: Annotated[int | None, _default("1; all with --distributed")] = None  # of this process
    deterministic: Flag = False  # use only operations that repeat bit for bit on a GPU; slower


@dataclass(frozen=True)
class ProcessOptions:
    """How several processes, each started by this same command, train together."""

    distributed: Flag = False  # train together with other processes
    coordinator: Annotated[str | None, OfCluster] = None  # HOST:PORT of process 0
    process_count: Annotated[int | None, OfCluster] = None  # number of processes
    process_index: Annotated[int | None, OfCluster] = None  # of this process, from 0

    def words(self) -> list[str]:
        """Writes these options as words of a command line."""
        given = {
            "--coordinator": self.coordinator,
            "--process-count": self.process_count,
            "--process-index": self.process_index,
        }
        values = [[name, str(value)] for name, value in given.items() if value is not None]
        return [*(["--distributed"] if self.distributed else []), *chain(*values)]


@dataclass(frozen=True)
class MemberOptions:
    """How the members differ, and how many there are."""

    members: Annotated[int | None, _default("8 for each setting of the sweep")] = None  # GANs
    sweep: UseAppendAction[tuple[str, ...]] = ()  # values to try, as in learning_rate=1e-4,2e-4
    at_once: Annotated[int | None, _default("chosen for speed")] = None  # members computed together


@dataclass(frozen=True)
class Train(Generic[T]):
    """Options of `jaxgan train`."""

    recipe: OmitArgPrefixes[T]  # Hyperparameters.
    run: OmitArgPrefixes[RunOptions] = RunOptions()
    device: OmitArgPrefixes[DeviceOptions] = DeviceOptions()
    process: OmitArgPrefixes[ProcessOptions] = ProcessOptions()


@dataclass(frozen=True)
class Population(Generic[T]):
    """Options of `jaxgan population`."""

    recipe: OmitArgPrefixes[T]  # Hyperparameters; the sweep replaces some of them.
    member: OmitArgPrefixes[MemberOptions] = MemberOptions()
    run: OmitArgPrefixes[RunOptions] = RunOptions()
    device: OmitArgPrefixes[DeviceOptions] = DeviceOptions()


@dataclass(frozen=True)
class Sample:
    """Draws samples from a run."""

    run: RunDirectory  # run directory, folder of `jaxgan export`, or pretrained:NAME
    num: int = 64  # how many; with --label each, rounded up to the same number of each class
    label: Label = None  # class to draw, from 0; each: every class, in a row of its own
    seed: int = 0  # of the latents
    member: Member = None  # which GAN of a population, from 0
    step: Step = None  # of the checkpoint
    best: Flag = False  # take the best checkpoint that --eval-every found
    out: OutFile = None  # .png, .npz, or a folder of its own
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Interpolate:
    """Walks from one latent of a run to another: a walk in each row."""

    run: RunDirectory  # run directory, folder of `jaxgan export`, or pretrained:NAME
    rows: int = 8  # walks
    columns: int = 10  # samples in a walk
    seed: int = 0  # of the latents
    member: Member = None  # which GAN of a population, from 0
    step: Step = None  # of the checkpoint
    best: Flag = False  # take the best checkpoint that --eval-every found
    out: OutFile = None  # .png, .gif, .npz, or a folder
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Directions:
    """Moves a latent of a run along the directions in which G's first layer changes most (SeFa)."""

    run: RunDirectory  # run directory, folder of `jaxgan export`, or pretrained:NAME
    rows: int = 8  # directions, from the most effective one
    columns: int = 9  # samples along a direction
    reach: float = 3.0  # how far to either side
    seed: int = 0  # of the latent
    member: Member = None  # which GAN of a population, from 0
    step: Step = None  # of the checkpoint
    best: Flag = False  # take the best checkpoint that --eval-every found
    out: OutFile = None  # .png, .gif, .npz, or a folder
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Restore:
    """Restores damaged pictures: finds latents whose pictures agree with what is known."""

    run: RunDirectory  # run directory, folder of `jaxgan export`, or pretrained:NAME
    input: Input  # damaged picture, folder of them, or data: and whole ones: "data:test[:200]"
    mask: Mask = None  # what is missing; of a file, what is black
    blur: Annotated[float | None, _no_default] = None  # standard deviation of a blur, in pixels
    scale: Annotated[int | None, _no_default] = None  # how many times smaller the pictures are
    gray: Flag = False  # the color is missing
    starts: Annotated[int | None, _default("8, at least one of each class")] = None  # of a picture
    iterations: int = 300  # steps of the search
    learning_rate: float = 0.1  # of Adam
    gaussian: float = 0.1  # weight of a Gaussian prior; 0: latents stay on a sphere instead
    near: Flag = False  # of known pixels, only those near a missing one count (Yeh et al.)
    realism: float = 0.0  # weight of what D thinks of a picture
    label: Annotated[int | None, _default("searched")] = None  # class of all pictures, from 0
    seed: int = 0  # of the latents, and of masks
    member: Member = None  # which GAN of a population, from 0
    step: Step = None  # of the checkpoint
    best: Flag = False  # take the best checkpoint that --eval-every found
    out: OutFolder = None  # folder
    data_dir: DataDir = None  # where TFDS keeps data sets
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Translate:
    """Turns pictures into others with a run that learned to, such as one of pix2pix or cyclegan."""

    run: RunDirectory  # run directory, folder of `jaxgan export`, or pretrained:NAME
    input: Input  # picture, folder of them, or data: and a data set: data:openmoji-pairs@test
    to: Literal["a", "b"] = "b"  # what to make; a: what b is made of, where a run learned both ways
    seed: int = 0  # of dropout and other noise
    member: Member = None  # which GAN of a population, from 0
    step: Step = None  # of the checkpoint
    best: Flag = False  # take the best checkpoint that --eval-every found
    out: OutFolder = None  # folder of the pictures
    data_dir: DataDir = None  # where TFDS keeps data sets
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Dataset:
    """Makes a data set of pictures, as similar to the training data as one likes."""

    run: RunDirectory  # run directory, folder of `jaxgan export`, or pretrained:NAME
    num: int = 10_000  # pictures
    similarity: float = 0.0  # 0: independent of real pictures, to 1: the closest that G can make
    truncation: Truncation = None  # largest absolute value in a latent, such as 1: less variety
    sources: Sources = None  # training pictures that others are made near to, in turn
    format: Literal["tfds", "folder", "npz"] = "tfds"  # tfds: ArrayRecord; folder: PNG files
    knob_num: int = 1000  # pictures measured at each of several similarities, 100 to 10,000
    held_out: TestSplit = None  # data it did not learn from, such as mnist@test, to measure with
    seed: int = 0  # of the latents, and of the choice of training pictures
    member: Member = None  # which GAN of a population, from 0
    step: Step = None  # of the checkpoint
    best: Flag = False  # take the best checkpoint that --eval-every found
    out: OutFolder = None  # folder, new or empty
    data_dir: DataDir = None  # where TFDS keeps data sets
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Evaluate:
    """Measures how good the samples of a run are."""

    run: RunDirectory  # run directory, folder of `jaxgan export`, or pretrained:NAME
    protocol: Protocol = None  # fid50k, clean-fid, studiogan-friendly, dgm-eval, prdc10k, cmmd
    num: Annotated[int | None, _default("10000")] = None  # samples in a draw, and real examples
    draws: Annotated[int | None, _default("5; 1 of each member")] = None  # repetitions
    metrics: Annotated[str | None, _default("all that apply")] = None  # such as fd,prdc
    features: Features = None  # digits, inception, dinov2, clip, pixels
    held_out: HeldOut = None  # data it did not learn from, such as mnist@test, for memorization
    seed: int = 0  # of the latents and of the choice of real examples
    member: Annotated[int | None, _default("all")] = None  # which GAN of a population, from 0
    step: Step = None  # of the checkpoint
    best: Flag = False  # take the best checkpoint that --eval-every found
    data_dir: DataDir = None  # where TFDS keeps data sets
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class ImportWeights:
    """Keeps the weights of a network where `jaxgan evaluate` finds them."""

    file: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE")]  # .pth or .safetensors


@dataclass(frozen=True)
class Export:
    """Writes a run's weights with a card, as a folder that loads as a run does; or a program.

    A program is one file that makes pictures without jaxgan: StableHLO for JAX, or ONNX.
    """

    run: RunDirectory  # run directory, folder of `jaxgan export`, or pretrained:NAME
    out: Path  # folder of the weights, or file of the program
    format: Literal["safetensors", "stablehlo", "onnx"] = "safetensors"  # weights, or a program
    half: Flag = False  # store numbers as float16, at half the size
    to: Literal["a", "b"] = "b"  # what to make; a: what b is made of, where a run learned both ways
    member: Member = None  # which GAN of a population, from 0
    step: Step = None  # of the checkpoint
    best: Flag = False  # take the best checkpoint that --eval-every found
    data_dir: DataDir = None  # where TFDS keeps data sets
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Explore:
    """Writes a page in which the generator runs, to draw samples and to change them in a browser.

    The page is one file that needs nothing else. It is checked against JAX as it is made.
    """

    run: RunDirectory  # run directory, folder of `jaxgan export`, or pretrained:NAME
    folder: Flag = False  # write a folder for a web server: page, model and runtime apart
    member: Member = None  # which GAN of a population, from 0
    step: Step = None  # of the checkpoint
    best: Flag = False  # take the best checkpoint that --eval-every found
    out: Annotated[Path | None, _default("explorer.html in RUN")] = None  # the page, or the folder
    data_dir: DataDir = None  # where TFDS keeps data sets
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Encode:
    """Encodes a data set by an autoencoder, once, for GANs to learn from its latents."""

    run: RunDirectory  # run of the recipe autoencoder; or Stable Diffusion's VAE, a .safetensors
    out: Path  # folder, new or empty
    data: Annotated[str | None, _default("that of RUN")] = None  # data set of pictures
    image_size: Annotated[int | None, _default("that of RUN; 256")] = None  # of the pictures
    member: Member = None  # which autoencoder of a population, from 0
    step: Step = None  # of the checkpoint
    best: Flag = False  # take the best checkpoint that --eval-every found
    data_dir: DataDir = None  # where TFDS keeps data sets
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Report:
    """Draws the figures and writes the page of a run again."""

    run: OwnRun  # run directory
    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Compare:
    """Writes a page that shows runs or populations side by side."""

    runs: Runs  # from 2 to 12 run directories
    out: Path = Path("comparison.html")  # the page


@dataclass(frozen=True)
class Verify:
    """Trains a run again from its config, and compares digests of the state."""

    run: OwnRun  # run directory
    steps: Annotated[int | None, _default("as many as the run has")] = None  # how far to train
    data_dir: DataDir = None  # where TFDS keeps data sets
    import_: Imports = ()  # Python module or file that defines recipes
    process: OmitArgPrefixes[ProcessOptions] = ProcessOptions()


@dataclass(frozen=True)
class Recipes:
    """Lists the recipes."""

    import_: Imports = ()  # Python module or file that defines recipes


@dataclass(frozen=True)
class Info:
    """Prints versions and devices."""


@dataclass(frozen=True)
class Completion:
    """Prints a script that completes commands, recipes and options."""

    shell: Positional[Literal["bash", "zsh", "fish"]]  # which shell the script is for


def parse(
    kind: Callable[..., T],
    arguments: Sequence[str],
    prog: str,
    default: Any = None,
    description: str | None = None,
) -> T:
    """Parses the words of a command line.

    Args:
        kind: one of the classes above.
        arguments: the words after the command.
        prog: the command, for messages.
        default: the options where nothing is said; None for those of `kind`.
        description: the text above the options in help; None for the docstring of `kind`.

    Returns:
        The options.

    Raises:
        UserError: if the words make no sense.
        SystemExit: after printing help that was asked for.
    """

    def refuse(event: events.ParseErrorEvent) -> None:
        if (reason := _reason(event, default or kind)) is not None:
            raise UserError(f"{reason} ({prog} --help lists the options)")

    with events.on_parse_error(refuse):
        options = tyro.cli(
            kind,
            args=arguments,
            prog=prog,
            description=_wrapped(description or inspect.getdoc(kind) or ""),
            default=default,
            config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            registry=registry(),
        )
    return cast(T, options)


def imports(arguments: Sequence[str]) -> tuple[str, ...]:
    """Finds what `--import` names among words of which most are not yet understood."""

    @dataclass(frozen=True)
    class Given:
        import_: Imports = ()

    def refuse(event: events.ParseErrorEvent) -> None:
        raise UserError("--import needs the name of a module or a .py file")

    with events.on_parse_error(refuse):
        found, _ = tyro.cli(Given, args=arguments, add_help=False, return_unknown_args=True)
    return found.import_


def _reason(event: events.ParseErrorEvent, options: Any) -> str | None:
    """Says why Tyro refuses a command line; None for a reason that is not known here."""
    match event:
        case events.UnrecognizedArgs(tokens=tokens):
            names = list(_names(options))
            meant = [SHORT.get(x, x) for x in tokens]
            near = dict.fromkeys(
                name for x in meant for name in difflib.get_close_matches(x, names, 2, cutoff=0.7)
            )
            hint = f": did you mean {' or '.join(near)}?" if near else ""
            return f"unrecognized options {', '.join(map(shown, tokens))}{hint}"
        case events.MissingArgs(missing_arguments=missing):
            names = [
                str(x.arg.lowered.metavar) if x.arg.is_positional() else x.arg.display_name()
                for x in missing
            ]
            return f"{', '.join(names)} is missing"
        case events.BadValue(argument=argument):
            return f"{argument.display_name()} needs a value: {argument.lowered.metavar}"
        case events.InvalidChoice(argument=argument, value=value, choices=choices):
            name = argument.display_name()
            return f"{name} must be one of {', '.join(choices)}, not {shown(value)}"
        case events.InstantiationFailure(argument=argument, message=message) if argument:
            return f"{argument.display_name()} {message}"
    return None


def _names(options: Any) -> Iterator[str]:
    """Lists the names of options, given a class above or an object of it."""
    for field in fields(options):
        value = getattr(options, field.name, None)
        if is_dataclass(value):
            yield from _names(value)
        elif hasattr(options, field.name):
            yield f"--{field.name.strip('_').replace('_', '-')}"


def registry() -> ConstructorRegistry:
    """Tells Tyro what types are called in help, and how their words are read."""
    rules = ConstructorRegistry()

    @rules.primitive_rule
    def single(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        if info.type not in _READERS:
            return None
        metavar, read = _READERS[info.type]
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=metavar,
            instance_from_str=lambda words: read(words[0]),
            is_instance=lambda value: isinstance(value, info.type),
            str_from_instance=lambda value: [str(value)],
        )

    @rules.primitive_rule
    def optional(info: PrimitiveTypeInfo) -> Any:
        kinds = [kind for kind in get_args(info.type) if kind is not NoneType]
        if info.type_origin not in (Union, UnionType) or len(kinds) != 1:
            return None
        spec = _spec_of(kinds[0], info)
        if isinstance(spec, UnsupportedTypeAnnotationError):
            return spec
        return replace(
            spec,
            is_instance=lambda value: value is None or spec.is_instance(value),
            str_from_instance=lambda value: ["none"] if value is None else [str(value)],
        )

    @rules.primitive_rule
    def several(info: PrimitiveTypeInfo) -> Any:
        if info.type_origin is not tuple or UseAppendAction in info.markers:
            return None
        kinds = get_args(info.type)
        is_open = kinds[-1] is ...
        specs = [_spec_of(kind, info) for kind in kinds if kind is not ...]
        if any(isinstance(x, UnsupportedTypeAnnotationError) or x.nargs != 1 for x in specs):
            return None
        return PrimitiveConstructorSpec(
            nargs="*" if is_open else len(specs),
            metavar=" ".join(x.metavar for x in specs) + (" ..." if is_open else ""),
            instance_from_str=lambda words: tuple(
                spec.instance_from_str([word]) for spec, word in zip(cycle(specs), words)
            ),
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda value: [str(x) for x in value],
        )

    return rules


def _spec_of(kind: Any, info: PrimitiveTypeInfo) -> Any:
    return ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kind, info.markers))


def _whole(word: str) -> int:
    try:
        if len(word) <= DIGITS:
            return int(word)
    except ValueError:
        pass
    raise ValueError(f"must be a whole number, not {shown(word)}")


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"must be a number, not {shown(word)}") from None


_READERS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    int: ("INT", _whole),
    float: ("FLOAT", _number),
    str: ("TEXT", str),
    Path: ("PATH", expanded),
}


def _wrapped(text: str) -> str:
    """Wraps a docstring for the terminal; `Command: ...` and the like become paragraphs."""
    width = min(shutil.get_terminal_size().columns, WIDTH)
    paragraphs = re.split(r"\n\n+|\n(?=[A-Z]\w*: |[-*] )", inspect.cleandoc(text))
    # Tyro joins lines that begin with a letter, so all but the first are indented.
    return "\n\n".join(textwrap.fill(x, width, subsequent_indent="  ") for x in paragraphs)
