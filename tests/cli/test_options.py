"""Help, as one reads it."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest
from runs import command

from jaxgan.cli import options
from jaxgan.cli.main import COMMANDS
from jaxgan.recipes import recipes

ALL = [name for name, kind in recipes().items() if kind.__module__.startswith("jaxgan.")]


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")


def helped(*words: str) -> str:
    done = command(*words)
    assert (done.status, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) < 110
    return done.out


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_help_names_every_command(words):
    text = helped(*words)
    assert all(f"  jaxgan {name}" in text for name in COMMANDS)


@pytest.mark.parametrize("command", ["train", "population"])
def test_help_of_train_names_every_recipe(command):
    text = helped(command, "--help")
    assert text.startswith(f"usage: jaxgan {command} RECIPE")
    listed = [line.split()[0] for line in text.splitlines()[2:-2]]
    assert [name for name in listed if name in ALL] == ALL


@pytest.mark.parametrize("recipe", ALL)
def test_help_of_a_recipe_lists_every_option(recipe, terminal):
    text = helped("train", recipe, "--help")
    names = [field.name for field in dataclasses.fields(recipes()[recipe])]
    for name in [*names, "seed", "out", "resume", "overwrite", "preset", "data_dir", "import"]:
        assert f"--{name.replace('_', '-')} " in text, name
    assert max(map(len, text.splitlines())) <= 80


def test_help_of_a_recipe_is_in_groups_with_short_types_and_defaults(terminal):
    text = helped("train", "mnist_mlp", "--help")
    groups = re.findall(r"^ (\w+) options", text, re.MULTILINE)
    assert groups == ["recipe", "run", "device", "process"]
    text = " ".join(text.split())
    for words in (
        "--learning-rate FLOAT of Adam, both networks (default: 0.0002)",
        "--generator-widths INT ... hidden units of G (default: 128 256 512 1024)",
        "--grid INT INT rows and columns of a picture of samples (default: 5 5)",
        "--dtype {float32,bfloat16} that the networks compute in (default: float32)",
        "--data TEXT mnist, ",
        "--out PATH run directory (default: runs/RECIPE-seedN; of a population, "
        "runs/RECIPE-population-seedN)",
        "--resume go on with the run in --out from its newest checkpoint --overwrite",
        "--devices INT of this process (default: 1; all with --distributed)",
    ):
        assert words in text, words
    assert "None" not in text


def test_help_of_a_recipe_keeps_the_paragraphs_of_its_docstring(terminal):
    text = helped("train", "mnist_mlp", "--help")
    above, _, _ = text.partition("\n options")
    paragraphs = [part.split()[0] for part in above.split("\n\n") if part.strip()]
    assert paragraphs == ["usage:", "A", "Source:", "Command:", "Expect:", "Length:"]


@pytest.mark.parametrize(
    "name",
    [
        *("sample", "interpolate", "directions"),
        *("evaluate", "report", "verify", "recipes", "info"),
    ],
)
def test_help_of_the_other_commands(name, terminal):
    text = helped(name, "--help")
    assert text.startswith(f"usage: jaxgan {name} ")
    assert "None" not in text
    assert (" RUN" in text.splitlines()[0]) == (name not in ("recipes", "info"))


def described(path: Path) -> list[str]:
    """Lists the fields of dataclasses that say what they are, on their own line."""
    lines, found = path.read_text("utf-8").splitlines(), []
    for kind in ast.parse("\n".join(lines)).body:
        if not (isinstance(kind, ast.ClassDef) and kind.decorator_list):
            continue
        for field in kind.body:
            if isinstance(field, ast.AnnAssign) and "ClassVar" not in ast.unparse(field.annotation):
                name = f"{path.name}, {kind.name}.{ast.unparse(field.target)}"
                is_group = "OmitArgPrefixes" in ast.unparse(field.annotation)
                is_described = "  # " in lines[field.lineno - 1]
                assert is_group or (is_described and field.lineno == field.end_lineno), name
                found.append(name)
    return found


def test_every_option_says_on_its_line_what_it_is():
    # Tyro takes no comment from the lines of a field that has several.
    package = Path(options.__file__).parents[1]
    recipe_files = sorted((package / "recipes").glob("*.py"))
    found = [name for path in (Path(options.__file__), *recipe_files) for name in described(path)]
    assert {"options.py, Evaluate.protocol", "recipe.py, Recipe.steps"} <= set(found)


@pytest.mark.parametrize("network", ["{clip,dinov2,dinov2-base,inception}", "dinov2-base"])
def test_help_of_features_names_the_networks(network):
    words = [] if network.startswith("{") else [f"import-{network}"]
    text = helped("features", *words, "--help")
    assert text.startswith(f"usage: jaxgan features import-{network} ") and " FILE" in text


def test_the_version_is_printed():
    assert re.fullmatch(r"jaxgan \d+\.\d+\.\S+\n", helped("--version"))


def test_recipes_are_listed_with_a_line_each():
    lines = command("recipes").out.splitlines()
    lines = [line for line in lines if line.split()[0] in ALL]
    assert [line.split()[0] for line in lines] == ALL
    assert all(len(line) < 110 and line.endswith(".") for line in lines)


def test_info_names_versions_and_devices():
    text = command("info").out
    for words in (r"python +3", r"jax +\d", r"flax +\d", r"cores +\d", r"device +cpu 0"):
        assert re.search(words, text), words
