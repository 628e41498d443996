"""`jaxgan population`, from the command line to the page."""

import json
import re
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from runs import TINY, assert_refused, command, contents, copy

from jaxgan.core.gan import init
from jaxgan.keys import from_seed, stream
from jaxgan.recipes.mnist_mlp import MnistMlp
from jaxgan.recipes.pattern_1010 import Pattern1010
from jaxgan.report.page import write_report
from jaxgan.rundir.log import read_metrics
from jaxgan.rundir.sweep import Members
from jaxgan.training.experiment import set_up
from jaxgan.types import DataSpec

MEMBERS = 4
MLP = [*TINY["mnist_mlp"], "--members", str(MEMBERS), "--sweep", "lr=1e-3,2e-3"]


@pytest.fixture(autouse=True)
def with_a_page(here, monkeypatch):
    monkeypatch.setattr("jaxgan.training.observers.write_report", write_report)


@pytest.fixture(scope="module")
def population(tmp_path_factory, mnist_dir):
    """The directory of a population; only to be read."""
    run = tmp_path_factory.mktemp("population") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxgan.training.observers.write_report", write_report)
        words = [*MLP, "--steps", "40", "--out", run, "--data-dir", mnist_dir]
        done = command("population", "mnist_mlp", *words)
    assert done.status == 0, done.err
    return run, done.out


def numbers(run, members: int | None = MEMBERS) -> list[dict]:
    lines = read_metrics(Path(run), members)
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def test_it_has_no_best(population):
    run, _ = population
    done = command("sample", run, "--member", "0", "--best")
    assert_refused(done, "is of 4 GANs, none of which is kept as the best: leave out --best")


def test_it_leaves_a_whole_directory(population):
    run, said = population
    names = {path.name for path in run.iterdir()}
    assert {"config.json", "metrics.jsonl", "samples", "checkpoints", "report.html"} <= names
    assert {"summary.json", "summary.txt", "final.png", "losses.png", "progress.gif"} <= names
    assert said.startswith((run / "summary.txt").read_text())
    told = json.loads((run / "summary.json").read_text())
    assert [group["setting"] for group in told["groups"]] == [
        {"learning_rate": 0.001},
        {"learning_rate": 0.002},
    ]
    page = (run / "report.html").read_text()
    assert "Results of the members" in page
    assert page.count("learning_rate=0.001") > 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "member", [3, *[pytest.param(k, marks=pytest.mark.slow) for k in (0, 1, 2)]]
)
def test_a_member_is_the_solo_run_of_its_seed_and_setting(member, population):
    run, _ = population
    rate = ["--learning-rate", "0.001" if member < 2 else "0.002"]
    words = [*TINY["mnist_mlp"], *rate, "--seed", str(member % 2), "--steps", "40", "--out", "solo"]
    assert command("train", "mnist_mlp", *words).status == 0
    for own, line in zip(numbers("solo", None), numbers(run), strict=True):
        for name in ("loss_d", "loss_g", "score_real", "score_fake"):
            assert line[name][member] == pytest.approx(own[name], rel=1e-3), (own["step"], name)
    assert line["digest"][member] != line["digest"][(member + 1) % MEMBERS]


@pytest.mark.slow
def test_members_of_pattern_1010_are_their_solo_runs_but_for_rounding():
    # The loop of one and that of many add products in the same order but do not round alike.
    words = [*TINY["pattern_1010"], "--steps", "1000"]
    done = command("population", "pattern_1010", *words, "--members", "3", "--out", "all")
    assert done.status == 0
    close = partial(np.testing.assert_allclose, rtol=0, atol=1e-6)
    together = numbers("all", 3)
    last = sorted(Path("all/samples").glob("*.npy"))[-1]
    for seed in range(3):
        done = command("train", "pattern_1010", *words, "--seed", str(seed), "--out", str(seed))
        assert done.status == 0
        alone = numbers(f"{seed}", None)
        for name in ("loss_d_real", "loss_d_fake", "loss_g"):
            close([line[name][seed] for line in together], [line[name] for line in alone])
        close(np.load(last)[seed], np.load(f"{seed}/samples/{last.name}"))


@pytest.mark.slow
@pytest.mark.parametrize("stop", [18, pytest.param(20, marks=pytest.mark.slow)])
def test_a_resumed_population_goes_on_bit_for_bit(stop, population):
    run, _ = population
    words = ["population", "mnist_mlp", "--out", "run"]
    assert command(*words, *MLP, "--steps", f"{stop}").status == 0
    assert command(*words, "--resume", "--steps", "40").status == 0
    assert numbers("run") == numbers(run)
    for name in ("final.png", "samples/step_000000040.png", "summary.json"):
        assert (Path("run") / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_members_spread_over_devices_go_as_on_one(devices, population):
    run, _ = population
    words = [*MLP, "--at-once", "1", "--steps", "8", "--devices", f"{devices}", "--out", "run"]
    assert command("population", "mnist_mlp", *words).status == 0
    for found, line in zip(numbers("run"), numbers(run), strict=False):
        np.testing.assert_allclose(found["loss_d"], line["loss_d"], rtol=1e-4)
        np.testing.assert_allclose(found["loss_g"], line["loss_g"], rtol=1e-4)
    config = json.loads((Path("run") / "config.json").read_text())
    assert config["device"]["count"] == devices


@pytest.mark.slow
def test_a_population_is_verified_and_the_first_member_that_differs_is_named(population, here):
    run = copy(population[0], here / "run")
    before = contents(run)
    assert command("verify", run).out == "reproduced: 10 of 10 points\n"
    assert contents(run) == before
    lines = read_metrics(run, MEMBERS)
    lines[2]["digest"][1] = "0" * 16
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = command("verify", run)
    assert done.status == 1
    assert "step 12 differs, after 2 equal points: member 1: 0000000000000000 there" in done.out


def test_members_are_sampled_one_by_one(population):
    run, _ = population
    for member in map(str, range(MEMBERS)):
        done = command("sample", run, "--member", member, "--out", f"{member}.npz")
        assert done.status == 0, done.err
    images = [np.load(f"{member}.npz")["samples"] for member in range(MEMBERS)]
    assert images[0].shape == (64, 28, 28, 1)
    assert not any(np.array_equal(images[0], other) for other in images[1:])


@pytest.mark.slow
def test_a_member_that_diverges_does_not_stop_the_others():
    words = [*TINY["mnist_mlp"], "--sweep", "learning_rate=0.001,1e38", "--members", "4"]
    done = command("population", "mnist_mlp", *words, "--steps", "8", "--out", "run")
    assert done.status == 0, done.err
    groups = json.loads(Path("run/summary.json").read_text())["groups"]
    assert [group["diverged"] for group in groups] == [0, 2]
    last = [x for name, x in numbers("run", 4)[-1].items() if name not in ("step", "digest")]
    assert all(None not in x[:2] for x in last)
    assert any(x[2:] == [None, None] for x in last)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("population", "needs the name of a recipe"),
        ("population mnist_mpl", "mnist_mlp"),
        ("population mnist_mlp --members 0", "members must be from 1"),
        ("population mnist_mlp --members 3 --sweep lr=1,2", "choose --members 4"),
        ("population mnist_mlp --sweep latent_size=1,2", "cannot sweep 'latent_size'"),
        ("population mnist_mlp --sweep lr=0.1,-1", "learning_rate must be a number > 0"),
        ("population mnist_mlp --members 3 --devices 2", "3 members cannot be spread over 2"),
        (
            "population mnist_dcgan_bn --data mnist@train[:8] --batch-size 4 --sweep norm_time=1,2",
            "program itself depends on it",
        ),
        ("population mnist_mlp --distributed", "distributed"),
        ("sample RUN", "is of 4 GANs: choose --member 0 to 3"),
        ("sample RUN --member 4", "choose --member 0 to 3"),
        ("train mnist_mlp --out RUN --resume", "members"),
        ("population mnist_mlp --out RUN --resume --members 8", r"members \(4 there, 8 here\)"),
        ("population mnist_mlp --out RUN --resume --sweep lr=1,2", "sweep"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(words, told, population, here):
    run = population[0]
    before = contents(run)
    done = command(*[str(run) if word == "RUN" else word for word in words.split()])
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("jaxgan: ")
    assert re.search(told, line), line
    assert contents(run) == before
    assert not any(here.iterdir())


def test_a_solo_run_has_no_members(whole_run):
    done = command("sample", whole_run("mnist_mlp"), "--member", "0")
    assert done.status == 2
    assert "is of one GAN" in done.err


@pytest.mark.slow
def test_an_experiment_draws_the_first_states_of_its_members(mnist_dir):
    recipe = MnistMlp(batch_size=4, latent_size=2, generator_widths=(4,), data="mnist@train[:9]")
    members = Members(2, {"beta1": (0.5, 0.9)})
    experiment = set_up(recipe, 5, members=members, data_dir=mnist_dir)
    states = experiment.draw_first()
    gan = recipe.gan(DataSpec((28, 28, 1), 10))
    example = {"image": np.zeros((1, 28, 28, 1))}
    alone = init(gan, stream(from_seed(5), "init"), example)
    for index in range(2):
        jax.tree.map(lambda x, y, k=index: np.testing.assert_array_equal(x[k], y), states, alone)


@pytest.mark.parametrize(
    "sweep", [{"batch_size": [1.0]}, {"foo": [1.0]}, {"lr": [1]}, {"beta1": []}]
)
def test_a_config_that_sweeps_what_cannot_be_is_damaged(sweep, population, here):
    run = copy(population[0], here / "run")
    config = json.loads((run / "config.json").read_text())
    config["members"]["sweep"] = sweep
    (run / "config.json").write_text(json.dumps(config))
    for words in (["sample", "run", "--member", "0"], ["evaluate", "run"], ["verify", "run"]):
        done = command(*words)
        assert (done.status, done.out) == (2, "")
        (line,) = done.err.splitlines()
        assert "is damaged" in line


def test_the_rows_of_many_members_are_bounded_but_not_few():
    few, many = (set_up(Pattern1010(), members=Members(count)).longest for count in (2, 1024))
    assert few == many == 1024
