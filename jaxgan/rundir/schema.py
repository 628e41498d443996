"""What the JSON files of a run hold, as types that msgspec checks."""

import math
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta, Struct

from jaxgan.metrics.intervals import Interval
from jaxgan.metrics.result import Protocol
from jaxgan.recipes import Count
from jaxgan.rundir.sweep import Members
from jaxgan.types import DataSpec, Entry
from jaxgan.util.errors import UserError
from jaxgan.util.parsing import convert, shown

LARGEST = 2**27  # numbers in one example: half a gigabyte

Seed = Annotated[int, Meta(ge=0, lt=2**32)]  # see jaxgan.keys
NUMBERS = frozenset(  # types of the arrays in a batch
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 "
    "float16 bfloat16 float32 float64".split()
)
Shape = Annotated[tuple[Count, ...], Meta(min_length=1, max_length=8)]


class Device(Struct, frozen=True):
    """What a run was trained on; what is not known has its default."""

    platform: str | None = None
    kind: str | None = None
    count: Count = 1  # devices of all processes
    processes: Count = 1
    cores: Count | None = None
    deterministic: bool = False
    xla_flags: str = ""

    @property
    def per_process(self) -> int:
        """Devices of each process."""
        return max(1, self.count // self.processes)


class BatchEntry(Struct, frozen=True):
    """An array that batches hold by a name of its own."""

    shape: Annotated[tuple[Count, ...], Meta(max_length=8)]  # of one example's
    dtype: str

    def __post_init__(self):
        if self.dtype not in NUMBERS:
            raise UserError(f"there is no type of numbers {shown(self.dtype)}")


class Config(Struct, frozen=True, kw_only=True):
    """config.json."""

    recipe: str  # its name
    source: str | None = None  # the module or file that defines it; not there before version 0.2
    description: str | None = None
    hyperparameters: dict[str, Any]
    seed: Seed
    members: Members | None = None  # None for one GAN
    steps: Count | None = None  # length of the run
    shape: Shape  # of one example
    classes: Count | None = None  # None if the data has no labels
    source_shape: Shape | None = None  # of what an example is made from; None if from latents alone
    latent_shape: Shape | None = None  # of what G makes in its place, to be decoded
    autoencoder: str | None = None  # what made the latents
    entries: dict[str, BatchEntry] = {}  # what else batches hold
    examples: Count | None = None  # of the data set; None of one that is drawn, or unknown
    versions: dict[str, str] = {}
    device: Device = Device()
    created: str | None = None

    def __post_init__(self):
        for shape in (self.shape, *(entry.shape for entry in self.entries.values())):
            if math.prod(shape) > LARGEST:
                raise UserError(f"an example of shape {shape} is too large")

    @property
    def spec(self) -> DataSpec:
        """What the examples look like."""
        entries = sorted((name, x.shape, x.dtype) for name, x in self.entries.items())
        return DataSpec(
            *(self.shape, self.classes, self.source_shape, self.latent_shape, self.autoencoder),
            tuple(Entry(*entry) for entry in entries),
        )


class Evaluation(TypedDict):
    """A line of evaluations.jsonl."""

    step: Count
    metrics: dict[str, float]  # empty where the samples could not be measured
    floors: dict[str, float]  # the metrics of real examples
    protocol: str


class _Number(TypedDict):
    """A metric in evaluation.json."""

    metric: str
    value: float
    protocol: Protocol
    interval: Interval | None
    floor: float


class _Spread(TypedDict):
    """A metric over the members of a population, in evaluation.json."""

    mean: float
    deviation: float | None
    low: float | None
    high: float | None


class _Group(TypedDict):
    """The members of one setting, in evaluation.json."""

    setting: dict[str, float]
    members: int
    diverged: int
    metrics: dict[str, _Spread]


class _Evaluated(TypedDict):
    """What an entry of evaluation.json holds, but for what comes of its numbers."""

    step: Annotated[int, Meta(ge=0)]
    member: NotRequired[int | None]
    averaged: bool
    date: NotRequired[str]
    digest: str | list[str]
    protocol: str
    metrics: list[str]
    results: NotRequired[list[_Number]]  # of one GAN
    members: NotRequired[list[list[_Number] | None]]  # of each GAN of a population
    groups: NotRequired[list[_Group]]  # of a population
    floors: NotRequired[dict[str, float]]  # of the metrics of its groups


class _Evaluations(TypedDict):
    """evaluation.json."""

    evaluations: list[_Evaluated]


class _Head(TypedDict):
    """What a line of metrics.jsonl holds besides metrics and a digest."""

    step: Count
    images_per_second: NotRequired[float]


def check_record(line: Any, members: int | None = None) -> dict[str, Any]:
    """Checks a line of metrics.jsonl: a step, metrics, and maybe a digest and the speed.

    Args:
        line: the line, from JSON.
        members: the number of members of a population: metrics and digest are lists with an entry
            for each, and a metric that was not finite is None. None for one GAN.

    Returns:
        The line.

    Raises:
        UserError: if it is something else.
    """
    metrics, digest = float, str
    if members is not None:
        length = Meta(min_length=members, max_length=members)
        metrics = Annotated[list[float | None], length]
        digest = Annotated[list[str], length]
    convert(line, _Head, "line")
    others = {name: x for name, x in line.items() if name not in _Head.__annotations__}
    if "digest" in others:
        convert(others.pop("digest"), digest, "digest")
    convert(others, dict[str, metrics], "line")
    return line


def check_evaluation(line: Any) -> Evaluation:
    """Checks a line of evaluations.jsonl.

    Raises:
        UserError: if it is something else.
    """
    return convert(line, Evaluation, "line")


def check_evaluated(file: Any) -> list[dict[str, Any]]:
    """Checks what evaluation.json holds.

    Returns:
        Its entries.

    Raises:
        UserError: if it is something else.
    """
    convert(file, _Evaluations, "evaluation.json")
    for entry in file["evaluations"]:
        for group in entry.get("groups", ()):
            if not entry.get("floors", group["metrics"]).keys() >= group["metrics"].keys():
                raise UserError("evaluation.json lacks a metric of real examples")
    return file["evaluations"]
