"""config.json: what is written, what is read, and how damage is told."""

import json
from dataclasses import replace

import msgspec
import pytest
from runs import command, contents

from jaxgan import rundir
from jaxgan.devices.mesh import make_mesh
from jaxgan.recipes import Recipe
from jaxgan.recipes.mnist_mlp import MnistMlp
from jaxgan.recipes.pattern_1010 import Pattern1010
from jaxgan.rundir import Config, Members, check_data, check_same, read_config
from jaxgan.types import DataSpec, Entry
from jaxgan.util.errors import UserError

RECIPE = MnistMlp(log_every=5, sample_every=10)
SPEC = DataSpec((28, 28, 1), 10)


def write(run, recipe: Recipe = RECIPE, spec=SPEC, members=None) -> Config:
    config = rundir.describe(recipe, 3, 40, spec, make_mesh(1), members)
    rundir.write_config(run, config)
    return config


def edit(run, change) -> None:
    """Changes config.json by hand."""
    config = json.loads((run / "config.json").read_text())
    change(config)
    (run / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("members", [None, Members(4, {"beta1": (0.0, 0.5)}, 2)])
def test_what_is_described_is_read_and_makes_the_recipe_again(members, tmp_path):
    config = write(tmp_path, members=members)
    assert read_config(tmp_path) == from_json(config)
    assert rundir.read_recipe(config) == RECIPE
    assert (config.recipe, config.source) == ("mnist_mlp", "jaxgan.recipes.mnist_mlp")
    assert (config.seed, config.steps, config.spec) == (3, 40, SPEC)
    assert config.members == members
    assert config.device.per_process == 1
    assert (tmp_path / "config.json").read_text().startswith('{\n  "recipe": "mnist_mlp",\n')


def from_json(config: Config) -> Config:
    """The same, with lists for the tuples among the hyperparameters, as JSON holds them."""
    values = json.loads(json.dumps(config.hyperparameters))
    return msgspec.structs.replace(config, hyperparameters=values)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "input data was truncated"),
        (b'{"recipe": ', "input data was truncated"),
        (b"[]", "it must be a set of names and values, not a list"),
        (b"\xff\xfe", "malformed"),
        (b'{"recipe": "\xff"}', "decode"),
        (b'{"hyperparameters": {"a": ' + b"[" * 10**5, "nested too deeply"),
        (b'{"recipe": "x", "seed": 0, "shape": [4]}', "missing required field `hyperparameters`"),
    ],
)
def test_a_damaged_file_is_named(text, told, tmp_path):
    (tmp_path / "config.json").write_bytes(text)
    path = f"{tmp_path}/config.json"
    with pytest.raises(UserError, match=f"^{path} is damaged, or not of a run: .*{told}"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("recipe", 3, "recipe must be text, not a whole number"),
        ("seed", "x", "seed must be a whole number, not text"),
        ("seed", True, "seed must be a whole number, not true or false"),
        ("seed", -1, "seed must be a whole number >= 0"),
        ("seed", 2**32, "seed must be a whole number <= 4294967295"),
        ("seed", 10**300, "seed must be a whole number <= 4294967295"),
        ("shape", [28, "x", 1], r"shape\[1\] must be a whole number, not text"),
        ("shape", [28, 0, 1], r"shape\[1\] must be a whole number >= 1"),
        ("shape", [], "shape must be a list of length >= 1"),
        ("shape", [2**31], r"shape\[0\] must be a whole number <= 2147483647"),
        ("shape", [10**9], r"an example of shape \(1000000000,\) is too large"),
        ("classes", 0, "classes must be a whole number >= 1"),
        ("entries", {"x": {"shape": [3], "dtype": "object"}}, "there is no type .* 'object'"),
        (
            "entries",
            {"x": {"shape": [2**30], "dtype": "int32"}},
            "an example of shape .* too large",
        ),
        ("steps", "many", "steps must be a whole number or none, not text"),
        ("versions", ["jax"], "versions must be a set of names and values, not a list"),
        ("versions", {"jax": 10}, r"versions\[...\] must be text, not a whole number"),
        ("device", {"count": "two"}, "device.count must be a whole number, not text"),
        ("device", {"count": 0}, "device.count must be a whole number >= 1"),
        ("device", {"deterministic": 1}, "device.deterministic must be true or false"),
        ("members", {"count": 3, "sweep": {"beta1": [0.5, "x"]}}, r"members.sweep\[...\]\[1\]"),
        ("members", {"count": 3, "sweep": {"beta1": [0.5, 0.9]}}, "3 members .* 2 settings"),
        ("members", {"count": 0}, "members must be from 1 to 10000, not 0"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(name, value, told, tmp_path):
    write(tmp_path)
    edit(tmp_path, lambda config: config.update({name: value}))
    with pytest.raises(UserError, match=f"json is damaged, or not of a run: {told}") as error:
        read_config(tmp_path)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hyperparameters": {"learning_rate": "fast"}}, "learning_rate must be a number, not 'fa"),
        ({"hyperparameters": {"learning_rate": 0}}, "learning_rate must be a number > 0.0, not 0"),
        ({"hyperparameters": {"grid": [2]}}, r"grid must be a list of length 2, not \[2\]"),
        ({"hyperparameters": {"data": "x" * 5000}}, None),
        ({"hyperparameters": {"batch_size": "9" * 5000}}, "batch_size must be a whole number"),
        ({"hyperparameters": {"warp": 9}}, "another version of mnist_mlp: .*'warp'"),
        ({"hyperparameters": {"steps": 3, "epochs": 3}}, "steps and epochs both say"),
        ({"recipe": "mnist_mpl"}, "no recipe 'mnist_mpl': did you mean mnist_mlp"),
        ({"shape": [28, 28]}, r"mnist_mlp learns images, not examples of shape \(28, 28\)"),
        ({"shape": [784]}, r"mnist_mlp learns images, not examples of shape \(784,\)"),
        ({"recipe": "mnist_conv", "shape": [5, 5, 1], "hyperparameters": {}}, "not 5 x 5"),
        ({"members": {"count": 2, "sweep": {"batch_size": [8]}}}, "cannot sweep 'batch_size'"),
        ({"members": {"count": 2, "sweep": {"beta1": [1.5]}}}, "beta1 must be a number < 1.0"),
    ],
)
def test_what_does_not_suit_the_recipe_is_named(change, told, tmp_path):
    write(tmp_path)
    edit(tmp_path, lambda config: config.update(change))
    if told is None:
        read_config(tmp_path)
        return
    with pytest.raises(UserError, match=f"config.json is damaged: .*{told}") as error:
        read_config(tmp_path)
    assert len(str(error.value)) < 400


RESUME = "train mnist_mlp --out run --resume"


@pytest.mark.parametrize("words", ["sample run", "evaluate run", "verify run", RESUME])
def test_every_command_that_makes_the_gan_names_what_is_damaged(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    write(tmp_path / "run")
    edit(tmp_path / "run", lambda config: config.update(shape=[28, 28]))
    before = contents(tmp_path)
    done = command(*words.split())
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("jaxgan: run/config.json is damaged: mnist_mlp learns images")
    assert contents(tmp_path) == before


def test_a_directory_without_config_is_not_a_run(tmp_path):
    (tmp_path / "file").touch()
    for name in ("", "file"):
        with pytest.raises(UserError, match="is not a run directory: it has no config.json"):
            read_config(tmp_path / name)
    with pytest.raises(UserError, match="there is no run directory .*/absent"):
        read_config(tmp_path / "absent")


def test_a_run_of_an_older_version_is_refused_with_a_way_out(tmp_path):
    write(tmp_path)

    def change(config):  # as 0.1.0 wrote it
        del config["source"]
        config["versions"]["jaxgan"] = "0.1.0"

    edit(tmp_path, change)
    told = f"^{tmp_path} was made by jaxgan 0.1.0, .*: install that version .* another --out$"
    with pytest.raises(UserError, match=told):
        read_config(tmp_path)


@pytest.mark.parametrize(("before", "now"), [("fid", "fd"), ("kid", "kd"), ("recall", "recall")])
def test_metrics_of_earlier_versions_are_those_of_whatever_features(before, now, tmp_path):
    recipe = MnistMlp(best_by=before)
    config = rundir.describe(recipe, 0, 1, DataSpec((28, 28, 1), 10), make_mesh(1))
    rundir.write_config(tmp_path, config)
    assert rundir.read_recipe(read_config(tmp_path)).best_by == now
    check_same(tmp_path, MnistMlp(best_by=now), 0)


def test_names_of_metrics_that_are_no_text_are_refused(tmp_path):
    write(tmp_path)
    edit(tmp_path, lambda config: config["hyperparameters"].update(best_by=[]))
    with pytest.raises(UserError, match="best_by"):
        read_config(tmp_path)


def test_what_a_newer_version_adds_is_ignored(tmp_path):
    config = write(tmp_path)
    edit(tmp_path, lambda config: config.update(new={"x": 1}))
    assert read_config(tmp_path) == from_json(config)


def test_data_that_changed_is_told(tmp_path):
    write(tmp_path, Pattern1010(), DataSpec((4,)))
    check_data(tmp_path, DataSpec((4,)))
    with pytest.raises(UserError, match=r"examples of shape \(4,\) in no classes, but its data"):
        check_data(tmp_path, DataSpec((5,)))
    with pytest.raises(UserError, match="in 3 classes"):
        check_data(tmp_path, DataSpec((4,), 3))
    loud = (Entry("loudness", (2,), "float32"),)
    with pytest.raises(UserError, match=r"now has .* with loudness float32\[2\]"):
        check_data(tmp_path, DataSpec((4,), entries=loud))


def test_data_of_another_number_of_examples_are_refused(tmp_path):
    config = rundir.describe(Pattern1010(), 3, 40, DataSpec((4,)), make_mesh(1), examples=32)
    rundir.write_config(tmp_path, config)
    check_data(tmp_path, DataSpec((4,)), 32)
    with pytest.raises(UserError, match="was trained on 32 examples, but its data now has 48"):
        check_data(tmp_path, DataSpec((4,)), 48)
    rundir.write_config(tmp_path, msgspec.structs.replace(config, examples=None))  # an older run
    check_data(tmp_path, DataSpec((4,)), 48)


@pytest.mark.parametrize("kept", [("created",), ("created", "versions")])
def test_a_run_that_goes_on_keeps_what_made_it(kept, tmp_path):
    made = write(tmp_path)
    before = msgspec.structs.replace(made, created="2025-01-01T00:00:00", versions={"jax": "0"})
    rundir.write_config(tmp_path, before)
    longer = msgspec.structs.replace(made, steps=80)
    rundir.renew_config(tmp_path, longer, kept)
    found = read_config(tmp_path)
    assert (found.created, found.steps) == (before.created, 80)
    assert found.versions == (before if "versions" in kept else longer).versions


def test_only_the_length_of_a_resumed_run_may_change(tmp_path):
    write(tmp_path)
    for length in ({}, {"steps": 7}, {"epochs": 7}):
        check_same(tmp_path, replace(RECIPE, **length), 3)


@pytest.mark.parametrize(
    ("recipe", "seed", "members", "told"),
    [
        (RECIPE, 4, None, ["seed (3 there, 4 here)"]),
        (Pattern1010(), 3, None, ["recipe ('mnist_mlp' there, 'pattern_1010' here)"]),
        (RECIPE, 3, Members(2), ["members (None there, 2 here)", "sweep (None there, {} here)"]),
        (
            MnistMlp(log_every=5, sample_every=11, generator_widths=(3,), slope=0.3),
            9,
            None,
            [
                "seed (3 there, 9 here)",
                "sample_every (10 there, 11 here)",
                "generator_widths ((128, 256, 512, 1024) there, (3,) here)",
                "slope (0.2 there, 0.3 here)",
            ],
        ),
    ],
)
def test_what_differs_in_a_resumed_run_is_named(recipe, seed, members, told, tmp_path):
    write(tmp_path)
    with pytest.raises(UserError) as caught:
        check_same(tmp_path, recipe, seed, members)
    assert str(caught.value).split("as this one: ")[1] == ", ".join(told)
