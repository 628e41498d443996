"""Walks among the latents of finished runs, and the commands that draw them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import beside
from flax import linen as nn
from PIL import Image
from runs import assert_refused, command, contents, copy

from jaxgan.core.first_layer import first_layer
from jaxgan.core.gan import generate, init
from jaxgan.core.networks import always_training, linen
from jaxgan.keys import from_seed, stream
from jaxgan.latents import sefa, slerp, uniform
from jaxgan.report.pictures import grid
from jaxgan.rundir import loading, walks

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def trained(whole_run):
    return loading.load(whole_run("mnist_mlp"))


def made(trained, latents) -> np.ndarray:
    return loading.as_examples(trained, generate(trained.gan, trained.state, latents))


def close(found, expected) -> bool:
    """Whether pixels differ by rounding alone."""
    return bool((np.abs(found.astype(int) - expected.astype(int)) <= 1).all())


def test_a_walk_leads_from_one_latent_to_another_along_the_circle(trained):
    images = walks.interpolate(trained, 3, 5, KEY)
    assert images.shape == (15, 28, 28, 1) and images.dtype == np.uint8
    start, end = (trained.gan.inputs(stream(KEY, name), 3, {}) for name in ("start", "end"))
    for column, t in enumerate(np.linspace(0, 1, 5)):
        assert close(images[column::5], made(trained, slerp(start, end, float(t))))


def test_bounded_latents_walk_along_lines(trained):
    gan = replace(trained.gan, inputs=uniform(4))
    images = walks.interpolate(trained._replace(gan=gan), 2, 3, KEY)
    start, end = (gan.inputs(stream(KEY, name), 2, {}) for name in ("start", "end"))
    assert close(images[1::3], made(trained, (start + end) / 2))


def test_a_latent_moves_along_the_directions_of_the_first_layer(trained):
    images = walks.vary(trained, 2, 3, 2.0, KEY)
    latent = trained.gan.inputs(KEY, 1, {})
    directions = sefa(first_layer(trained.gan, trained.state, latent))[:2]
    expected = [latent + step * d[None] for d in directions for step in (-2, 0, 2)]
    assert close(images, made(trained, jnp.concatenate(expected)))
    assert len(walks.vary(trained, 100, 3, 2.0, KEY)) == 4 * 3  # latents have 4 numbers


def test_a_generator_may_return_more_than_the_images(trained):
    for walk in (
        lambda trained: walks.interpolate(trained, 5, 4, KEY),
        lambda trained: walks.vary(trained, 2, 3, 2.0, KEY),
    ):
        np.testing.assert_array_equal(walk(beside(trained)), walk(trained))


def test_images_do_not_depend_on_how_many_are_made_together(trained, monkeypatch):
    whole = walks.interpolate(trained, 3, 5, KEY)
    monkeypatch.setattr(walks, "TOGETHER", 4)
    assert close(walks.interpolate(trained, 3, 5, KEY), whole)


def test_a_generator_with_batch_statistics_makes_of_a_latent_what_it_makes_among_others(trained):
    gan = replace(trained.gan, generator=always_training(trained.gan.generator))
    of_batches = trained._replace(gan=gan)
    latent = gan.inputs(KEY, 1, {})
    others = gan.inputs(stream(KEY, "others"), 128, {})
    expected = made(of_batches, jnp.concatenate([latent, latent, latent, others[:125]]))[:3]
    assert close(walks.vary(of_batches, 1, 3, 1e-6, KEY), expected)
    assert not close(made(of_batches, jnp.concatenate([latent, latent, -latent])), expected)


class Shaded(nn.Module):
    """Gray pictures whose left half is as bright as the label says, and the right as the latent."""

    @nn.compact
    def __call__(self, latents, labels, train):
        scale = self.param("scale", nn.initializers.ones, ())
        sides = [labels / 10, nn.tanh(scale * latents[:, 0])]
        return jnp.stack(sides, 1)[:, None, :, None]


def shaded(trained):
    """A conditional GAN without a first layer."""
    normal = trained.gan.inputs
    gan = replace(
        trained.gan,
        generator=linen(Shaded()),
        inputs=lambda key, n, batch: (normal(key, n), batch["label"]),
    )
    batch = {"image": jnp.zeros((2, 1, 2, 1)), "label": jnp.zeros(2, jnp.int32)}
    return trained._replace(gan=gan, state=init(gan, KEY, batch))


def test_the_walks_of_a_conditional_gan_each_stay_in_a_class(trained):
    images = walks.interpolate(shaded(trained), 4, 6, KEY).reshape(4, 6, 2)
    np.testing.assert_array_equal(images[..., 0], images[:, :1, 0].repeat(6, 1))
    assert (np.diff(images[:, 0, 0].astype(int)) > 0).all()
    assert all(len(np.unique(row)) > 3 for row in images[..., 1])


def test_a_picture_an_animation_and_an_array_hold_the_same_walks(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    words = ["interpolate", "run", "--rows", "3", "--columns", "4", "--seed", "2"]
    done = command(*words)
    assert (done.status, done.out, done.err) == (0, "run/interpolation_step40_seed2.png\n", "")
    for out in ("new/walks.npz", "walks.gif"):
        assert command(*words, "--out", out).out == f"{out}\n"
    samples = np.load("new/walks.npz")["samples"]
    assert samples.shape == (12, 28, 28, 1)
    with Image.open(run / "interpolation_step40_seed2.png") as picture:
        np.testing.assert_array_equal(picture, grid(samples, 3, 4))
    with Image.open("walks.gif") as animation:
        assert getattr(animation, "n_frames", 1) == 4
        animation.seek(2)
        frame = np.asarray(animation.convert("L"), int)
        np.testing.assert_allclose(frame, np.asarray(grid(samples[2::4], 2, 2), int), atol=8)


def test_directions_are_drawn_in_rows(here, whole_run):
    run = copy(whole_run("mnist_mlp"), here / "run")
    done = command("directions", "run", "--columns", "3")
    assert (done.status, done.out, done.err) == (0, "run/directions_step40_seed0.png\n", "")
    key = stream(from_seed(0), "walks")
    images = walks.vary(loading.load(run), 8, 3, 3.0, key)
    with Image.open(run / "directions_step40_seed0.png") as picture:
        np.testing.assert_array_equal(picture, grid(images, 4, 3))


def test_walks_of_vectors_are_numbers(here, whole_run):
    run = copy(whole_run("pattern_1010"), here / "run")
    for name, file in (("interpolate", "interpolation"), ("directions", "directions")):
        done = command(name, "run")
        assert (done.status, done.out) == (0, f"run/{file}_step40_seed0.npz\n")
        samples = np.load(run / f"{file}_step40_seed0.npz")["samples"]
        assert samples.shape == ({"interpolate": 80, "directions": 9}[name], 4)
        for out in ("a.png", "a.gif"):
            told = f"these samples are no images: give a .npz instead of {out}"
            assert_refused(command(name, "run", "--out", out), told)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("interpolate run --rows 0", "rows must be at least 1, not 0"),
        ("interpolate run --columns -1", "columns must be at least 1, not -1"),
        (
            "interpolate run --rows 1001 --columns 1000",
            "num must be from 1 to 1000000, not 1001000",
        ),
        (
            "interpolate run --out a.jpg",
            "cannot write a.jpg: give a .png, a .gif, a .npz or a folder",
        ),
        ("interpolate run --step 7", "no checkpoint of step 7"),
        ("interpolate run --member 0", "is of one GAN: leave out --member"),
        ("directions run --reach 0", "reach must be finite and above 0, not 0.0"),
        ("directions run --reach nan", "reach must be finite and above 0, not nan"),
        ("directions run --seed -1", "seed must be from 0 to 4294967295, not -1"),
        ("directions absent", "there is no run directory absent"),
    ],
)
def test_walks_that_cannot_be_had_get_one_line(words, told, here, whole_run):
    copy(whole_run("mnist_mlp"), here / "run")
    before = contents(here)
    assert_refused(command(*words.split()), told)
    assert contents(here) == before


def test_a_network_without_a_first_layer_gets_one_line(here, whole_run, trained, monkeypatch):
    monkeypatch.setattr(loading, "load", lambda *_, **__: shaded(trained))
    told = "mnist_mlp has no directions to find: G has no first layer on its latents as they are"
    assert_refused(command("directions", whole_run("mnist_mlp")), told)
