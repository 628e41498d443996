"""What README.md and docs/ print: the Python runs, the commands parse, the files exist."""

import ast
import importlib
import re
import runpy
import shlex
import sys
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from runs import command, copy

from jaxgan.cli.main import COMMANDS
from jaxgan.recipes import recipe, recipes

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT / "docs").as_posix(): path.read_text("utf-8")
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if path.parent.name != "api" and path.name != "gallery.md"  # made of docstrings
}
TEXTS = {**PAGES, "README.md": (ROOT / "README.md").read_text("utf-8")}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


# Python

# What a page takes for granted, comes before its code.
BEFORE = {
    "architecture.md": """
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import optax

import jaxgan
from jaxgan import latents, losses, penalties, training
from jaxgan.models import mlp
from jaxgan import GAN, chain, minimize, repeat, scheduled, update_average, update_both
from jaxgan import update_discriminator, update_generator

player, objective, optimizer = "generator", None, optax.sgd(1.0)
gan = jaxgan.GAN(
    *[jaxgan.linen(mlp.Discriminator())] * 2,
    *[optimizer] * 2,
    loss=losses.hinge,
    inputs=latents.normal(1),
)
gamma = optax.constant_schedule(1.0)
""",
    "distributed.md": "",
    "evaluation.md": "import jax.numpy as jnp\n",
    "index.md": "",
    "latents.md": """
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxgan import interop
from jaxgan.models.autoencoder import Decoder

Path("latents").mkdir()
interop.save_variables(
    Path("latents/decoder.safetensors"),
    Decoder((64, 128), 3).init(jax.random.key(0), jnp.zeros((1, 8, 8, 8)), train=False),
)
""",
    "own_data.md": "",
    "own_gan.md": """
import jax.numpy as jnp

from jaxgan.recipes.mnist_mlp import MnistMlp
from jaxgan.types import DataSpec

steps = epoch = 10
sources = jnp.zeros((1, 256, 256, 3))
plain = MnistMlp().gan(DataSpec((28, 28, 1)))
""",
    "own_loss.md": "",
    "own_network.md": "",
    "own_recipe.md": "",
    "populations.md": "",
    "restoration.md": "",
    "watching.md": """
import sys
from types import SimpleNamespace

logged = {}
run = SimpleNamespace(log=lambda record, step: logged.update({step: record}), finish=lambda: None)
sys.modules["wandb"] = SimpleNamespace(init=lambda project, name: run)
""",
}
# What is shorter here than on the page, and what stands for its "...".
CHANGES = {
    "evaluation.md": [
        ("1000", "4"),
        (
            "# That of mnist_stylegan2:",
            "from jaxgan.recipes.mnist_stylegan2 import MnistStyleGan2\n"
            "from jaxgan.types import DataSpec\n"
            "gan = MnistStyleGan2().gan(DataSpec((28, 28, 1)))\n"
            "state = jaxgan.init(gan, jax.random.key(0), {'image': jnp.zeros((4, 28, 28, 1))})\n"
            "trained = trained._replace(gan=gan, state=state)\n"
            "a, b = (gan.inputs(jax.random.key(seed), 4, {}) for seed in (0, 1))",
        ),
    ],
    "index.md": [("9360", "2"), ("batch_size=128", "batch_size=8")],
    "own_data.md": [("0, 1000", "0, 2")],
    "own_gan.md": [
        ("4000", "2"),
        ("jaxgan.GAN(\n    ...,\n    inputs", "replace(\n    conditional,\n    inputs"),
        (
            "images = jaxgan.sample(gan, state, key, 100, {",
            "state = jaxgan.init(gan, key, batch, update)\n"
            "images = jaxgan.sample(gan, state, key, 100, {",
        ),
        ("jaxgan.GAN(\n    ...,\n    loss", "replace(\n    acgan,\n    loss"),
        ("jaxgan.GAN(\n    ...,\n    penalty", "replace(\n    plain,\n    penalty"),
        ("jaxgan.GAN(\n    ...,\n    discriminator", "replace(\n    plain,\n    discriminator"),
        ("jaxgan.GAN(...,", "replace(plain,"),
        # The layers of the run's networks, and an update for them.
        ('["Conv_0", "Conv_1"]', '["FanInDense_0"]'),
        (
            "state = jaxgan.init(gan, key, batch, update)\nstate = interop",
            "update = jaxgan.update_both(gan)\n"
            "state = jaxgan.init(gan, key, batch, update)\n"
            "state = interop",
        ),
        # At its published size, in the abstract.
        (
            "answers = jaxgan.generate(gan, state, sources, key)",
            "batch = {'image': sources, 'source': sources}\n"
            "state = jax.eval_shape(lambda: jaxgan.init(gan, key, batch, update))\n"
            "answers = jax.eval_shape(lambda x: jaxgan.generate(gan, x, sources, key), state)\n"
            "assert answers.shape == sources.shape\n"
            "gan = plain",
        ),
    ],
    "own_recipe.md": [("steps=200", "steps=2, batch_size=8, widths=(8, 16)")],
    "watching.md": [("Pattern1010()", "Pattern1010(steps=20, log_every=10)")],
}
# What follows a page's code: calls of what it only defines.
AFTER = {
    "evaluation.md": "assert metrics.path_lengths(path, jnp.full(4, 0.5)).shape == (4,)",
    "own_gan.md": """
assert isinstance(pretrain(plain), jaxgan.Update)
class Reader(nn.Module):
    @nn.compact
    def __call__(self, image, train):
        return nn.Dense(100)(image.reshape(len(image), -1))
update_codes = update_encoder(plain, jaxgan.linen(Reader()), optax.sgd(0.1))
update = jaxgan.chain(jaxgan.update_both(plain), update_codes)
state = jaxgan.init(plain, key, batch, update)
moved, metrics = jax.jit(jaxgan.make_step(update))(state, batch, key)
before, after = (x.extra["encoder"].params for x in (state, moved))
assert metrics["loss_encoder"] > 0
assert not any(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), before, after)))
state = jaxgan.init(plain, key, batch)
_, metrics = jax.jit(jaxgan.make_step(update_unrolled(plain, 2)))(state, batch, key)
assert metrics["loss_g"] > 0
state = jaxgan.init(began, key, batch, balanced).with_extra(k=jnp.array(0.5))
_, metrics = jax.jit(jaxgan.make_step(balanced))(state, batch, key)
moved = 0.001 * (0.5 * metrics["score_real"] - metrics["score_fake"])
assert jnp.allclose(metrics["k"] - 0.5, moved, atol=1e-6) and metrics["k"] != 0.5
assert jnp.allclose(metrics["terms_d"], -0.5 * metrics["score_fake"])
""",
    "own_network.md": """
from dataclasses import replace

for own in (critic, linear):
    other = replace(gan, discriminator=own)
    step = jaxgan.make_step(jaxgan.update_both(other))
    _, metrics = step(jaxgan.init(other, key, batch), batch, key)
    assert jnp.isfinite(metrics["loss_d"])
""",
    "latents.md": "assert pictures.shape == (16, 32, 32, 3) and jnp.isfinite(pictures).all()",
    "restoration.md": """
known, starts = jnp.zeros((1, 14, 14, 1)), jnp.ones((1, 4))
restored, loss = restore(trained.state, known, starts)
assert restored.shape == (1, 28, 28, 1)
""",
    "watching.md": """
assert [*logged] == [10, 20] and logged[20]["step"] == 20 and "loss_g" in logged[20]
""",
}
OWN = "my_gan.py"  # a file that own_recipe.md begins with
ELSEWHERE = {"export.md": "tests/test_export_docs.py"}  # in processes without jaxgan


def printed(page: str) -> str:
    """Returns the Python of a page as one program, changed as above."""
    code = "\n".join(blocks(PAGES[page], "python"))
    for old, new in CHANGES.get(page, []):
        assert old in code, f"{page} no longer has {old!r}"
        code = code.replace(old, new)
    return BEFORE[page] + code + AFTER.get(page, "")


@pytest.fixture
def own_recipes():
    """Lets recipes that a test defines be unknown after it."""
    before = {*recipe.known}
    yield
    for name in recipe.known.keys() - before:
        del recipe.known[name]


def test_every_page_with_python_is_run():
    with_python = {page for page, text in PAGES.items() if blocks(text, "python")}
    assert with_python == BEFORE.keys() | ELSEWHERE.keys()
    for page in BEFORE:
        ast.parse(printed(page))


@pytest.mark.slow
@pytest.mark.parametrize("page", BEFORE)
def test_the_python_of_a_page_runs(page, here, whole_run, monkeypatch, own_recipes):
    for name in ("digits", "mnist_mlp-seed0"):
        copy(whole_run("mnist_mlp"), here / "runs" / name)
    noise = np.random.default_rng(0).integers(0, 256, (33, 40, 32, 3), np.uint8)
    (here / "photos").mkdir()
    for number, picture in enumerate(noise):
        Image.fromarray(picture).save(here / "photos" / f"{number}.png")
    module = ModuleType("page")  # of classes, which would be of `builtins` otherwise
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = vars(module)
    if page == "own_gan.md":  # some of its parts are those of the scripts
        for name in ("conditional", "acgan"):
            names[name] = runpy.run_path(str(ROOT / "experiments" / f"{name}.py"))["system"]()
    exec(compile(printed(page), page, "exec"), names)
    own = [x for name, x in names.items() if not name.startswith("__")]
    made = [x for x in jax.tree.leaves(own) if isinstance(x, jax.Array)]
    assert all(bool(jnp.isfinite(x).all()) for x in made if jnp.issubdtype(x.dtype, jnp.floating))


# Commands

REASONS = {  # for commands that are not parsed
    "train ...": "no whole command",
    "RECIPE": "no whole command",
}


class Understood(Exception):
    """A command line was parsed."""


def commands() -> list[str]:
    """Lists the jaxgan commands of all pages, and of the recipes' docstrings."""
    shell = [
        line for text in TEXTS.values() for x in blocks(text, "bash") for line in x.splitlines()
    ]
    said = [
        x for kind in recipes().values() for x in re.findall(r"`(jaxgan .*?)`", kind.__doc__ or "")
    ]
    found = []
    for line in [*shell, *said]:
        for part in re.split(r"&&|;", re.sub(r"\s#.*|> .*", "", line)):
            if match := re.search(r"(?:^|[\s/])jaxgan (.+)", part):
                found.append(match[1].replace("$k", "3").strip())
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("line", commands())
def test_a_command_is_one(line, monkeypatch, tmp_path, own_recipes):
    if any(part in line for part in REASONS):
        pytest.skip(next(REASONS[part] for part in REASONS if part in line))
    commands = importlib.import_module("jaxgan.cli.main")  # where the name is a function's too
    parse = commands.parse

    def understand(*arguments):
        parse(*arguments)
        raise Understood

    monkeypatch.chdir(tmp_path)
    Path(OWN).write_text(blocks(PAGES["own_recipe.md"], "python")[0], "utf-8")
    monkeypatch.setattr(commands, "parse", understand)
    with pytest.raises(Understood):
        print(command(*shlex.split(line)))


def test_no_shell_takes_an_argument_for_a_pattern():
    """In zsh, the brackets of `data:test[:200]` stand for characters, unless they are quoted."""
    shell = [x for text in TEXTS.values() for x in blocks(text, "bash")]
    said = [x for kind in recipes().values() for x in re.findall("`(.*?)`", kind.__doc__ or "")]
    lines = [x for text in shell for x in text.splitlines()]
    lines += [x for x in said if x.startswith(("jaxgan ", "python "))]
    bare = [re.sub(r"""'[^']*'|"[^"]*"|(?:^|\s)#.*""", "", x) for x in lines]
    assert [x for x in bare if "[" in x] == []


def options_of(name: str) -> set[str]:
    """Lists the options in the help of a command."""
    words = {"train": ["mnist_mlp"], "population": ["mnist_mlp"], "features": ["import-clip"]}
    told = command(name, *words.get(name, []), "--help").out
    return set(re.findall(r"(?m)^[^\w-]*(?:-h, )?(--[a-z-]+)", told))


def test_the_page_of_commands_has_each_of_them_and_only_options_that_exist():
    page, named = PAGES["commands.md"], r"--[a-z][a-z-]*"
    rows = dict(re.findall(r"(?m)^\| `jaxgan (\w+)(.*)$", page))
    assert rows.keys() == COMMANDS.keys()
    known = {name: options_of(name) for name in COMMANDS}
    wrong = {name: set(re.findall(named, row)) - known[name] for name, row in rows.items()}
    assert {name: options for name, options in wrong.items() if options} == {}
    assert set(re.findall(named, page)) - set().union(*known.values()) == {"--version"}


def test_the_named_scripts_exist():
    files = {x for text in TEXTS.values() for x in re.findall(r"python (\w+/\w+\.py)", text)}
    assert files
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_the_named_tests_exist():
    files = {x for text in TEXTS.values() for x in re.findall(r"`(tests/[\w/]+(?:\.py)?)`", text)}
    assert files
    assert [name for name in files if not (ROOT / name).exists()] == []
