"""The scripts of docs/own_gan.md, each for a few steps, and the one thing that each is about."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from runs import command, digest, script

import jaxgan
from jaxgan.data.sources import open_source
from jaxgan.rundir import load

KEY = jax.random.key(0)
GRID = (578, 578)  # pixels of ten rows of ten digits


def is_finite(tree) -> bool:
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert len(set(picture.convert("L").tobytes())) > 2
        return picture.size


def batch_of(n: int) -> dict[str, jax.Array]:
    return {"image": jax.random.uniform(KEY, (n, 28, 28, 1)), "label": jnp.arange(n) % 10}


@pytest.mark.slow
def test_own_loop_goes_on_where_it_stopped(here, capsys):
    main = script("own_loop").main
    whole = main(4, batch_size=8, saved=Path("whole"))
    assert size_of("own_loop.png")[0] == GRID[0] and is_finite(whole)
    main(2, batch_size=8, saved=Path("parts"))
    capsys.readouterr()
    assert digest(main(4, batch_size=8, saved=Path("parts"))) == digest(whole)
    assert [line[:6] for line in capsys.readouterr().out.splitlines()] == ["step 3", "step 4"]


@pytest.mark.slow
def test_wgan_gp_draws_latents_for_each_critic_step(here, monkeypatch):
    wgan_gp, seen = script("wgan_gp"), []

    def recorded(size):
        def draw(key, n, batch=None):
            latents = jax.random.normal(key, (n, size))
            jax.debug.callback(lambda x: seen.append(float(x)), latents[0, 0])
            return latents

        return draw

    monkeypatch.setattr(wgan_gp.latents, "normal", recorded)
    state = wgan_gp.main(2, batch_size=4)
    jax.effects_barrier()
    assert size_of("wgan_gp.png") == GRID and is_finite(state)
    of_steps = seen[1:-1]  # the first are of init, the last of the picture
    assert len(of_steps) == len(set(of_steps)) == 2 * 6
    counts = [int(player.opt_state[0].count) for player in (state.discriminator, state.generator)]
    assert counts == [2 * 5, 2]


@pytest.mark.slow
def test_conditional_shows_labels_to_both_players(here):
    conditional = script("conditional")
    state = conditional.main(2, batch_size=8)
    assert size_of("conditional.png") == GRID and is_finite(state)
    gan, batch = conditional.system(), batch_of(10)
    other = batch | {"label": batch["label"][::-1]}
    images, others = (
        jaxgan.sample(gan, state, KEY, 10, {"label": one["label"]}) for one in (batch, other)
    )
    assert np.abs(images - others).max((1, 2, 3)).min() > 0
    net = state.discriminator
    scores, others = (
        gan.discriminator.apply(
            net.params, net.collections, gan.view(batch["image"], one, KEY, state), KEY, False
        )[0]
        for one in (batch, other)
    )
    assert scores.shape == (10,) and np.abs(scores - others).min() > 0


@pytest.mark.slow
def test_acgan_pays_for_wrong_classes(here, capsys):
    acgan = script("acgan")
    state = acgan.main(2, batch_size=8)
    assert size_of("acgan.png") == GRID and is_finite(state)
    out = capsys.readouterr().out
    assert "terms_g" in out and "% as the class asked for" in out
    outputs = {"score": jnp.zeros(3), "logits": 100 * jax.nn.one_hot(jnp.arange(3), 10)}
    paid = acgan.cross_entropy(outputs, {"label": jnp.array([0, 1, 7])})
    np.testing.assert_allclose(paid, [0, 0, 100], atol=1e-5)


@pytest.mark.slow
def test_adaptive_augmentation_moves_its_probability(here):
    ada = script("adaptive_augmentation")
    state = ada.main(3, target=-2.0, batch_size=8)  # any D is surer than that
    assert size_of("ada.png") == (800, 400) and is_finite(state)
    np.testing.assert_allclose(state.extra["p"], 3 * 8 / 50_000, rtol=1e-5)
    batch = batch_of(8)
    for target, start, end in ((2.0, 0.0, 0.0), (2.0, 0.5, 0.4), (-2.0, 0.95, 1.0)):
        gan, _ = ada.system(target)
        update = ada.adapt(gan, target, images=80)
        moved, metrics = update.apply(state.with_extra(p=jnp.float32(start)), batch, KEY)
        assert abs(metrics["sign_real"]) <= 1
        np.testing.assert_allclose(moved.extra["p"], end, rtol=1e-6)


@pytest.mark.slow
def test_augmentation_changes_images_with_its_probability():
    ada = script("adaptive_augmentation")
    images = batch_of(64)["image"]
    augment = jax.jit(ada.augment)
    changed = [
        int((augment(images, KEY, p) != images).any((1, 2, 3)).sum()) for p in (0.0, 0.3, 1.0)
    ]
    assert changed[0] == 0 < changed[1] < changed[2]
    assert (augment(images[:8], KEY, 1.0) == augment(images, KEY, 1.0)[:8]).all()


@pytest.mark.slow
def test_cyclegan_keeps_earlier_fakes(here):
    cyclegan = script("cyclegan_points")
    state = cyclegan.main(3, batch_size=8)
    assert size_of("cyclegan_points.png") == (720, 400) and is_finite(state)
    _, count = state.extra["pool"]
    assert count == 3 * 8


@pytest.mark.slow
def test_infogan_draws_a_panel_for_each_code(here):
    sizes = "--batch-size 8 --latent-size 3 --generator-width 8 --generator-channels 4 3 "
    sizes += "--discriminator-channels 3 4 --discriminator-width 8 --reading-width 8 --grid 2 2"
    data = ["--data", "mnist@train[:80]", "--steps", "3", "--out", "run"]
    done = command("train", "mnist_infogan", *sizes.split(), *data)
    assert done.status == 0, done.err
    whole = script("infogan_codes").main(here / "run")
    assert whole.shape == (280, 3 * 280 + 4, 1)
    panels = [whole[:, start : start + 280].reshape(10, 28, 10, 28) for start in (0, 282, 564)]
    for panel in panels:  # neither rows nor columns are all alike
        assert np.ptp(panel, axis=2).max() > 0 and np.ptp(panel, axis=0).max() > 0
    with Image.open("codes.png") as picture:
        assert picture.size == (844, 280)
    for words in (["interpolate", "run", "--out", "walk.png"], ["sample", "run", "--num", "4"]):
        done = command(*words)
        assert done.status == 0, done.err


@pytest.mark.slow
def test_freeze_d_starts_from_a_run_and_leaves_the_first_layer(here):
    words = "--generator-widths 8 8 --discriminator-widths 8 4 --batch-size 8 --steps 3".split()
    done = command("train", "mnist_mlp", *words, "--data", "mnist@train[:80]", "--out", "run")
    assert done.status == 0, done.err
    before = load(here / "run").state.discriminator.params
    state = script("freeze_d").main(here / "run", "mnist@train[80:120]", ("FanInDense_0",), 10)
    with Image.open("freeze_d.png") as picture:
        assert picture.size == (578, 346)
    after = state.discriminator.params
    for name in before:
        same = jax.tree.map(np.array_equal, before[name], after[name])
        assert all(jax.tree.leaves(same)) == (name == "FanInDense_0")
    moved = np.abs(after["FanInDense_1"]["kernel"] - before["FanInDense_1"]["kernel"]).max()
    assert moved < 0.02  # ten steps of Adam away from the run's weights


@pytest.mark.slow
def test_damages_change_digits_and_have_a_line_each(here, whole_mnist_dir, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", whole_mnist_dir)
    damages = script("damages")
    damages.main(damages.Settings(num=40))
    head, *lines, _ = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["damage", "fd_digits", "kd_digits"] and len(lines) == 10
    floor, *damaged, copies = (float(line[24:].split()[0]) for line in lines)
    assert copies == 0 < floor and max(damaged) > 2 * floor


def test_filled_holes_are_measured(mnist_dir):
    source = open_source("mnist@test[:300]", image_size=None, default_size=28, data_dir=mnist_dir)
    truth, labels = source.read(range(len(source)))
    measure = script("holes").measure
    with np.errstate(divide="ignore"):
        perfect = measure(truth, truth, labels)
    assert perfect.psnr == np.inf
    assert perfect.ssim == pytest.approx(1) and perfect.distance == pytest.approx(0, abs=1e-3)
    assert perfect.read > 0.97
    other = truth.copy()
    other[:, 7:21, 7:21] = np.where(truth[:, 7:21, 7:21] > 127, truth[:, 7:21, 7:21] - 51, 51)
    worse = measure(other, truth, labels)
    near = np.abs(other[:, 7:21, 7:21] / 255.0 - truth[:, 7:21, 7:21] / 255.0)
    assert worse.psnr == pytest.approx(-20 * np.log10(np.sqrt((near**2).mean())))
    assert worse.psnr == pytest.approx(14, abs=1) and worse.distance > 1
    beside = truth.copy()
    beside[:, :7] = 255 - beside[:, :7]
    with np.errstate(divide="ignore"):
        assert measure(beside, truth, labels).psnr == np.inf
