"""A small MNIST classifier that comes with the package, as a feature extractor.

It was trained by `experiments/train_digit_network.py`, which reports its accuracy.
"""

from functools import cache
from pathlib import Path

import jax.numpy as jnp
from flax import linen as nn
from jax.tree_util import Partial
from jaxtyping import Array, Float

from jaxgan.core.networks import linen
from jaxgan.core.state import TrainState
from jaxgan.features.extractor import (
    Extractor,
    hash_weights,
    load_network,
    make_features,
    make_logits,
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

    channels: tuple[int, ...] = (32, 64, 128)  # of the convolutions, each followed by pooling
    shape: tuple[int, int, int] = SHAPE  # of one image; its sides are halved by each pooling
    classes: int = CLASSES
    momentum: float = 0.99  # of batch norm's running averages

    def setup(self):
        """Declares the layer from features to logits."""
        self.head = nn.Dense(self.classes)

    @nn.compact
    def features(self, images: Images, train: bool = False) -> Float[Array, "B 128"]:
        """Maps images `[B, 28, 28, 1]` in [0, 1] to nonnegative features `[B, 128]`."""
        if images.shape[1:] != self.shape:
            raise UserError(
                f"the digit network takes images of shape {self.shape}, not {images.shape[1:]}"
            )
        norm = batch_norm(self.momentum, 1e-5, train)
        x = images
        for channels in self.channels:
            x = nn.relu(norm()(max_pool(Conv(channels, 3)(x), 2)))
        x = nn.Dense(FEATURES)(x.reshape(x.shape[0], -1))
        return nn.relu(norm()(x))

    def __call__(self, images: Images, train: bool = False) -> Float[Array, "B K"]:
        """Maps images `[B, 28, 28, 1]` in [0, 1] to logits `[B, 10]`."""
        return self.head(self.features(images, train))


@cache
def load() -> Extractor:
    """Returns the extractor with the weights that come with the package.

    Returns:
        The extractor: 128 features, and a logit for each digit.
    """
    return make_extractor(load_network(linen(DigitNetwork()), load_safetensors(WEIGHTS), SHAPE))


def per_channel(channels: int) -> Extractor:
    """Returns an extractor that treats each channel of an image as a digit.

    Args:
        channels: number of channels.

    Returns:
        The extractor: 128 features for each channel.
    """
    one = load()

    def features(extract: Partial, images: Images) -> Array:
        parts = [extract(images[..., channel : channel + 1]) for channel in range(channels)]
        return jnp.concatenate(parts, axis=1)

    return Extractor(
        name=f"{one.name} on each channel",
        resizing="none",
        weights_hash=one.weights_hash,
        features=Partial(features, one.features),
        short=f"{one.short}_by_channel",
    )


def make_extractor(net: TrainState) -> Extractor:
    """Makes an extractor from a trained digit network.

    Args:
        net: its parameters and running averages.

    Returns:
        The extractor; see `load`.
    """
    return Extractor(
        name="digit network",
        resizing="none",
        weights_hash=hash_weights(net),
        features=make_features(DigitNetwork(), net),
        logits=make_logits(net.params["head"]["kernel"], net.params["head"]["bias"]),
        short="digits",
    )
