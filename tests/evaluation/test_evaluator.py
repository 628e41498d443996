"""From samples to metrics, and evaluations as a run trains."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from runs import TINY, command, result_of

from jaxgan.data import Resident, name_and_split
from jaxgan.evaluation import registry
from jaxgan.evaluation.evaluator import (
    Evaluator,
    fitting_extractor,
    pixels,
)
from jaxgan.evaluation.examples import chooser, real_examples
from jaxgan.evaluation.registry import Samples, is_higher_better, named, renamed
from jaxgan.features import digits
from jaxgan.recipes.gaussians_ring8 import GaussiansRing8
from jaxgan.recipes.mnist_mlp import MnistMlp
from jaxgan.recipes.pattern_1010 import Pattern1010
from jaxgan.rundir.log import read_evaluations
from jaxgan.util.errors import UserError

SOME = MnistMlp(data="mnist@train[:400]", batch_size=8)
SMALL = replace(SOME, image_size=8)  # of few numbers, so that pixels are quick features
RECIPE = "gaussians_ring8"
EVALUATED = [*TINY[RECIPE], *"--eval-every 10 --eval-num 20 --best-by coverage".split()]


def test_real_examples_are_all_different_and_of_the_seed(mnist_dir):
    images = real_examples(SOME, 60, 3, mnist_dir)
    assert (images.shape, images.dtype) == ((60, 28, 28, 1), np.uint8)
    assert len({image.tobytes() for image in images}) == 60
    np.testing.assert_array_equal(images[:9], real_examples(SOME, 9, 3, mnist_dir))
    assert not np.array_equal(images, real_examples(SOME, 60, 4, mnist_dir))
    everything = real_examples(replace(SOME, batch_size=128), 1000, 3, mnist_dir)
    assert len({image.tobytes() for image in everything}) == 400  # there are no more
    np.testing.assert_array_equal(images, everything[:60])
    points = real_examples(GaussiansRing8(), 250)
    assert (points.shape, points.dtype) == ((250, 2), np.float32)


@pytest.mark.slow
def test_a_generator_that_draws_real_examples_is_at_the_floor(mnist_dir):
    evaluate = Evaluator(SOME, num=100, data_dir=mnist_dir)
    others = real_examples(SOME, 300, 0, mnist_dir)[200:]
    noise = np.random.default_rng(0).integers(0, 256, others.shape, np.uint8)
    good, bad = (
        {result.metric: (result.value, floor) for result, floor, *_ in evaluate([samples])}
        for samples in (others, noise)
    )
    for name in ("fd_digits", "kd_digits", "class_kl"):
        assert good[name][0] < 2 * abs(good[name][1]) + 0.3 < bad[name][0]
    for name in ("precision", "density"):  # noise all looks alike, and may do so among digits
        assert good[name][0] > 0.8 * good[name][1]
    for name in ("is_digits", "recall", "coverage", "classes"):
        assert good[name][0] > 0.8 * good[name][1] > bad[name][0], name


def test_modes_of_points_are_found_where_they_are_known():
    recipe = GaussiansRing8()
    evaluate = Evaluator(recipe, num=400, names=["modes", "fd_points", "swd"])
    points = real_examples(recipe, 400, 1)
    found = {result.metric: result.value for result, *_ in evaluate([points])}
    assert found["modes"] == 8
    assert found["high_quality"] > 0.95
    half = np.resize(points[points[:, 0] > 0.1], points.shape)
    less = {result.metric: result.value for result, *_ in evaluate([half])}
    assert less["modes"] == 3
    assert less["mode_kl"] > 0.9 > 0.1 > found["mode_kl"]
    assert less["fd_points"] > 100 * found["fd_points"] and less["swd"] > found["swd"]


@pytest.mark.parametrize("extractor", [pixels(), digits.load()])
def test_vectors_take_no_other_features(extractor):
    with pytest.raises(UserError, match="no images: they are their own features"):
        Evaluator(GaussiansRing8(), num=20, names=["fd"], extractor=extractor)


@dataclass(frozen=True, kw_only=True)
class Series(GaussiansRing8):
    """Series of two channels, or the same numbers in rows."""

    name: ClassVar[str] = "series_to_evaluate"
    shape: tuple[int, ...] = (5, 2)

    def feed(self, seed: int, data_dir: str | None = None):
        numbers = np.random.default_rng(0).normal(size=(300, *self.shape)).astype(np.float32)
        return Resident(numbers, batch_size=self.batch_size, seed=seed)

    def coverage(self, samples: np.ndarray) -> None:
        """They have no modes that are known."""


def test_series_are_evaluated_like_the_same_numbers_in_rows():
    def evaluate(shape):
        samples = np.random.default_rng(1).normal(size=(100, *shape)).astype(np.float32)
        names = ["fd", "kd", "prdc", "swd"]
        return Evaluator(Series(shape=shape), num=100, names=names)([samples])

    found, expected = (
        {x.result.metric: (x.result.value, x.floor) for x in evaluate(shape)}
        for shape in ((5, 2), (10,))
    )
    assert found == expected
    assert {"fd_points", "precision", "swd"} <= set(found)


def test_several_draws_give_an_interval_of_their_mean():
    recipe = GaussiansRing8()
    evaluate = Evaluator(recipe, num=50, names=["fd"])
    draws = [real_examples(recipe, 50, seed) for seed in (1, 2, 3)]
    singles = [evaluate([draw])[0].result for draw in draws]
    assert all(result.interval is None for result in singles)
    result = evaluate(draws)[0].result
    assert result.interval is not None
    assert result.value == pytest.approx(np.mean([single.value for single in singles]))
    assert result.interval.low < result.value < result.interval.high
    assert (result.protocol.generated, result.protocol.settings["draws"]) == (50, 3)


def test_features_suit_the_data(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert fitting_extractor(SOME, (28, 28, 1)).weights_hash == digits.load().weights_hash
    assert fitting_extractor(Pattern1010(), (4,)).name == "the vectors themselves"
    for recipe, shape in ((SOME, (32, 32, 1)), (replace(SOME, data="folder:a"), (28, 28, 1))):
        with pytest.raises(UserError, match="Inception has no weights yet"):
            fitting_extractor(recipe, shape)


def test_a_reference_that_is_read_in_parts_gives_the_same_numbers(mnist_dir, tmp_path, monkeypatch):
    samples = real_examples(SOME, 40, 9, mnist_dir)
    held = chooser(SOME, 0, mnist_dir)(400, 0).read()

    def evaluate():
        made = Evaluator(
            SOME, num=40, choices=2, reference=1000, names=["fd", "kd", "is_digits", "prdc"],
            data_dir=mnist_dir,
        )  # fmt: skip
        return made([samples] * 2), made._first.reference

    whole, reference = evaluate()
    assert reference.examples.shape == (400, 28, 28, 1) and "array" not in vars(reference)
    as_array = Samples(held["image"], digits.load(), held["label"], remember=True)
    assert as_array.key == reference.key
    np.testing.assert_array_equal(as_array.features, reference.features)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("jaxgan.evaluation.examples.PART", 128)
    extract, most = registry.extract, []
    monkeypatch.setattr(registry, "extract", lambda own, x: most.append(len(x)) or extract(own, x))
    assert evaluate()[0] == whole
    assert max(most) == 128 and sum(most) >= 400


def test_some_examples_are_read_like_all_of_them(mnist_dir, monkeypatch):
    monkeypatch.setattr("jaxgan.evaluation.examples.PART", 30)
    some = chooser(SOME, 0, mnist_dir)(100, 1)
    every = some.read()
    assert [len(part["image"]) for part in some.parts()] == [30, 30, 30, 10]
    middle = some[13:71]
    assert len(middle) == 58 and len(some[300:]) == 0 and not list(some[300:].parts())
    for name, values in middle[2:].read().items():
        np.testing.assert_array_equal(values, every[name][15:71])


@pytest.mark.slow
def test_the_protocol_tells_what_the_numbers_depend_on(mnist_dir):
    made = {}
    for size in (None, 14):
        recipe = replace(SOME, image_size=size)
        evaluate = Evaluator(recipe, num=20, extractor=pixels(), data_dir=mnist_dir)
        made[size] = evaluate.protocol(2)
        kid = evaluate([real_examples(recipe, 20, 5, mnist_dir)] * 2)[1].result
        assert kid.protocol.settings == {"block": 20, "blocks": 1, "draws": 2}
    assert made[None].startswith("20 generated, 20 of mnist train[:400], resizing 28x28x1 as read")
    assert "resizing 14x14x1 by image_size, then none" in made[14]
    told = (
        "draws 2; kd_pixels: block 20, blocks 1; precision, recall, density, coverage: "
        "k of precision and recall 3, k of density and coverage 5; "
    )
    assert all(told in line for line in made.values())
    folder = replace(SOME, data="folder:/home/me@work/pictures")
    assert name_and_split(folder.data) == (folder.data, "all")


@pytest.mark.parametrize("draws", [[], [np.zeros((19, 2))], [np.zeros((20, 3))]], ids=len)
def test_draws_of_another_shape_are_refused(draws):
    evaluate = Evaluator(GaussiansRing8(), num=20, names=["fd"])
    with pytest.raises(UserError, match=r"evaluate draws of the shape \(20, 2\), not"):
        evaluate(draws)


def test_metrics_that_need_more_samples_are_left_out_or_refused(caplog):
    evaluate = Evaluator(GaussiansRing8(), num=5)
    assert "of 5 samples some metrics are left out: prdc needs 6" in caplog.text
    assert list(evaluate.floors) == [
        *("fd_points", "kd_points", "swd", "modes", "high_quality", "mode_kl")
    ]
    with pytest.raises(UserError, match="5 samples are too few: prdc needs 6"):
        Evaluator(GaussiansRing8(), num=5, names=["fd", "prdc"])


def test_unequal_numbers_of_samples_and_real_examples_are_told(mnist_dir, caplog):
    for num in (200, 210):
        Evaluator(SMALL, num=num, names=["fd"], extractor=pixels(), data_dir=mnist_dir)
    (line,) = caplog.messages
    assert line.startswith("210 samples are compared with 200 real examples")
    assert "--num 200 makes them equal" in line


@pytest.mark.parametrize(
    ("metric", "short", "name"),
    [
        *(("fd", "inception", "fid"), ("kd", "inception", "kid"), ("is", "inception", "is")),
        *(("fd", "digits", "fd_digits"), ("is", "pixels", "is_pixels"), ("prdc", "digits", "prdc")),
    ],
)
def test_only_metrics_of_inception_have_the_names_of_papers(metric, short, name):
    assert named(metric, short) == renamed(name, short) == name
    if metric != "is" or short == "inception":
        assert renamed(metric, short) == name


def test_names_of_metrics_of_other_features_are_refused_with_the_right_one():
    for name, proper in (("fid", "fd_points"), ("kid", "kd_points"), ("is", "is_points")):
        told = f"^{name} is of Inception's features; of these it is {proper}$"
        with pytest.raises(UserError, match=told):
            Evaluator(GaussiansRing8(), num=20, names=[name])
    assert is_higher_better("is_digits") and is_higher_better("is")
    assert not is_higher_better("fd_digits")


def test_each_draw_has_real_examples_of_its_own_where_there_are_choices(mnist_dir):
    choose = chooser(SOME, 3, mnist_dir)
    images = [choose(400, choice).read()["image"] for choice in (0, 1, 2)]
    first, *others = ({image.tobytes() for image in part} for part in images)
    assert all(first == other for other in others)  # all images, in other orders
    assert len({part[:50].tobytes() for part in images}) == 3
    choose = chooser(GaussiansRing8(), 3)
    points = [set(map(tuple, choose(9, choice).read()["image"].tolist())) for choice in (0, 1)]
    assert not points[0] & points[1]

    def evaluate(choices: int, draws: int):
        made = Evaluator(
            SMALL, num=100, choices=choices, names=["fd"], extractor=pixels(), data_dir=mnist_dir
        )
        return made([real_examples(SMALL, 100, 9, mnist_dir)] * draws)[0]

    same, anew = evaluate(1, 3), evaluate(3, 3)
    assert len(set(same.draws)) == len(set(same.floors)) == 1
    assert len(set(anew.draws)) == len(set(anew.floors)) == 3
    assert anew.draws[0] == same.draws[0] == evaluate(3, 1).draws[0]
    assert anew.result.value == pytest.approx(np.mean(anew.draws))
    assert anew.floor == pytest.approx(np.mean(anew.floors))
    for found, how in ((same, "samples"), (anew, "samples and reference")):
        assert found.result.interval is not None
        assert found.result.interval.how == f"t of 3 draws of {how}"


def test_what_intervals_cover_is_said_of_each_metric():
    one, many = (Evaluator(GaussiansRing8(), num=20, choices=n) for n in (1, 2))
    assert one.covered() == "samples"
    assert many.covered() == "samples and reference (modes, high_quality, mode_kl: samples)"
    draws = [real_examples(GaussiansRing8(), 20, seed) for seed in (5, 6)]
    for result, *_ in many(draws):
        assert result.interval is not None
        reference = " and reference" * (result.metric not in ("modes", "high_quality", "mode_kl"))
        assert result.interval.how == f"t of 2 draws of samples{reference}"


@pytest.mark.slow
def test_intervals_cover_the_mean_as_often_as_they_say():
    """Of 40 evaluations of 5 draws, each with another seed, against the mean of all 200 draws.

    40 intervals of 95% cover it 34 times or more with a probability of 99.7% (binomial). Those of
    the Frechet distance, precision and density did 40, 37 and 38 times; with one reference for all
    draws of an evaluation, 31, 22 and 23 times.
    """
    names, draws = ["fd_points", "precision", "density"], 5
    recipe = GaussiansRing8()
    fakes, found = chooser(recipe, 1000), []
    for seed in range(40):
        samples = [1.02 * fakes(100, 1 + draws * seed + i).read()["image"] for i in range(draws)]
        evaluate = Evaluator(recipe, num=100, choices=draws, names=["fd", "prdc"], seed=seed)
        found.append({each.result.metric: each for each in evaluate(samples)})
    covered = {}
    for name in names:
        mean = np.mean([each[name].draws for each in found])
        ends = [each[name].result.interval for each in found]
        covered[name] = sum(x is not None and x.low <= mean <= x.high for x in ends)
    assert min(covered.values()) >= 34, covered


def test_any_features_will_do(mnist_dir):
    evaluate = Evaluator(SMALL, num=20, names=["fd"], extractor=pixels(), data_dir=mnist_dir)
    result = evaluate([real_examples(SMALL, 20, 5, mnist_dir)])[0].result
    assert "features pixels" in str(result)


def test_memorization_is_left_out_where_too_little_is_held_out(mnist_dir, caplog):
    held_out = "mnist@test[:50]"
    options = {"num": 70, "extractor": pixels(), "data_dir": mnist_dir, "held_out": held_out}
    evaluate = Evaluator(SOME, **options)
    assert "metrics are left out: memorization needs 61 held out" in caplog.text
    assert "fd_pixels" in evaluate.floors and "c_t" not in evaluate.floors
    with pytest.raises(UserError, match="too few: memorization needs 61 held out"):
        Evaluator(SOME, **options, names=["memorization"])


@pytest.mark.slow
def test_copies_are_told_from_new_samples_and_shown(mnist_dir):
    evaluate = Evaluator(
        SOME,
        num=150,
        names=["memorization"],
        held_out="mnist@test[:300]",
        extractor=pixels(),
        data_dir=mnist_dir,
    )
    # All 400, though only 150 are the reference.
    settings = "train 400, held out 300 of mnist@test[:300], cells 3"
    assert evaluate.protocol(1).endswith(f"authenticity, c_t, distance_ratio: {settings}")
    train = real_examples(SOME, 400, 7, mnist_dir)
    copies, new = train[:150], real_examples(replace(SOME, data="mnist@test[300:460]"), 150, 0)
    found = {
        name: {result.metric: (result.value, floor) for result, floor, *_ in evaluate([samples])}
        for name, samples in (("copies", copies), ("new", new))
    }
    assert found["copies"]["authenticity"][0] == found["copies"]["distance_ratio"][0] == 0
    assert found["copies"]["c_t"][0] < -5
    for name, (value, floor) in found["new"].items():
        assert value == pytest.approx(floor, abs=3 if name == "c_t" else 0.15), name
    assert found["new"]["distance_ratio"][1] == 1 and found["new"]["c_t"][1] < 0.1

    mixed = np.concatenate([new[:75], copies[:75]])
    both = evaluate.nearest(mixed)
    assert both is not None
    shown = both["features"]  # which are the pixels here
    np.testing.assert_array_equal(shown, both["pixels"])
    assert shown.shape == (8, 6, 28, 28, 1)
    first, last = shown[0], shown[-1]
    np.testing.assert_array_equal(first[0], first[1])  # a copy, beside what it copies
    assert not (last[0] == last[1]).all()
    distances = ((shown[:, 1:] / 255.0 - shown[:, :1] / 255.0) ** 2).sum(axis=(2, 3, 4))
    assert (np.diff(distances) >= -1e-4).all() and (np.diff(distances[:, 0]) >= -1e-4).all()
    assert all(any((row[1] == image).all() for image in train) for row in shown)


@pytest.mark.parametrize(
    ("recipe", "held_out", "told"),
    [
        (GaussiansRing8(), "mnist@test", "are no images: they are their own features"),
        (SOME, "mnist@tset", "tset"),
        pytest.param(
            *(SMALL, "mnist@train[:100]", "memorization of 100 samples: the held-out examples are"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_cannot_be_held_out_is_said(recipe, held_out, told, mnist_dir):
    with pytest.raises(UserError, match=told):
        Evaluator(
            recipe,
            num=70,
            names=["memorization"],
            held_out=held_out,
            extractor=pixels(),
            data_dir=mnist_dir,
        )


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> Path:
    """A run that was evaluated as it trained; only to be read."""
    run = tmp_path_factory.mktemp("evaluated") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxgan.training.observers.write_report", lambda run: run)
        done = command("train", RECIPE, *EVALUATED, "--steps", "40", "--out", run)
    assert done.status == 0, done.err
    return run


def test_training_records_evaluations_and_keeps_the_best(evaluated, here):
    lines = read_evaluations(evaluated)
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    assert "20 generated, 20 " in lines[0]["protocol"]
    coverage = [line["metrics"]["coverage"] for line in lines]
    best = lines[int(np.argmax(coverage))]["step"]
    assert max(int(path.name) for path in (evaluated / "best").iterdir()) == best
    assert command("sample", evaluated, "--best", "--out", here / "a.npz").status == 0
    assert command("sample", evaluated, "--step", str(best), "--out", here / "b.npz").status == 0
    pair = [np.load(here / f"{name}.npz")["samples"] for name in "ab"]
    np.testing.assert_array_equal(*pair)


def test_what_cannot_be_measured_does_not_stop_training(here, monkeypatch, caplog):
    evaluate = Evaluator.__call__

    def fail_once(self, draws):
        monkeypatch.setattr(Evaluator, "__call__", evaluate)
        raise UserError("fd_points of 20 samples: they are too large")

    monkeypatch.setattr(Evaluator, "__call__", fail_once)
    words = [*TINY["gaussians_ring8"], "--eval-every", "2", "--eval-num", "20", "--steps", "4"]
    done = command("train", "gaussians_ring8", *words, "--out", "run")
    assert done.status == 0, done.err
    assert "step 2 is not evaluated: fd_points of 20 samples: they are too large" in caplog.text
    first, second = read_evaluations(here / "run")
    assert (first["step"], first["metrics"]) == (2, {})
    assert second["step"] == 4 and second["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [14, 20])
def test_a_resumed_run_has_the_same_evaluations(stop, evaluated, here):
    train = ["train", RECIPE, *EVALUATED, "--out", "run"]
    assert command(*train, "--steps", str(stop)).status == 0
    assert command(*train, "--steps", "40", "--resume").status == 0
    assert read_evaluations(here / "run") == read_evaluations(evaluated)
    assert result_of(here / "run") == result_of(evaluated)
    found = [
        sorted(path.name for path in (run / "best").iterdir()) for run in (here / "run", evaluated)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "train gaussians_ring8 --eval-every 5 --best-by fud",
            "best_by 'fud' is not measured here",
        ),
        (
            "train gaussians_ring8 --eval-every 5 --best-by fid",
            "fid is of Inception's features; of these it is fd_points",
        ),
        ("train mnist_mlp --eval-every 0", "eval_every must be a whole number"),
        ("population mnist_mlp --eval-every 5 --members 2", "evaluated afterwards"),
        ("train mnist_mlp", "eval_num is for evaluations during training: give eval_every too"),
    ],
)
def test_evaluations_that_cannot_be_had_are_refused(words, told, here):
    begin, name, *rest = words.split()
    done = command(begin, name, *TINY[name], "--eval-num", "16", *rest, "--out", "run")
    assert (done.status, done.out) == (2, "")
    assert told in done.err
    assert not any(here.iterdir())
