"""The small autoencoder: shapes, normalized latents, and noise in training alone."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import linen
from jaxgan.models.autoencoder import Autoencoder, Decoder, Encoder

KEY = jax.random.key(0)
IMAGES = jax.random.uniform(KEY, (6, 8, 12, 3), minval=-1.0) * jnp.arange(1, 7).reshape(6, 1, 1, 1)
MODULE = Autoencoder((8, 16), channels=5, colors=3, noise=0.5)


@pytest.fixture(scope="module")
def variables() -> Any:
    return jax.jit(lambda: MODULE.init(KEY, IMAGES, train=False))()


def halves(variables: Any) -> tuple[Any, Any]:
    encoder, decoder = (
        {kind: tree[name] for kind, tree in variables.items() if name in tree}
        for name in ("encoder", "decoder")
    )
    return encoder, decoder


def test_it_is_its_encoder_and_then_its_decoder(variables):
    encoder, decoder = halves(variables)
    latents: Any = Encoder((8, 16), 5).apply(encoder, IMAGES, train=False)
    assert latents.shape == (6, 2, 3, 5)
    images: Any = Decoder((8, 16), 3).apply(decoder, latents, train=False)
    assert images.shape == IMAGES.shape
    whole: Any = jax.jit(lambda: MODULE.apply(variables, IMAGES, train=False))()
    np.testing.assert_allclose(whole, images, atol=1e-5)


def test_latents_are_normalized_in_each_channel(variables):
    encoder, _ = halves(variables)
    module = Encoder((8, 16), 5)
    latents, moved = module.apply(encoder, IMAGES, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(latents.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(latents.std((0, 1, 2)), 1, atol=1e-3)
    before, after = (jax.tree.leaves(x["batch_stats"]) for x in (encoder, moved))
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


def test_noise_is_of_each_example_and_of_training_alone(variables):
    network = linen(MODULE)
    others = {"batch_stats": variables["batch_stats"]}

    def run(key: Any, train: bool) -> Any:
        return jax.jit(network.apply, static_argnums=4)(
            variables["params"], others, IMAGES, key, train
        )[0]

    one, two = (run(jax.random.key(n), True) for n in (1, 2))
    assert (np.abs(one - two).max((1, 2, 3)) > 1e-3).all()
    np.testing.assert_array_equal(run(jax.random.key(1), False), run(jax.random.key(2), False))


def test_sizes_are_multiples():
    with pytest.raises(ValueError, match=r"multiples of 4, not \(8, 10\)"):
        MODULE.init(KEY, IMAGES[:, :, :10], train=False)
