"""Restoring with GANs of all kinds: conditional, of pictures, with batch statistics."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from families import beside
from flax import linen as nn

from jaxgan import losses, restoration
from jaxgan.core.gan import generate, init
from jaxgan.core.networks import always_training, in_packs, linen
from jaxgan.data import unscale
from jaxgan.data.sources import is_spec
from jaxgan.evaluation import restoring
from jaxgan.evaluation.restoring import Damage, Pictures, Way
from jaxgan.models import mlp
from jaxgan.nn.minibatch import minibatch_deviation
from jaxgan.rundir import loading
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def trained(whole_run):
    return loading.load(whole_run("mnist_mlp"))


class Shaded(nn.Module):
    """Pictures whose left half is as bright as the label says, and the right as the latent."""

    @nn.compact
    def __call__(self, latents, labels, train):
        scale = self.param("scale", nn.initializers.ones, ())
        sides = jnp.stack([labels / 5 - 0.9, nn.tanh(scale * latents[:, 0])], 1)
        return jnp.broadcast_to(sides[:, None, :, None, None], (len(labels), 28, 2, 14, 1)).reshape(
            -1, 28, 28, 1
        )


@pytest.fixture(scope="module")
def shaded(trained):
    """A conditional GAN."""
    normal = trained.gan.inputs
    gan = replace(
        trained.gan,
        generator=linen(Shaded()),
        inputs=lambda key, n, batch: (normal(key, n), batch["label"]),
    )
    batch = {"image": jnp.zeros((2, 28, 28, 1)), "label": jnp.zeros(2, jnp.int32)}
    return trained._replace(gan=gan, state=init(gan, KEY, batch))


IDENTITY = restoration.compose()


def restored(trained, pictures, operator=IDENTITY, **way):
    return restoring.restore(trained, pictures, operator, Way(**way), KEY)


@pytest.mark.slow
def test_a_conditional_gan_searches_for_the_label_among_the_starts(shaded):
    labels = jnp.asarray([3, 8])
    truth = generate(shaded.gan, shaded.state, (jnp.zeros((2, 4)), labels))
    truth = np.asarray(unscale(truth, -1.0, 1.0))
    mask = np.broadcast_to(
        np.asarray(restoration.center()(28, 28, jax.random.key(0))[None]), (2, 28, 28, 1)
    )
    pictures = Pictures(["a", "b"], np.where(mask, truth, 0), mask, truth, np.asarray(labels))
    free = optax.adam(0.3)
    found = restored(
        shaded, pictures, steps=40, optimizer=free, restrict=lambda moved, first: moved
    )
    assert found.starts == 10
    np.testing.assert_allclose(found.images[:, 0], truth, atol=3)
    assert found.scores["restored"]["psnr"] > 30 > found.scores["damaged"]["psnr"]
    # The others are of other labels, so they fill the hole with other shades.
    assert (np.abs(found.images[:, 1].astype(int) - truth)[~mask[:, :]] > 1).any()
    given = restored(shaded, pictures, steps=10, label=3)
    made = given.images[:, 0, 10, 8].astype(int)
    assert given.starts == 8 and made[0] != made[1]


def test_labels_that_cannot_be_had_are_refused(shaded, trained):
    pictures = Pictures(["a"], np.zeros((1, 28, 28, 1), np.uint8))
    with pytest.raises(UserError, match="--label must be from 0 to 9, not 10"):
        restored(shaded, pictures, label=10)
    paired = trained._replace(gan=replace(trained.gan, loss=losses.relativistic))
    with pytest.raises(UserError, match="judges fakes beside reals, not by themselves"):
        restored(paired, pictures, realism=1.0)


class Beside(nn.Module):
    """Sees how much the pictures of a batch differ, as D of StyleGAN2 does."""

    groups: int

    @nn.compact
    def __call__(self, images, train):
        apart = minibatch_deviation(images, self.groups)
        return nn.Dense(1)(apart.reshape(len(images), -1))[:, 0]


@pytest.mark.parametrize(
    "discriminator",
    [linen(Beside(2)), linen(Beside(4)), in_packs(linen(mlp.Discriminator((8,))), 2)],
    ids=["pairs", "groups that do not fit", "packs"],
)
def test_realism_is_refused_where_d_judges_pictures_together(trained, discriminator):
    gan = replace(trained.gan, discriminator=discriminator)
    batch = {"image": jnp.zeros((4, 28, 28, 1))}
    together = trained._replace(gan=gan, state=init(gan, KEY, batch))
    pictures = Pictures(["a"], np.zeros((1, 28, 28, 1), np.uint8))
    with pytest.raises(UserError, match="judges several pictures together.*leave out --realism"):
        restored(together, pictures, realism=1.0)


def test_a_generator_may_return_more_than_the_images(trained):
    truth = restored_truth(trained)[:2]
    for way in ({}, {"realism": 0.1}):
        for gan in (found := [trained, beside(trained)]):
            assert restoring.check(gan) == (28, 28, 1)
        one, other = (
            restored(gan, Pictures(["a", "b"], truth), starts=2, steps=10, **way) for gan in found
        )
        np.testing.assert_array_equal(one.images, other.images)


def test_what_d_sees_of_a_batch_is_missing_in_restoring(trained):
    def view(example, batch, key, state):
        return example + batch["after"]

    needy = trained._replace(gan=replace(trained.gan, view=view))
    pictures = Pictures(["a"], np.zeros((1, 28, 28, 1), np.uint8))
    with pytest.raises(UserError, match="sees 'after' of a batch, which .* leave out --realism"):
        restored(needy, pictures, realism=1.0)


def test_all_categories_are_searched(trained):
    gan = replace(
        trained.gan, inputs=lambda key, n, batch: (trained.gan.inputs(key, n, batch), batch["kind"])
    )

    class Categories(type(trained.recipe)):
        name = "categories"

        def conditions(self, count, spec, data_dir=None):
            return {"kind": jnp.arange(count) % 11}

    kinds = trained._replace(recipe=Categories(), gan=gan)
    starts, conditions = restoring._begin(kinds, Way())
    assert starts == 11 and len(set(conditions["kind"].tolist())) == 11


@pytest.mark.slow
def test_projection_makes_gray_small_and_blurred_pictures_agree(trained):
    truth = np.random.default_rng(0).integers(60, 190, (3, 28, 28, 1), np.uint8)
    for operator in (restoration.downscale(4), restoration.blur(1.0)):
        seen = operator(jnp.asarray(truth, jnp.float32)).round().astype(jnp.uint8)
        found = restored(trained, Pictures(list("abc"), np.asarray(seen)), operator, steps=20)
        again = operator(jnp.asarray(found.images[:, 0], jnp.float32))
        inside = (found.images[:, 0] % 255 > 0).reshape(3, -1).mean(1)
        assert (inside > 0.5).all()
        error = jnp.abs(again - seen.astype(jnp.float32))
        assert jnp.median(error) < 1


@pytest.mark.slow
def test_more_steps_agree_better(trained):
    truth = restored_truth(trained)
    mask = np.broadcast_to(
        np.asarray(restoration.left()(28, 28, jax.random.key(0))[None]), truth.shape
    )
    pictures = Pictures(list("abcd"), np.where(mask, truth, 0), mask, truth)
    told = []

    def tell(step, loss, count):
        told.append((step, loss, count))

    restoring.restore(trained, pictures, IDENTITY, Way(3, 25), KEY, tell)
    assert [step for step, _, _ in told] == [10, 20, 25]
    assert told[0][1] > told[1][1] > told[2][1] and told[0][2] == 12


def restored_truth(trained):
    images = generate(trained.gan, trained.state, jax.random.normal(KEY, (4, 4)))
    return loading.as_examples(trained, images)


@pytest.mark.slow
def test_the_starts_of_a_picture_do_not_depend_on_the_others(trained):
    truth = restored_truth(trained)
    pictures = Pictures(list("abcd"), truth)
    whole = restored(trained, pictures, steps=3)
    first = restored(trained, Pictures(["a"], truth[:1]), steps=3)
    np.testing.assert_allclose(whole.images[:1].astype(int), first.images.astype(int), atol=1)


def test_a_split_is_of_the_picture_that_the_run_learned(trained):
    recipe = replace(trained.recipe, data="openmoji@train#drawing")
    spec = restoring._spec("test[:3]", trained._replace(recipe=recipe))
    assert spec == "openmoji@test[:3]#drawing" and is_spec(spec)


def test_data_sets_are_damaged_and_their_truth_is_kept(trained, mnist_dir):
    damage = Damage(known=restoration.scattered(0.5))
    found = restoring.read("data:test[:3]", trained, damage, KEY, mnist_dir)
    mask = found.mask
    assert mask is not None and found.truth is not None and found.labels is not None
    assert (mask[0] != mask[1]).any() and (mask.sum((1, 2, 3)) == 392).all()
    np.testing.assert_array_equal(found.known, np.where(mask, found.truth, 0))
    assert len(found.labels) == 3
    small = restoring.read(
        "data:mnist@test[:3]", trained, Damage(restoration.downscale(4)), KEY, mnist_dir
    )
    means = found.truth.reshape(3, 7, 4, 7, 4, 1).mean((2, 4))
    np.testing.assert_allclose(small.known, means, atol=0.51)
    large = restoring.enlarge(small, (28, 28, 1))
    np.testing.assert_array_equal(large[:, ::4, ::4], small.known)


def test_generators_that_cannot_search_are_refused(trained):
    assert restoring.check(trained) == (28, 28, 1)
    of_batches = replace(trained.gan, generator=always_training(trained.gan.generator))
    with pytest.raises(UserError, match="samples with the statistics of a batch"):
        restoring.check(trained._replace(gan=of_batches))
    of_pictures = replace(trained.gan, inputs=lambda key, n, batch: batch["input"])
    with pytest.raises(UserError, match="takes pictures, not latents"):
        restoring.check(trained._replace(gan=of_pictures))
