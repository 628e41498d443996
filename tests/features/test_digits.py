import jax
import jax.numpy as jnp
import numpy as np
import pytest
from runs import script

from jaxgan import data
from jaxgan.core.networks import linen
from jaxgan.features import digits, extract
from jaxgan.util.errors import UserError


def held_out(data_dir: str) -> tuple[np.ndarray, np.ndarray]:
    feed = data.load(
        "mnist@test", batch_size=1, seed=0, low=0.0, high=1.0, image_size=None, default_size=28,
        data_dir=data_dir,
    )  # fmt: skip
    return np.asarray(feed.arrays["image"]), np.asarray(feed.arrays["label"])


@pytest.mark.slow
def test_the_shipped_weights_know_at_least_994_of_1000_test_images(whole_mnist_dir):
    images, labels = held_out(whole_mnist_dir)
    extractor = digits.load()
    assert extractor.logits is not None and images.shape == (10_000, 28, 28, 1)
    features = extract(extractor, images, 500)
    logits = np.asarray(extractor.logits(jnp.asarray(features)))
    assert features.shape == (10_000, 128) and features.min() == 0
    assert (logits.argmax(-1) == labels).mean() >= 0.994
    # The features tell classes apart: the nearest mean of 100 images each does nearly as well.
    means = np.stack([features[labels == digit][:100].mean(0) for digit in range(10)])
    distances = ((features[:2000, None] - means) ** 2).sum(-1)
    assert (distances.argmin(-1) == labels[:2000]).mean() > 0.98


def test_features_do_not_depend_on_the_batch(mnist_dir):
    images = held_out(mnist_dir)[0][:5]
    alone = extract(digits.load(), images, 1)
    np.testing.assert_allclose(extract(digits.load(), images, 4), alone, atol=1e-5)


def test_the_weights_are_a_small_file_loaded_once():
    assert digits.WEIGHTS.stat().st_size < 3e6
    assert digits.load() is digits.load()


@pytest.mark.parametrize("shape", [(1, 32, 32, 1), (1, 28, 28, 3)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(UserError, match=r"takes images of shape \(28, 28, 1\), not"):
        extract(digits.load(), np.zeros(shape, np.uint8))


def test_distortions_move_turn_and_stretch_but_a_little(monkeypatch):
    training = script("train_digit_network")
    image = jnp.zeros((1, 28, 28, 1)).at[0, 10:18, 10:18].set(1.0)
    images = jnp.tile(image, (64, 1, 1, 1))
    distorted = np.asarray(training.distort(images, jax.random.key(0)))[..., 0]
    weights = distorted / distorted.sum((1, 2), keepdims=True)
    rows, columns = (weights * np.indices((28, 28))[:, None]).sum((2, 3)) - 13.5
    for offsets in (rows, columns):
        assert 2 < abs(offsets).max() < 3.2 and abs(offsets.mean()) < 0.7
    areas = distorted.sum((1, 2))
    assert 50 < areas.min() < 58 and 70 < areas.max() < 80
    for name in ("SHIFT", "ANGLE", "STRETCH"):
        monkeypatch.setattr(training, name, 0)
    np.testing.assert_allclose(training.distort(images, jax.random.key(0)), images, atol=1e-5)


@pytest.mark.slow
def test_the_training_script_learns_and_writes_its_weights(
    tmp_path, whole_mnist_dir, monkeypatch, capsys
):
    monkeypatch.setenv("TFDS_DATA_DIR", whole_mnist_dir)
    training = script("train_digit_network")
    monkeypatch.setattr(training, "BATCH_SIZE", 32)  # many steps, for the running averages
    settings = training.Settings(
        train="mnist@train[:2000]", test="mnist@train[2000:3000]", out=tmp_path / "w.safetensors"
    )
    training.main(settings)
    accuracy = float(capsys.readouterr().out.split()[-1].rstrip("%"))
    assert accuracy > 90
    trained = digits.load_network(
        linen(digits.DigitNetwork()),
        digits.load_safetensors(tmp_path / "w.safetensors"),
        digits.SHAPE,
    )
    assert digits.make_extractor(trained).weights_hash != digits.load().weights_hash
