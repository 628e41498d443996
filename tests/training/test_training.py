import json
import signal
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from runs import EACH, TINY, VECTORS, command, contents, copy, result_of

from jaxgan.core.fingerprint import digest, hexadecimal
from jaxgan.core.updates import Update
from jaxgan.data import Stream, load
from jaxgan.recipes import recipes
from jaxgan.recipes.mnist_dcgan_bn import MnistDcganBn
from jaxgan.recipes.pattern_1010 import Pattern1010
from jaxgan.rundir.config import read_config
from jaxgan.rundir.directory import find_samples
from jaxgan.rundir.loading import load as load_run
from jaxgan.rundir.log import read_metrics
from jaxgan.training import chunks
from jaxgan.training.loop import Diverged, Interrupted, train
from jaxgan.training.observers import Observer, ProgressBar

ALL = sorted(TINY)
# In tests/recipes.
TESTED_BY_THEMSELVES = {
    *("stacked_mnist", "mnist_cgan", "openmoji_cgan", "mnist_sngan", "reacgan", "wgan_gp_resnet"),
    *("cifar10_biggan", "cifar10_projection", "cifar10_sagan", "cifar10_sngan"),
    *("mnist_r3gan", "cifar10_r3gan", "stacked_mnist_r3gan"),
    *("mnist_stylegan2", "cifar10_stylegan2", "openmoji_r3gan", "mnist_infogan", "mnist_gat"),
    *("pix2pix", "openmoji_color", "mnist_restore", "cyclegan", "autoencoder", "openmoji_gat"),
    "imagenet256_gat",
}
KEYS = {
    "gaussians_grid25": {"loss_d"},
    "gaussians_ring8": {"loss_d"},
    "pattern_1010": {"loss_d_real", "loss_d_fake"},
    "mnist_mlp": {"loss_d"},
    "mnist_conv": {"loss_d"},
    "mnist_dcgan": {"loss_d"},
    "mnist_dcgan_bn": {"loss_d"},
}


def test_every_recipe_is_tested_here():
    ours = {name for name, kind in recipes().items() if kind.__module__.startswith("jaxgan.")}
    assert ALL == sorted(KEYS) == sorted(ours - TESTED_BY_THEMSELVES)


@pytest.mark.parametrize("recipe", EACH)
def test_a_run_leaves_a_whole_directory(recipe, whole_run):
    run = whole_run(recipe)
    images = recipe not in VECTORS
    plot = {2: "points.png", 4: "pattern.png"}
    pictures = {"progress.gif", "final.png"} if images else {plot[VECTORS[recipe]]}
    others = {"config.json", "metrics.jsonl", "losses.png", "report.html", "lock"}
    assert {path.name for path in run.iterdir()} == others | pictures | {"samples", "checkpoints"}

    config = read_config(run)
    assert config.recipe == recipe
    assert config.seed == 0
    assert config.steps == config.hyperparameters["steps"] == 40
    assert config.shape == ((28, 28, 1) if images else (VECTORS[recipe],))
    kind: Any = recipes()[recipe]
    fields = vars(kind())
    assert config.hyperparameters.keys() == fields.keys()
    assert config.hyperparameters["log_every"] == 4
    assert config.hyperparameters["learning_rate"] == fields["learning_rate"]
    assert {"python", "jax", "jaxgan", "flax", "optax"} <= config.versions.keys()
    assert config.device.platform == "cpu"

    records = read_metrics(run)
    assert [record["step"] for record in records] == list(range(4, 41, 4))
    known = {"step", "loss_g", "score_real", "score_fake", "images_per_second"} | KEYS[recipe]
    assert all(record.keys() == known | {"digest"} for record in records)
    assert all(np.isfinite(record[name]) for record in records for name in known)
    found = digest(load_run(run).state)
    assert records[-1]["digest"] == hexadecimal(np.asarray(found))
    assert len({record["digest"] for record in records}) == 10

    samples = find_samples(run, "png" if images else "npy")
    assert [sample.step for sample in samples] == [0, 10, 20, 30, 40]
    assert len({sample.path.read_bytes() for sample in samples}) > 1
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"10", "20", "30", "40"}
    for path in [*run.glob("*.png"), *run.glob("*.gif"), *run.glob("samples/*.png")]:
        with Image.open(path) as picture:
            picture.verify()
    page = (run / "report.html").read_text()
    assert recipe in page and page.rstrip().endswith("</html>")


@pytest.mark.parametrize(
    "recipe",
    [pytest.param(n, marks=() if n == "mnist_mlp" else pytest.mark.slow) for n in sorted(TINY)],
)
def test_a_resumed_run_ends_as_if_it_had_never_stopped(recipe, here, whole_run):
    first = command("train", recipe, *TINY[recipe], "--steps", "18", "--out", "run")
    assert first.status == 0, first.err
    assert find_samples(here / "run", "npy" if recipe in VECTORS else "png")[-1].step == 18
    second = command("train", recipe, "--out", "run", "--resume", "--steps", "40")
    assert second.status == 0, second.err
    assert result_of(here / "run") == result_of(whole_run(recipe))
    assert read_config(here / "run").steps == 40


@pytest.mark.parametrize("recipe", EACH)
def test_the_same_command_twice_gives_the_same_bits(recipe, here, whole_run):
    assert command("train", recipe, *TINY[recipe], "--steps", "40", "--out", "run").status == 0
    assert result_of(here / "run") == result_of(whole_run(recipe))


@pytest.mark.slow
def test_another_seed_gives_another_run(here, whole_run):
    words = ["train", "mnist_mlp", *TINY["mnist_mlp"], "--steps", "40", "--seed", "1"]
    done = command(*words)
    assert (done.status, done.out) == (0, "done: runs/mnist_mlp-seed1/report.html\n")
    run, whole = result_of(here / "runs" / "mnist_mlp-seed1"), result_of(whole_run("mnist_mlp"))
    assert run["state"] != whole["state"]
    assert run["metrics"][0] != whole["metrics"][0]
    assert run["samples"]["step_000000000.png"] != whole["samples"]["step_000000000.png"]


@pytest.mark.slow
def test_streamed_data_train_the_same_network(here, whole_run, monkeypatch):
    feeds = []

    def streaming(*arguments, **options):
        feeds.append(load(*arguments, **options, resident_bytes=0))
        return feeds[-1]

    monkeypatch.setattr("jaxgan.recipes.recipe.load", streaming)
    assert command("train", "mnist_mlp", *TINY["mnist_mlp"], "--steps", "18").status == 0
    assert command("train", "mnist_mlp", "--resume", "--steps", "40").status == 0
    assert [type(feed) for feed in feeds] == [Stream, Stream]
    assert result_of(here / "runs" / "mnist_mlp-seed0") == result_of(whole_run("mnist_mlp"))


def test_epochs_are_passes_over_the_data(here):
    assert command("train", "mnist_mlp", *TINY["mnist_mlp"], "--epochs", "2").status == 0
    config = read_config(here / "runs" / "mnist_mlp-seed0")
    assert config.steps == 2 * 64 // 8
    assert config.hyperparameters["epochs"] == 2
    assert MnistDcganBn(batch_size=8, epochs=2).total_steps(64) == 8  # two batches in each step


def test_options_of_the_compiler_are_known_to_it_or_done_without(monkeypatch):
    mesh = jax.make_mesh((1,), ("devices",), devices=jax.devices()[:1])
    program = jax.jit(lambda x: x + 1).lower(1.0)
    assert program.compile(chunks.CPU_OPTIONS)(1.0) == 2
    monkeypatch.setattr(chunks, "CPU_OPTIONS", {"xla_no_such_option": True})
    assert chunks.compiled(program, mesh)(1.0) == 2
    monkeypatch.setattr(chunks, "CPU_OPTIONS", {"xla_cpu_enable_fast_math": "perhaps"})
    with pytest.raises(jax.errors.JaxRuntimeError, match="perhaps"):
        chunks.compiled(program, mesh)


@pytest.mark.slow
def test_the_length_of_chunks_does_not_change_a_bit(here, whole_run, monkeypatch):
    monkeypatch.setattr(chunks, "SECONDS", 1e-9)  # one step at a time
    assert command("train", "mnist_mlp", *TINY["mnist_mlp"], "--steps", "40").status == 0
    assert result_of(here / "runs" / "mnist_mlp-seed0") == result_of(whole_run("mnist_mlp"))


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 17])
def test_a_run_that_is_interrupted_goes_on_bit_for_bit(step, here, whole_run, monkeypatch):
    def interrupt(self, chunk):
        if chunk.step == step:
            signal.raise_signal(signal.SIGTERM)

    recipe = recipes()["mnist_mlp"]
    words = [*TINY["mnist_mlp"], "--steps", "40", "--out", "a run"]
    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "see", interrupt)
        patch.setattr(chunks, "SECONDS", 1e-9)
        stopped = command("train", recipe.name, *words)
    assert stopped.status == 143
    hint = f"jaxgan: stopped at step {step}; go on with: jaxgan train mnist_mlp --out 'a run'"
    assert stopped.err.splitlines()[-1] == f"{hint} --resume"
    assert int(load_run(here / "a run").state.step) == step
    assert command("train", "mnist_mlp", "--out", "a run", "--resume").status == 0
    assert result_of(here / "a run") == result_of(whole_run("mnist_mlp"))


def test_an_interruption_in_the_last_step_ends_the_run_as_usual(here, monkeypatch):
    def interrupt(self, chunk):
        if chunk.step == 40:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ProgressBar, "see", interrupt)
    done = command("train", "pattern_1010", *TINY["pattern_1010"], "--steps", "40")
    assert done.status == 0
    assert int(load_run(here / "runs" / "pattern_1010-seed0").state.step) == 40


def test_a_run_that_died_before_its_first_checkpoint_starts_anew(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    for path in (run / "checkpoints").iterdir():
        path.rename(here / path.name)
    assert command("train", "pattern_1010", "--out", "run", "--resume").status == 0
    assert result_of(run) == result_of(whole_run("pattern_1010"))


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    done = command("train", "mnist_mlp", "--out", "run", "--resume")
    assert (done.status, done.out) == (0, "done: run/report.html\n")
    assert result_of(run) == result_of(whole_run("mnist_mlp"))
    config = "config.json"
    assert (run / config).read_bytes() == (whole_run("mnist_mlp") / config).read_bytes()


def test_fewer_steps_than_are_done_are_refused(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    before = contents(run)
    done = command("train", "mnist_mlp", "--out", "run", "--resume", "--steps", "39")
    assert done.status == 2
    assert done.err == "jaxgan: run is at step 40 already, beyond the 39 that were asked for\n"
    assert contents(run) == before


def test_hyperparameters_reach_the_run(here):
    words = "--steps 2 --batch-size 4 --learning-rate 0.5 --width 7 --seed 4294967295".split()
    assert command("train", "pattern_1010", *words, "--out", "run").status == 0
    config = read_config(here / "run")
    found = config.hyperparameters
    assert (found["batch_size"], found["learning_rate"], found["width"]) == (4, 0.5, 7)
    assert config.seed == 2**32 - 1
    assert load_run(here / "run").state.generator.params["FanInDense_0"]["kernel"].shape == (1, 7)


def test_a_run_from_python_is_the_run_of_the_command(here, whole_run):
    recipe = Pattern1010(log_every=4, sample_every=10, checkpoint_every=10, steps=40)
    state = train(recipe, here / "run")
    assert int(state.step) == 40
    assert result_of(here / "run") == result_of(whole_run("pattern_1010"))


@dataclass(frozen=True, kw_only=True)
class Poisoned(Pattern1010):
    """Spoils a metric or a parameter at one step."""

    name: ClassVar[str] = "poisoned"

    metric: float = 0.0  # added to loss_g
    parameter: float = 0.0  # added to G's parameters
    at: int = 7
    log_every: int = 2
    checkpoint_every: int = 5
    steps: int | None = 20

    def update(self, gan):
        inner = super().update(gan)

        def apply(state, batch, key):
            now = state.step + 1 == self.at
            state, metrics = inner.apply(state, batch, key)
            spoil = partial(jax.tree.map, lambda x: x + jnp.where(now, self.parameter, 0.0))
            generator = state.generator.replace(params=spoil(state.generator.params))
            loss = metrics["loss_g"] + jnp.where(now, self.metric, 0.0)
            return state.replace(generator=generator), metrics | {"loss_g": loss}

        return Update(inner.init, apply)


@pytest.mark.parametrize(
    "value",
    [float("nan"), *(pytest.param(float(x), marks=pytest.mark.slow) for x in ("inf", "-inf"))],
)
def test_a_loss_that_is_not_finite_stops_the_run(value, here):
    object.__setattr__(recipe := Poisoned(), "metric", value)  # which no recipe would accept
    run = here / "run"
    told = f"loss_g became {value} at step 7 of .*; the last good checkpoint is step 5"
    with pytest.raises(Diverged, match=told):
        train(recipe, run)
    assert [record["step"] for record in read_metrics(run)] == [2, 4, 6]
    json.loads("[" + ",".join((run / "metrics.jsonl").read_text().splitlines()) + "]")
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["5"]
    assert [sample.step for sample in find_samples(run, "npy")] == [0]


def test_a_state_that_is_not_finite_is_never_saved(here):
    object.__setattr__(recipe := Poisoned(at=10), "parameter", float("nan"))
    with pytest.raises(Diverged, match="a parameter became NaN or infinite at step 10 .* step 5:"):
        train(recipe, here / "run")
    assert [path.name for path in (here / "run" / "checkpoints").iterdir()] == ["5"]


@pytest.mark.slow
def test_divergence_on_the_command_line_keeps_the_last_good_checkpoint(here):
    words = [*TINY["mnist_mlp"], *"--learning-rate 1e18 --checkpoint-every 1 --log-every 1".split()]
    done = command("train", "mnist_mlp", *words, "--steps", "40", "--out", "run")
    assert done.status == 1
    (line,) = done.err.splitlines()
    step = int(line.split(" at step ")[1].split()[0])
    assert line.startswith("jaxgan: ")
    assert f"the last good checkpoint is step {step - 1}" in line
    state = load_run(here / "run").state
    assert int(state.step) == step - 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert "NaN" not in (here / "run" / "metrics.jsonl").read_text()
    assert len(read_metrics(here / "run")) == step - 1
    assert command("report", "run").status == 0


@dataclass(frozen=True, kw_only=True)
class Watched(Pattern1010):
    """Writes down a number of the real example of each step."""

    name: ClassVar[str] = "watched"

    log_every: int = 1

    def update(self, gan):
        inner = super().update(gan)

        def apply(state, batch, key):
            state, metrics = inner.apply(state, batch, key)
            return state, metrics | {"real": batch["image"][0, 0]}

        return Update(inner.init, apply)


def test_every_step_and_every_seed_has_real_examples_of_its_own(here):
    train(Watched(steps=6), here / "a")
    train(Watched(steps=6), here / "b", seed=1)
    found = [record["real"] for run in "ab" for record in read_metrics(here / run)]
    assert len(set(found)) == 12


def test_observers_see_every_chunk_and_chunks_end_where_they_ask(here, whole_run):
    class Watching(Observer):
        period = 7

        def start(self, experiment, run, state):
            self.calls: list[Any] = [("start", int(state.step), run.name)]

        def see(self, chunk):
            self.calls.append(chunk.step)
            assert chunk.step == int(chunk.state.step)
            assert {"loss_g", "score_real"} <= chunk.last.keys()

        def finish(self, state, step):
            self.calls.append(("finish", step))

        def close(self):
            self.calls.append("close")

    recipe = Pattern1010(log_every=4, sample_every=10, checkpoint_every=10, steps=40)
    watching = Watching()
    train(recipe, here / "run", observers=[watching])
    first, *steps, finish, close = watching.calls
    assert (first, finish, close) == (("start", 0, "run"), ("finish", 40), "close")
    assert {7, 14, 21, 28, 35, 10, 20, 30, 40} <= set(steps) and steps == sorted(set(steps))
    assert result_of(here / "run") == result_of(whole_run("pattern_1010"))


def test_interrupted_names_signal_and_step():
    error = Interrupted(15, 7)
    assert (error.signal, error.step, str(error)) == (15, 7, "stopped by signal 15 at step 7")


def test_resume_and_overwrite_exclude_each_other(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    before = contents(run)
    done = command("train", "pattern_1010", "--out", "run", "--resume", "--overwrite")
    assert done.status == 2
    assert done.err == "jaxgan: resume and overwrite exclude each other: give one of them\n"
    assert contents(run) == before
