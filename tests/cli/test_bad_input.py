"""Random command lines and configurations that make no sense, or almost do.

Whatever is typed or written into config.json, a command ends with status 0, 1 or 2, and with 2 says
why in one line. What takes long, training and drawing, is left out; all that comes before is not.
"""

import dataclasses
import functools
import json
import os
import shutil
from typing import Annotated, Any, Literal, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from runs import command, copy

from jaxgan.cli import options
from jaxgan.data import Drawn, loading
from jaxgan.devices import startup
from jaxgan.evaluation import evaluator
from jaxgan.evaluation.examples import Examples
from jaxgan.recipes import recipe as recipe_module
from jaxgan.recipes import recipes
from jaxgan.recipes.pattern_1010 import draw_real
from jaxgan.rundir import loading as sampling
from jaxgan.rundir import walks
from jaxgan.training.experiment import Experiment

# Of command lines, and of configurations.
examples = pytest.mark.parametrize("examples", [12, pytest.param(2500, marks=pytest.mark.slow)])
RECIPES = {name: kind for name, kind in recipes().items() if kind.__module__.startswith("jaxgan.")}
NAMES = sorted(RECIPES)
COMMANDS = {
    "sample": options.Sample,
    "interpolate": options.Interpolate,
    "directions": options.Directions,
    "restore": options.Restore,
    "translate": options.Translate,
    "dataset": options.Dataset,
    "encode": options.Encode,
    "explore": options.Explore,
    "export": options.Export,
    "evaluate": options.Evaluate,
    "features import-clip": options.ImportWeights,
    "features import-dinov2": options.ImportWeights,
    "features import-dinov2-base": options.ImportWeights,
    "features import-inception": options.ImportWeights,
    "verify": options.Verify,
    "report": options.Report,
    "recipes": options.Recipes,
    "info": options.Info,
}
OPERANDS = {
    **dict.fromkeys(("sample", "interpolate", "directions", "dataset", "evaluate"), "run"),
    **dict.fromkeys(("verify", "report"), "run"),
    "encode": "run --out encoded",
    "explore": "run",
    "export": "run --out exported",
    **dict.fromkeys(("features import-clip", "features import-dinov2"), "file"),
    "features import-inception": "file",
    "restore": "run data:test[:4]",
    "translate": "run data:mnist@test[:4]",
}


def types_of(*kinds: Any) -> dict[str, Any]:
    """The options that the fields of some classes make, and their types."""
    found = [field for kind in kinds for field in dataclasses.fields(kind)]
    flags = [f"--{field.name.strip('_').replace('_', '-')}" for field in found]
    return dict(zip(flags, [field.type for field in found], strict=True))


RUN = (options.RunOptions, options.DeviceOptions)
OPTIONS = {name: types_of(x, *RUN, options.ProcessOptions) for name, x in RECIPES.items()}
OPTIONS |= {
    f"population {name}": types_of(x, *RUN, options.MemberOptions) for name, x in RECIPES.items()
}
OPTIONS |= {name: types_of(x) for name, x in COMMANDS.items()}
OPTIONS["verify"] |= types_of(options.ProcessOptions)
FLAGS = sorted({flag for found in OPTIONS.values() for flag in found})

many = functools.partial(
    settings,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def inside(text: str) -> bool:
    """Whether a path of this name stays in the working directory."""
    return not text.startswith(("/", "~")) and ".." not in text


# Words as a command line can hold them: anything but NUL; bytes that are no UTF-8 as surrogates.
texts = st.text(max_size=20).filter(lambda text: "\0" not in text)
texts = texts.map(lambda text: os.fsdecode(text.encode("utf-8", "surrogatepass"))).filter(inside)
numbers = st.one_of(
    st.integers(-3, 300),
    st.integers(),
    st.sampled_from([2**31 - 1, 2**31, 2**32, 2**63, 10**30, 10**400, -(2**70)]),
    st.floats(),
).map(str)
near = [
    "nan",
    "-inf",
    "1e999",
    "1_0",
    " 3",
    "3 ",
    "0x10",
    "٣",
    "True",
    "None",
    "{}",
    "-",
    "--",
    "-1",
]
places = ["run", "run/", "absent", "file", "mnist", "mnist@", "mnist@train[:9]", "folder:", "a.png"]
others = [
    "fid,kid",
    "digits",
    "inception",
    "mnist@train[5:2]",
    "tfds:",
    "tfds:no",
    "folder:absent",
    "folder:file",
    "each",
    "file.py",
    "a.npz",
    "\n",
    " ",
]
breaks = ["a\nb", "\r", "a\x0bb", "a\x85b", "a\u2028b", "\x1b[2J"]
breaks += ["\udcff", "\udcff.npz", "folder:\udcff", "\ud800", "fid,\udcff", "\udcff.py", "x" * 9000]
values = st.one_of(numbers, texts, st.sampled_from([*near, *places, *others, *breaks, *NAMES]))


whole = st.one_of(st.integers(1, 64), st.integers(1, 64), st.integers(-1, 2**33))
fractions = st.one_of(st.floats(0, 1), st.floats())


def typed(kind: Any) -> st.SearchStrategy[tuple[str, ...]]:
    """The words of a value that looks right."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    said = str(kind)
    if kind is bool:
        return st.just(())
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind)).map(lambda word: (word,))
    if "tuple" in said:
        return st.lists(whole.map(str), min_size=0 if "..." in said else 2, max_size=2).map(tuple)
    if "float" in said:
        return st.tuples(fractions.map(str))
    if "int" in said:
        return st.tuples(whole.map(str))
    return st.tuples(st.one_of(st.sampled_from([*places, *others, *breaks]), texts))


@st.composite
def typos(draw) -> str:
    """An option with a letter missing, doubled or of another kind."""
    flag = draw(st.sampled_from(FLAGS))
    at = draw(st.integers(0, len(flag) - 1))
    return flag[:at] + draw(st.sampled_from(["", flag[at] * 2, "_", "X", " "])) + flag[at + 1 :]


flags = st.one_of(st.sampled_from(FLAGS), typos())
wild = st.one_of(
    st.tuples(flags, values),
    st.tuples(flags),
    st.tuples(values),
    st.builds(lambda flag, value: (f"{flag}={value}",), flags, values),
    st.sampled_from([("--help",), ("-h",), ("--resume",), ("--overwrite",)]),
)


@st.composite
def lines(draw) -> list[str]:
    """A command line: a command, options that look right in any order, and maybe one that not."""
    name = draw(st.sampled_from([*OPTIONS, *RECIPES]))
    start = ["train", name] if name in RECIPES else name.split()
    if name in OPERANDS:
        start += OPERANDS[name].split()
    chosen = draw(st.lists(st.sampled_from(sorted(OPTIONS[name]) or ["-h"]), max_size=4))
    pairs = [(flag, *draw(typed(OPTIONS[name].get(flag, bool)))) for flag in chosen]
    if draw(st.integers(0, 2)) == 0:
        pairs.insert(draw(st.integers(0, len(pairs))), draw(wild))
    if draw(st.integers(0, 9)) == 0:
        start = draw(st.lists(values, max_size=2))
    return start + [word for pair in pairs for word in pair]


# What a config.json can hold.
jsons = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([0, -1, 1, 2**31, 10**400, 1e308, 0.5]),
        st.floats(),
        st.text(st.characters(), max_size=9),
        st.sampled_from(["mnist", "folder:\0", "\ud800", "tfds:\n", *NAMES]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(st.integers(1, 99), min_size=1, max_size=4),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    max_leaves=6,
)


def like(value: Any) -> st.SearchStrategy[Any]:
    """Other values of the same type, so far as JSON knows types."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        return whole
    if isinstance(value, float):
        return fractions
    if isinstance(value, str):
        return st.one_of(
            st.text(st.characters(), max_size=9), st.sampled_from(["folder:\0", *NAMES])
        )
    if isinstance(value, list):
        return st.lists(whole, max_size=4)
    return st.none() if value is None else jsons


@st.composite
def edited(draw, config: dict[str, Any]) -> bytes:
    """A sound configuration in which one or two values are others, gone, or new."""
    config = json.loads(json.dumps(config))
    values = config["hyperparameters"]
    parts = [config, values, values, config["device"], config["versions"]]
    for _ in range(draw(st.integers(1, 2))):
        part = draw(st.sampled_from(parts))
        name = draw(st.sampled_from([*sorted(part), "new"]))
        if draw(st.integers(0, 9)) == 0:
            part.pop(name, None)
        elif draw(st.integers(0, 3)) == 0:
            part[name] = draw(jsons)
        else:
            part[name] = draw(like(part.get(name)))
    return json.dumps(config).encode()


def configs(config: dict[str, Any]) -> st.SearchStrategy[bytes]:
    whole = json.dumps(config).encode()
    return st.one_of(
        *[edited(config)] * 9,
        jsons.map(lambda value: json.dumps(value).encode()),
        st.integers(0, len(whole) - 1).map(lambda end: whole[:end]),
        st.binary(max_size=20),
        st.integers(1, 10**5).map(lambda depth: b"[" * depth),
        st.text(max_size=20).map(str.encode),
    )


@pytest.fixture
def quick(here, monkeypatch, whole_run):
    """A place with a run and a file; what takes long ends a command well."""

    def end(*_, **__):
        raise SystemExit(0)

    def draw(trained, num, *_, **__):
        sampling.check_num(num)
        return np.zeros((min(num, 2), 4), np.float32)

    run = copy(whole_run("pattern_1010"), here / "run")
    shutil.copy(whole_run("mnist_mlp") / "config.json", here / "images.json")
    load = recipe_module.load

    def feed(source, labels, *, batch_size, **_):
        made: Any = Drawn(lambda _, n: jnp.zeros((n, *source.shape)), source.shape, batch_size)
        made.size = len(source)
        return made

    monkeypatch.setattr(Experiment, "draw_first", end)
    monkeypatch.setattr(startup, "connect", lambda *_: None)
    monkeypatch.setattr(startup, "use_devices", lambda count: None)
    monkeypatch.setattr(startup, "be_deterministic", lambda: None)
    monkeypatch.setattr(sampling, "draw", draw)
    monkeypatch.setattr(walks, "_make", lambda *_: np.zeros((2, 4), np.float32))
    monkeypatch.setattr(evaluator.Evaluator, "__call__", end)
    few = np.asarray(draw_real(jax.random.key(0), 40))
    monkeypatch.setattr(
        evaluator,
        "chooser",
        lambda *_: (
            lambda n, _: Examples(
                lambda *places: iter([{"image": few[slice(*places)]}]), few.shape[1:], 0, min(n, 40)
            )
        ),
    )
    monkeypatch.setattr(loading, "decode", lambda source, _: (source, None))
    monkeypatch.setattr(loading, "Resident", feed)
    monkeypatch.setattr(
        recipe_module, "load", lambda spec, data_dir, **options: load(spec, **options)
    )
    for path in (run / "checkpoints").iterdir():
        if path.name != "40":
            shutil.rmtree(path)
    shutil.rmtree(run / "samples")
    (run / "metrics.jsonl").write_text('{"step": 4, "digest": "0"}\n')
    (here / "file").write_text("x")
    return here


def assert_ends_well(*words: str) -> None:
    done = command(*words)
    event(f"status {done.status}")
    assert done.status in (0, 1, 2)
    if done.status == 2:
        assert done.out == ""
        *before, line = done.err.splitlines()
        assert all(each.startswith("Preparing jaxgan_") for each in before)  # data, the first time
        assert line.startswith("jaxgan: ")
        assert len(line) < 700


@examples
def test_any_command_line_ends_well(quick, examples):
    seen = 0

    @many(max_examples=examples)
    @given(lines())
    def check(words):
        nonlocal seen
        seen += 1
        assert_ends_well(*words)

    check()
    assert seen >= examples


@examples
def test_any_config_ends_well(quick, examples):
    config = quick / "run" / "config.json"
    sound = json.loads(config.read_text())
    image = json.loads((quick / "images.json").read_text())
    again = [f"train {name} --out run --resume" for name in ("pattern_1010", "mnist_mlp")]
    train = "train pattern_1010 --out run"
    ways = [
        "sample run",
        "evaluate run",
        "report run",
        "verify run",
        *again,
        train,
        f"{train} --overwrite",
    ]
    seen = 0

    @many(max_examples=examples)
    @given(st.one_of(configs(sound), configs(image)), st.sampled_from(ways))
    def check(data, words):
        nonlocal seen
        seen += 1
        config.write_bytes(data)
        assert_ends_well(*words.split())

    check()
    assert seen >= examples
