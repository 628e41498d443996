"""Usefulness: how well a classifier that learned from a data set reads real pictures.

Train on synthetic, test on real (TSTR), beside a classifier that learned from as many real ones:
Esteban, Hyland and Ratsch, "Real-valued (Medical) Time Series Generation with Recurrent Conditional
GANs" (2017); for pictures, Ravuri and Vinyals, "Classification Accuracy Score for Conditional
Generative Models" (2019).
"""

from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from jaxgan.core.networks import linen
from jaxgan.core.state import TrainState
from jaxgan.data import scale
from jaxgan.data.writing import Part
from jaxgan.features.digits import DigitNetwork
from jaxgan.keys import stream
from jaxgan.types import PRNGKey
from jaxgan.util.errors import UserError

CHANNELS = (8, 16, 32)  # of the classifier's convolutions
LEAST_SIDE = 2 ** len(CHANNELS)  # of a picture
MOMENTUM = 0.9  # of running averages: training is short
STEPS = 400
BATCH_SIZE = 64
LEARNING_RATE = 0.01  # the highest of one cycle
WEIGHT_DECAY = 0.01
TOGETHER = 100  # pictures that are read at once


def usefulness(examples: Part, test: Part, classes: int, key: PRNGKey) -> float:
    """Trains a small classifier on examples, and measures its accuracy on others.

    Whatever their number, it takes the same number of steps, so numbers for sets of one size
    compare.

    Args:
        examples: with labels, at least one.
        test: with labels, at least one: real ones that are not among the examples.
        classes: number of classes.
        key: of the first weights, and of the order.

    Returns:
        The share of `test` that is read correctly.

    Raises:
        UserError: if there are no labels, or the pictures are too small.
    """
    if examples.labels is None or test.labels is None:
        raise UserError("usefulness needs examples with labels")
    height, width, channels = examples.images.shape[1:]
    if min(height, width) < LEAST_SIDE:
        raise UserError(
            f"usefulness needs pictures of {LEAST_SIDE} x {LEAST_SIDE} pixels or more, not "
            f"{height} x {width}"
        )
    module = DigitNetwork(CHANNELS, (height, width, channels), classes, MOMENTUM)
    images, labels = jnp.asarray(examples.images), jnp.asarray(examples.labels)
    net = _learn(module, images, labels, key)
    right = _read(module, net, jnp.asarray(test.images)) == jnp.asarray(test.labels)
    return float(right.mean())


@partial(jax.jit, static_argnums=0)
def _learn(module: DigitNetwork, images: Array, labels: Array, key: PRNGKey) -> TrainState:
    network = linen(module)
    schedule = optax.cosine_onecycle_schedule(STEPS, LEARNING_RATE)
    optimizer = optax.adamw(schedule, weight_decay=WEIGHT_DECAY)
    params, collections = network.init(stream(key, "init"), scale(images[:1], 0.0, 1.0))

    def step(net: TrainState, own: PRNGKey) -> tuple[TrainState, None]:
        chosen = jax.random.randint(own, (BATCH_SIZE,), 0, len(images))
        batch = scale(images[chosen], 0.0, 1.0)

        def loss(params: Any) -> tuple[Array, Any]:
            logits, moved = network.apply(params, net.collections, batch, own, True)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels[chosen])
            return losses.mean(), moved

        gradients, moved = jax.grad(loss, has_aux=True)(net.params)
        changes, state = optimizer.update(gradients, net.opt_state, net.params)
        return TrainState(optax.apply_updates(net.params, changes), moved, state), None

    start = TrainState(params, collections, optimizer.init(params))
    return lax.scan(step, start, jax.random.split(stream(key, "steps"), STEPS))[0]


@partial(jax.jit, static_argnums=0)
def _read(module: DigitNetwork, net: TrainState, images: Array) -> Array:
    variables = {"params": net.params, **net.collections}

    def read(image: Array) -> Array:
        return cast(Array, module.apply(variables, scale(image[None], 0.0, 1.0))).argmax()

    return lax.map(read, images, batch_size=TOGETHER)
