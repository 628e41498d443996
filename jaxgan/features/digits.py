"""A small classifier of MNIST that comes with the package, as a feature extractor.

`experiments/train_digit_network.py` trained it and tells how well it does.
"""

from functools import cache
from pathlib import Path

import jax.numpy as jnp
from flax import linen as nn
from jax.tree_util import Partial
from jaxtyping import Array, Float

from jaxgan.core.state import TrainState
from jaxgan.features.extractor import (
    Extractor,
    features_of,
    hash_weights,
    load_network,
    logits_of,
)
from jaxgan.interop import load_safetensors
from jaxgan.nn.layers import Conv, batch_norm, max_pool
from jaxgan.types import Images
from jaxgan.util.errors import UserError

CLASSES = 10
FEATURES = 128
SHAPE = (28, 28, 1)  # of one image
WEIGHTS = Path(__file__).with_name("digits.safetensors")


class DigitNetwork(nn.Module):
    """Three convolutions and a dense layer, each with batch norm, then a dense layer of logits."""

    channels: tuple[int, ...] = (32, 64, 128)  # of the convolutions; each is pooled

    def setup(self):
        """Declares the layer that the features pass last."""
        self.head = nn.Dense(CLASSES)

    @nn.compact
    def features(self, images: Images, train: bool = False) -> Float[Array, "B 128"]:
        """Maps images `[B, 28, 28, 1]` in [0, 1] to features `[B, 128]`, none below 0."""
        if images.shape[1:] != SHAPE:
            raise UserError(
                f"the digit network looks at images of {SHAPE}, not of {images.shape[1:]}"
            )
        norm = batch_norm(0.99, 1e-5, train)
        x = images
        for channels in self.channels:
            x = nn.relu(norm()(max_pool(Conv(channels, 3)(x), 2)))
        x = nn.Dense(FEATURES)(x.reshape(x.shape[0], -1))
        return nn.relu(norm()(x))

    def __call__(self, images: Images, train: bool = False) -> Float[Array, "B 10"]:
        """Maps images `[B, 28, 28, 1]` in [0, 1] to logits `[B, 10]`."""
        return self.head(self.features(images, train))


@cache
def load() -> Extractor:
    """Makes an extractor of the weights that come with the package.

    Returns:
        The extractor: 128 features, and a logit for each digit.
    """
    return of_network(load_network(DigitNetwork(), load_safetensors(WEIGHTS), SHAPE))


def per_channel(channels: int) -> Extractor:
    """Makes an extractor that looks at each channel of a picture as at a digit.

    Args:
        channels: of the pictures.

    Returns:
        The extractor: 128 features for each channel.
    """
    one = load()

    def features(look: Partial, images: Images) -> Array:
        parts = [look(images[..., channel : channel + 1]) for channel in range(channels)]
        return jnp.concatenate(parts, axis=1)

    return Extractor(
        name=f"{one.name} on each channel",
        resizing="none",
        weights_hash=one.weights_hash,
        features=Partial(features, one.features),
    )


def of_network(net: TrainState) -> Extractor:
    """Makes an extractor of a trained digit network.

    Args:
        net: its parameters and running averages.

    Returns:
        The extractor; see `load`.
    """
    return Extractor(
        name="digit network",
        resizing="none",
        weights_hash=hash_weights(net),
        features=features_of(DigitNetwork(), net),
        logits=logits_of(net.params["head"]["kernel"], net.params["head"]["bias"]),
    )
