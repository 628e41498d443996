"""`jaxgan evaluate`: of a run, and of all members of a population."""

import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np
import optax
import pytest
from flax import linen as nn
from jax import numpy as jnp
from PIL import Image
from runs import TINY, assert_refused, command, contents, copy

import jaxgan
from jaxgan import latents, losses, rundir, training
from jaxgan.core.fingerprint import digest, hexadecimal
from jaxgan.data import Resident
from jaxgan.evaluation.finished import evaluate
from jaxgan.evaluation.protocols import Published, Settings
from jaxgan.features import digits
from jaxgan.metrics.result import from_dict
from jaxgan.models import mlp
from jaxgan.recipes.pattern_1010 import Pattern1010
from jaxgan.report.page import write_report
from jaxgan.rundir import loading as sampling
from jaxgan.rundir import read_evaluated
from jaxgan.rundir.log import read_evaluations


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_the_results(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    words = ["evaluate", run, "--num", "32", "--draws", "2"]
    done = command(*words)
    assert done.status == 0, done.err
    heads, *rows, protocol = done.out.splitlines()
    assert heads.split() == "metric value 95% interval of real examples".split()
    names = {row.split()[0] for row in rows}
    assert names >= {"fd_digits", "kd_digits", "is_digits", "precision", "ms_ssim"}
    assert protocol.startswith("(step 40, G not averaged; 32 generated, 32 of mnist train[:64], ")
    assert protocol.endswith(
        "; intervals cover samples and reference (is_digits, ms_ssim: samples))"
    )
    (written,) = read_evaluated(run)
    assert f"({written['protocol']})" == protocol
    assert (written["step"], written["member"], len(written["results"])) == (40, None, len(rows))
    assert written["digest"] == hexadecimal(np.asarray(digest(rundir.load(run).state)))
    assert written["versions"]["jax"] == jax.__version__
    assert written["device"]["platform"] == jax.default_backend()
    assert datetime.fromisoformat(written["date"]).tzinfo is not None
    for record in written["results"]:
        for name in ("draws", "floors"):
            assert len(record[name]) == 2
        for name, each in (("value", "draws"), ("floor", "floors")):
            assert record[name] == pytest.approx(np.mean(record[each]))
        assert record["floor_deviation"] == pytest.approx(np.std(record["floors"], ddof=1))
        of_parts = record["metric"] in ("kd_digits", "is_digits")
        assert len(record.get("deviations", ())) == 2 * of_parts
        kept = {name: record[name] for name in ("metric", "value", "protocol", "interval")}
        assert from_dict(kept).protocol.weights == digits.load().weights_hash
    again = shlex.split(written["command"])
    assert again[0] == "jaxgan" and again[-2:] == ["--step", "40"]
    assert command(*again[1:]).out == done.out
    assert [each | {"date": 0} for each in read_evaluated(run)] == [
        written | {"date": 0, "command": shlex.join(again)}
    ]
    other = command(*words, "--seed", "1")
    assert other.out != done.out
    assert [each["protocol"] for each in read_evaluated(run)] == [
        written["protocol"],
        other.out.splitlines()[-1][1:-1],
    ]
    few = command(*words, "--metrics", "fd,classes", "--step", "30")
    names = [row.split()[0] for row in few.out.splitlines()[1:-1]]
    assert names == ["fd_digits", "classes", "class_kl"]


def test_points_are_evaluated_in_a_table_and_a_file(here, whole_run):
    run = copy(whole_run("gaussians_ring8"), here / "run")
    done = command("evaluate", run, "--num", "32", "--draws", "2", "--metrics", "fd_points,modes")
    assert done.status == 0, done.err
    heads, *rows, _ = done.out.splitlines()
    assert heads.split() == "metric value 95% interval of real examples".split()
    names = [row.split()[0] for row in rows]
    assert names == ["fd_points", "modes", "high_quality", "mode_kl"]
    (written,) = read_evaluated(run)
    assert [record["metric"] for record in written["results"]] == names == written["metrics"]
    page = (run / "report.html").read_text()
    assert f"({written['protocol']})" in page and "<td>mode_kl</td>" in page


def test_a_page_that_cannot_be_written_again_costs_no_evaluation(here, whole_run, caplog):
    run = copy(whole_run("gaussians_ring8"), here / "run")
    before = (run / "report.html").read_bytes()
    (run / "metrics.jsonl").write_text("[]\n[]\n")
    done = command("evaluate", run, "--num", "32", "--draws", "1", "--metrics", "modes")
    assert done.status == 0 and "mode_kl" in done.out
    assert (run / "report.html").read_bytes() == before
    assert "the report stays as it was: " in caplog.text
    (run / "report.html").unlink()
    assert command("evaluate", run, "--num", "32", "--draws", "1", "--metrics", "modes").status == 0
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--protocol fid51k", "no protocol 'fid51k': choose from fid50k, clean-fid"),
        ("--protocol fid50k", "download https://"),
    ],
)
def test_protocols_that_cannot_be_followed_are_refused(words, told, here, whole_run, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(here))
    assert_refused(command("evaluate", whole_run("mnist_mlp"), *words.split()), told)


@pytest.mark.slow
def test_a_protocol_chooses_all_that_numbers_depend_on(here, whole_run, monkeypatch):
    run = copy(whole_run("mnist_mlp"), here / "run")
    settings = Settings(block=20, blocks=3, k_manifold=2, k_density=4)
    all_of_it = Published("ours", ("kd", "prdc"), 30, None, digits.load, settings)
    monkeypatch.setattr("jaxgan.cli.evaluate.PUBLISHED", {"own": all_of_it})
    done = command("evaluate", run, "--protocol", "own", "--draws", "2")
    assert done.status == 0, done.err
    assert "30 generated, 64 of mnist train[:64]" in done.out
    assert "block 20, blocks 3" in done.out and "manifold" not in done.out
    assert "precision and recall 2, k of density and coverage 4" in done.out
    assert "real examples are the reference itself" in done.out
    assert done.out.endswith("intervals cover samples)\n")
    (found,) = read_evaluated(run)
    floors = {each["metric"]: each["floor"] for each in found["results"]}
    assert floors["precision"] == 1
    monkeypatch.setattr("jaxgan.cli.evaluate.PUBLISHED", {"own": all_of_it._replace(reference=20)})
    again = command("evaluate", run, "--protocol", "own", "--draws", "1")
    assert "30 generated, 20 of" in again.out and "are others of the data set" in again.out
    held_out = command(
        "evaluate", run, "--protocol", "own", "--held-out", "mnist@test[:40]", "--draws", "1"
    )
    assert held_out.status == 0 and "30 generated, 20 of" in held_out.out


@pytest.mark.slow
def test_memorization_is_measured_and_shown(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    words = "--num 64 --draws 1 --metrics memorization --features pixels --held-out mnist@test[:90]"
    done = command("evaluate", run, *words.split())
    assert done.status == 0, done.err
    _, *rows, protocol, page = done.out.splitlines()
    assert [row.split()[0] for row in rows] == ["authenticity", "c_t", "distance_ratio"]
    assert protocol.endswith("train 64, held out 90 of mnist@test[:90], cells 3)")
    assert page == str(run / "nearest.html")
    assert Path(page).read_text().count("<img") == 8 * (1 + 5 + 5)
    with Image.open(run / "nearest.png") as shown:
        assert shown.mode == "L"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--metrics fd,fud", "no metric fud: choose from fd_digits"),
        ("--metrics modes", "modes cannot be measured here"),
        ("--metrics memorization", "cannot be measured here: give --held-out, or choose from fd_"),
        ("--metrics fid", "fid is of Inception's features; of these it is fd_digits"),
        ("--held-out minst", "'minst' is not a data set"),
        ("--features digit", "--features must be digits or"),
        ("--features inception", "download https://"),
        ("--num 1", "num must be from 2"),
        ("--protocol fid50k", "--protocol says what --num would: leave one of them out"),
        ("--draws 0", "draws must be from 1"),
        ("--step 7", "no checkpoint of step 7"),
        ("--best", "no best checkpoint"),
        ("--member 0", "is of one GAN"),
    ],
)
def test_what_cannot_be_measured_is_said(words, told, here, whole_run, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(here))
    run = whole_run("mnist_mlp")
    before = contents(run)
    done = command("evaluate", run, "--num", "8", "--draws", "1", *words.split())
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert told in line
    assert contents(run) == before


def test_importing_what_is_not_there_is_said(here):
    assert command("features").status == 2
    done = command("features", "import-inception", "absent.pth")
    assert done.status == 2
    assert "absent.pth" in done.err


@pytest.fixture(scope="module")
def population(tmp_path_factory, mnist_dir) -> Path:
    """A population of which the members 2 and 3 diverged."""
    run = tmp_path_factory.mktemp("evaluating") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxgan.training.observers.write_report", write_report)
        words = [*TINY["mnist_mlp"], "--members", "4", "--sweep", "lr=0.001,1e38", "--steps", "8"]
        done = command("population", "mnist_mlp", *words, "--out", run, "--data-dir", mnist_dir)
    assert done.status == 0, done.err
    return run


@pytest.mark.slow
def test_all_members_of_a_population_are_evaluated_and_summarized(population, here):
    run = copy(population, here / "run")
    words = ["evaluate", run, "--num", "32"]
    done = command(*words)
    assert done.status == 0, done.err
    heads, *rows, protocol = done.out.splitlines()
    assert heads.split()[:5] == ["setting", "metric", "members", "mean", "deviation"]
    assert heads.endswith("of real examples")
    assert rows[-1].split() == "learning_rate=1e+38 all diverged 0 of 2".split()
    assert ", draws 1; kd_digits: block 32, blocks 1; " in protocol
    assert "; intervals cover the training seed, and samples and reference (" in protocol
    (told,) = read_evaluated(run)
    page = (run / "report.html").read_text()
    assert f"({told['protocol']})" in page and "<td>learning_rate=1e+38</td>" in page
    assert len(told["digest"]) == 4
    assert (told["step"], told["member"]) == (8, None)
    assert told["members"][2:] == [None, None]
    sound, diverged = told["groups"]
    assert (sound["diverged"], diverged["diverged"], diverged["metrics"]) == (0, 2, {})
    for member in (0, 1):
        assert command(*words, "--member", str(member), "--draws", "1").status == 0
        alone = read_evaluated(run)[-1]
        assert (alone["member"], alone["digest"]) == (member, told["digest"][member])
        # Each member has a choice of real examples of its own, and the first one the first.
        assert (alone["results"] == told["members"][member]) == (member == 0)
    assert len(read_evaluated(run)) == 3
    pairs = zip(*told["members"][:2], rows, strict=False)
    for first, second, row in pairs:
        mean = np.mean([first["value"], second["value"]])
        assert sound["metrics"][first["metric"]]["mean"] == pytest.approx(mean)
        assert row.split()[1:6] == [first["metric"], "2", "of", "2", f"{mean:.4g}"]
        assert row.split()[-1] == f"{np.mean([first['floor'], second['floor']]):.4g}"


@pytest.mark.slow
def test_draws_share_no_samples_whatever_the_seeds(whole_run, here, monkeypatch):
    run = copy(whole_run("gaussians_ring8"), here / "run")
    draws, original = [], sampling.draw

    def draw(*words, **options):
        draws.append(original(*words, **options))
        return draws[-1]

    monkeypatch.setattr(sampling, "draw", draw)
    for seed in ("0", "1", "2"):
        words = ["--num", "20", "--metrics", "fd", "--draws", "2", "--seed", seed]
        assert command("evaluate", run, *words).status == 0
    points = {tuple(point) for draw in draws for point in draw.tolist()}
    assert len(points) == 3 * 2 * 20


@pytest.mark.slow
def test_samples_of_a_gan_that_diverged_are_refused(population):
    for name in ("evaluate", "sample"):
        done = command(name, population, "--num", "32", "--member", "3")
        assert (done.status, done.out) == (2, "")
        assert "this GAN diverged: its samples are not finite" in done.err


class Classes(nn.Module):
    """A perfect G: a class is a cloud of points, 10 to the right of the one before."""

    @nn.compact
    def __call__(self, points, labels, train):
        never_trained = self.param("zero", nn.initializers.zeros, (1, 2))
        return points + never_trained + 10.0 * jnp.stack([labels, 0 * labels], axis=1)


@dataclass(frozen=True, kw_only=True)
class Skewed(Pattern1010):
    """Nine of ten examples are of one class."""

    name: ClassVar[str] = "skewed_classes"
    default_length: ClassVar = {"steps": 1}

    def feed(self, seed, data_dir=None):
        labels = (np.arange(2000) % 10 == 0).astype(np.int32)
        points = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
        points[:, 0] += 10 * labels
        return Resident(points, labels, batch_size=self.batch_size, seed=seed, classes=2)

    def gan(self, spec):
        draw = latents.normal(2)
        return jaxgan.GAN(
            generator=jaxgan.linen(Classes()),
            discriminator=jaxgan.linen(mlp.Discriminator((4,))),
            generator_optimizer=optax.sgd(0.0),
            discriminator_optimizer=optax.sgd(0.0),
            loss=losses.non_saturating,
            inputs=lambda key, n, batch: (draw(key, n), batch["label"]),
        )

    def update(self, gan):
        return jaxgan.update_both(gan)


def test_a_perfect_sampler_of_unequal_classes_is_at_the_floor(tmp_path):
    run = tmp_path / "run"
    training.train(Skewed(eval_every=1, eval_num=1000), run)
    (line,) = read_evaluations(run)
    found = evaluate(run, num=1000, names=["fd"])
    (result,) = found.record["results"]
    # With as many of each class, the means are 4 apart, and the squared distance is 16 at least.
    assert line["metrics"]["fd_points"] < 1 and result["value"] < 1
    assert "labels asked for are those of real examples" in found.text
