"""Values of a wrong type: in a recipe that Python makes, and in a config.json edited by hand."""

import dataclasses
import json
from types import NoneType

import pytest
from runs import command, contents, copy

from jaxgan.recipes import find_recipe, recipes
from jaxgan.util.checking import in_words, is_a
from jaxgan.util.errors import UserError

KINDS = {  # every type of a hyper-parameter: what is of it, and what is not
    int: ([1, -3, 10**400], [True, 2.0, "2", None, (2,)]),
    float: ([1, 0.5, float("nan"), float("inf")], [True, "fast", None, (0.5,), 10**400]),
    str: (["", "x"], [b"x", 3, None]),
    bool: ([True, False], [0, 1, "true", None]),
    int | None: ([3, None], [True, 3.0, "none"]),
    tuple[int, ...]: ([(), (1,), (1, 2, 3)], [[1], 1, None, (1, "x"), (1, 2.0), (True,)]),
    tuple[int, int]: ([(1, 2)], [(), (1,), (1, 2, 3), (1, "x"), [1, 2], None]),
}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_of_a_type(kind):
    those, others = KINDS[kind]
    assert [value for value in those if not is_a(kind, value)] == []
    assert [value for value in others if is_a(kind, value)] == []


def test_types_have_words():
    words = {kind: in_words(kind) for kind in (*KINDS, NoneType)}
    assert words == {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        int | None: "a whole number or none",
        tuple[int, ...]: "a tuple of whole numbers",
        tuple[int, int]: "a tuple of 2 whole numbers",
        NoneType: "none",
    }


WRONG = [
    ("learning_rate", "fast", "a number, not 'fast'"),
    ("learning_rate", True, "a number, not True"),
    ("learning_rate", None, "a number, not None"),
    ("batch_size", 2.5, "a whole number, not 2.5"),
    ("batch_size", None, "a whole number, not None"),
    ("steps", "x", "a whole number or none, not 'x'"),
    ("data", 3, "text, not 3"),
    ("grid", [2, "x"], r"a tuple of 2 whole numbers, not \(2, 'x'\)"),
    ("grid", [2], r"a tuple of 2 whole numbers, not \(2,\)"),
    ("grid", 2, "a tuple of 2 whole numbers, not 2"),
    ("generator_widths", [8, None], r"a tuple of whole numbers, not \(8, None\)"),
    ("generator_widths", {"a": 1}, "a tuple of whole numbers, not {'a': 1}"),
]


@pytest.mark.parametrize(("name", "value", "told"), WRONG)
def test_a_hyper_parameter_of_a_wrong_type_is_an_error_that_names_it(name, value, told):
    value = tuple(value) if isinstance(value, list) else value
    with pytest.raises(UserError, match=f"^{name} must be {told}$"):
        find_recipe("mnist_mlp").check_values({name: value})  # as the constructor does


@pytest.mark.parametrize("recipe", recipes())
def test_no_hyper_parameter_may_be_of_any_type(recipe):
    kind = find_recipe(recipe)
    for name in [field.name for field in dataclasses.fields(kind)]:
        with pytest.raises(UserError, match=f"^{name} must be "):
            kind.check_values({name: {"a": 1}})


COMMANDS = ["train mnist_mlp --out run --resume", "sample run", "report run", "verify run"]


def assert_each_command_says(told: str, change, whole_run, here) -> None:
    run = copy(whole_run("mnist_mlp"), here / "run")
    config = json.loads((run / "config.json").read_text())
    change(config)
    (run / "config.json").write_text(json.dumps(config))
    before = contents(here)
    for words in COMMANDS:
        done = command(*words.split())
        assert (done.status, done.out, done.err) == (2, "", f"jaxgan: {told}\n")
    assert contents(here) == before


@pytest.mark.parametrize(("name", "value", "told"), WRONG)
def test_an_edited_hyper_parameter_is_named_by_every_command(name, value, told, whole_run, here):
    told = f"run/config.json is damaged: {name} must be {told}".replace("\\", "")
    change = lambda config: config["hyperparameters"].update({name: value})  # noqa: E731
    assert_each_command_says(told, change, whole_run, here)


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("seed", "x", ""),
        ("seed", True, ""),
        ("seed", -1, ""),
        ("seed", 2**32, ""),
        ("shape", [28, "x", 1], ""),
        ("shape", [28, 0, 1], ""),
        ("shape", [], ""),
        ("steps", "many", ""),
        ("versions", ["jax"], ""),
        ("versions", {"jax": 10}, ""),
        ("device", "cpu", ""),
        ("device", {"count": "two"}, ".count"),
        ("device", {"count": 0}, ".count"),
        ("device", {"deterministic": 1}, ".deterministic"),
        ("device", {"xla_flags": 1}, ".xla_flags"),
        ("description", 3, ""),
        ("created", 3, ""),
    ],
)
def test_what_else_is_edited_is_named_by_every_command(name, value, part, whole_run, here):
    told = f"run/config.json is damaged, or not of a run: it has no sound {name}{part}"
    assert_each_command_says(told, lambda config: config.update({name: value}), whole_run, here)
