"""`jaxgan export`, and runs by the name of `pretrained:NAME`."""

import errno
import json
import os
import shlex
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from runs import assert_refused, command, contents, copy
from safetensors.numpy import load_file, save_file
from tiny_systems import make_recipe

import jaxgan.pretrained
from jaxgan import rundir
from jaxgan.report.card import _command
from jaxgan.rundir.config import write_config


@pytest.fixture
def exported(whole_run, here):
    run = copy(whole_run("mnist_mlp"), here / "run")
    done = command("export", "run", "--out", "kept/mlp")
    assert (done.status, done.out) == (0, "kept/mlp\n"), done.err
    return run, here / "kept" / "mlp"


def samples(run, *words) -> np.ndarray:
    done = command("sample", run, "--num", "4", "--out", "drawn.npz", *words)
    assert done.status == 0, done.err
    with np.load("drawn.npz") as arrays:
        return arrays["samples"]


def test_a_bundle_draws_what_the_run_draws(exported):
    run, bundle = exported
    assert {path.name for path in bundle.iterdir()} == {
        *("README.md", "config.json", "samples.png", "weights.safetensors")
    }
    np.testing.assert_array_equal(samples(bundle), samples(run))
    assert command("sample", bundle).out == f"{bundle / 'sample_step40_seed0.png'}\n"
    older = command("export", "run", "--step", "20", "--out", bundle, "--half")
    assert older.status == 0, older.err  # in place of the other
    assert {x.dtype for x in load_file(bundle / "weights.safetensors").values()} == {
        np.dtype(np.float16)
    }
    difference = samples(bundle).astype(int) - samples(run, "--step", "20")
    assert 0 < np.abs(difference).max() <= 2 and np.abs(samples(bundle) - samples(run)).max() > 2


def test_whole_numbers_are_not_halved(exported):
    run, bundle = exported
    config, trained = rundir.read_config(run), rundir.load(run)
    counted = trained.state.generator.replace(collections={"kept": {"count": jnp.array(70_001)}})
    state = trained.state.replace(generator=counted)
    rundir.write_bundle(bundle, config, trained.recipe, state, seed=0, half=True)
    arrays = load_file(bundle / "weights.safetensors")
    assert arrays["generator/kept/count"] == 70_001
    kinds = {x.dtype for name, x in arrays.items() if "/params/" in name}
    assert kinds == {np.dtype(np.float16)}


def test_an_export_that_fails_leaves_the_bundle_before_as_it_was(exported, monkeypatch):
    _, bundle = exported
    before = contents(bundle)

    def fail(path, arrays):
        path.write_bytes(b"cut off")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("jaxgan.rundir.bundles.save_safetensors", fail)
    failed = command("export", "run", "--step", "20", "--out", bundle)
    assert_refused(failed, "No space left on device")
    assert contents(bundle) == before


def test_a_bundle_that_is_half_replaced_is_none(exported, monkeypatch):
    _, bundle = exported

    def stop(folder, config):
        write_config(folder, config)
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxgan.rundir.bundles.write_config", stop)
    assert command("export", "run", "--step", "20", "--out", bundle).status == 130
    assert_refused(command("sample", bundle), "holds no checkpoint")


def test_the_card_says_what_trained_it(exported):
    run, bundle = exported
    card = (bundle / "README.md").read_text()
    assert "\n\n# mnist_mlp, 40 steps\n" in card and "\n![samples](samples.png)\n" in card
    assert head(card) == {
        "library_name": "jaxgan",
        "license": "cc-by-sa-3.0",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["gan", "jax", "flax"],
        "datasets": ["mnist"],
    }
    assert "has not been measured: `jaxgan evaluate FOLDER` does.\n" in card
    (line,) = (line for line in card.splitlines() if line.startswith("- Trained by `"))
    words = shlex.split(line.split("`")[1])
    assert words[:5] == ["jaxgan", "train", "mnist_mlp", "--seed", "0"]
    done = command(*words[1:], "--out", "again", "--steps", "1")
    assert done.status == 0, done.err
    before, after = (
        json.loads((place / "config.json").read_text())["hyperparameters"]
        for place in (run, bundle.parents[1] / "again")
    )
    assert {**after, "steps": 40} == before


def head(card: str) -> dict[str, Any]:
    """What a hub reads of a card."""
    before, yaml_text, _ = card.split("---\n", 2)
    assert before == ""
    return yaml.safe_load(yaml_text)


@pytest.mark.slow
def test_the_card_shows_the_newest_evaluation_of_its_very_weights(exported, here):
    run, _ = exported

    def card(*words) -> str:
        done = command("export", "run", "--out", "new", *words)
        assert done.status == 0, done.err
        return (here / "new" / "README.md").read_text()

    found = {}
    for step, seed in (("40", "0"), ("40", "1"), ("20", "0")):
        words = f"--num 32 --draws 2 --metrics fd,prdc --step {step} --seed {seed}"
        assert command("evaluate", "run", *words.split()).status == 0
        found[step] = rundir.read_evaluated(run)[-1]
    for step, evaluation in found.items():
        text = card("--step", step)
        (index,) = head(text)["model-index"]
        (result,) = index["results"]
        assert index["name"] == "mnist_mlp"
        assert result["task"] == {"type": "unconditional-image-generation"}
        assert result["dataset"] == {"name": "mnist", "type": "mnist", "split": "train[:64]"}
        numbers = [(each["metric"], each["value"]) for each in evaluation["results"]]
        assert [(each["type"], each["value"]) for each in result["metrics"]] == numbers
        first, ends = evaluation["results"][0], evaluation["results"][0]["interval"]
        half = f"{first['value']:.4g} ± {(ends['high'] - ends['low']) / 2:.2g}"
        assert f"\n| fd_digits | {half} | {first['floor']:.4g} |\n" in text
        about = f"\nProtocol: step {step}, G not averaged; 32 generated, 32 of mnist train"
        assert about in text and f", seed {int(step == '40')}, draws 2" in text
        assert text.count("samples and reference") == text.count("± is half of the 95% interval")
        assert "has not been measured" not in text
    assert "has not been measured" in card("--step", "20", "--half")  # numbers are rounded
    (run / "evaluation.json").write_text("{")
    assert_refused(command("export", "run", "--out", "other"), "evaluation.json is damaged, or of")
    assert not (here / "other").exists()


def test_flags_are_words_of_the_command():
    recipe = make_recipe("cyclegan", generator_norm=True)
    assert _command(recipe, 0) == "jaxgan train cyclegan --seed 0 --generator-norm"


def test_tuples_are_words_of_the_command():
    recipe = make_recipe("mnist_mlp", grid=(2, 3), batch_size=7)
    assert _command(recipe, 5) == "jaxgan train mnist_mlp --seed 5 --batch-size 7 --grid 2 3"


def test_what_cannot_be_exported_or_loaded_is_told(exported, here):
    run, bundle = exported
    assert_refused(command("export", "run"), "--out")
    assert_refused(command("export", "run", "--out", "run"), "is not a bundle: choose another")
    assert_refused(
        command("export", "nothing", "--out", "new"), "there is no run directory nothing"
    )
    assert not (here / "new").exists()
    assert_refused(command("sample", bundle, "--step", "20"), "no checkpoints: leave out --step")
    resume = command("train", "mnist_mlp", "--out", bundle, "--resume")
    assert_refused(resume, "holds weights alone, which cannot be resumed: choose another --out")
    told = "holds weights alone: name the run directory that they were exported from"
    for words in (("report", bundle), ("compare", "run", bundle)):
        assert_refused(command(*words), told)
    weights = load_file(bundle / "weights.safetensors")
    first, *_ = weights
    save_file({name: x for name, x in weights.items() if name != first}, here / "less")
    (here / "less").replace(bundle / "weights.safetensors")
    told = f"weights.safetensors is damaged, or of other networks: .* lacks .*{first}"
    assert_refused(command("sample", bundle), told)
    (bundle / "weights.safetensors").write_bytes(b"{}")
    assert_refused(command("sample", bundle), "cannot read .*weights.safetensors")


def test_a_program_makes_the_pictures_of_the_run(exported, here):
    done = command("export", "run", "--format", "stablehlo", "--out", "new/mlp.stablehlo")
    assert done.status == 0, done.err
    path, told = done.out.splitlines()
    assert path == "new/mlp.stablehlo"
    assert float(told.removeprefix("largest difference from JAX: ")) < 1e-5
    assert {path.name for path in (here / "new").iterdir()} == {
        *("mlp.stablehlo", "mlp.stablehlo.json")
    }
    words = ("export", "run", "--format", "stablehlo", "--out")
    assert_refused(command(*words, "run"), "run is a folder, not a file: choose another --out")
    assert_refused(command(*words, "new/half", "--half"), "--half is for weights")
    assert_refused(command(*words, "back/mlp", "--to", "a"), "mnist_mlp does not translate to a: l")
    weights = command("export", "run", "--out", "back", "--to", "a")
    assert_refused(weights, "--to is for programs; weights work both ways: leave it out")
    assert not (here / "back").exists()
    assert_refused(
        command(*words, "new/mlp.stablehlo/mlp"),
        "new/mlp.stablehlo is a file, not a folder: choose another",
    )


def test_a_run_with_weights_beside_it_stays_a_run(exported):
    run, bundle = exported
    before = samples(run)
    (run / "weights.safetensors").write_bytes(b"of something else")
    np.testing.assert_array_equal(samples(run), before)


def test_weights_that_float16_cannot_hold_are_not_halved(exported, here):
    _, bundle = exported
    path = bundle / "weights.safetensors"
    weights = load_file(path)
    first, *_ = weights
    save_file(weights | {first: weights[first] + 1e6}, path)
    told = "a weight of 1e\\+06 is too large for float16: leave out --half"
    assert_refused(command("export", bundle, "--out", "half", "--half"), told)
    assert not (here / "half").exists()
    assert command("export", bundle, "--out", "whole").status == 0


def test_pretrained_gans_are_runs_whose_samples_go_here(exported, here, monkeypatch):
    _, bundle = exported
    monkeypatch.setattr(jaxgan.pretrained, "_HERE", bundle.parent)
    assert jaxgan.pretrained.names() == ["mlp"]
    done = command("sample", "pretrained:mlp")
    assert (done.status, done.out) == (0, "sample_step40_seed0.png\n")
    assert (here / "sample_step40_seed0.png").exists()
    assert_refused(command("sample", "pretrained:mpl"), "no pretrained GAN is called 'mpl': .* mlp")
    assert_refused(command("report", "pretrained:mlp"), "no run directory pretrained:mlp")
