"""What conditional players are given besides latents and images: the labels of the batch."""

from collections.abc import Callable

from jaxgan.core.state import GANState
from jaxgan.latents import Inputs
from jaxgan.types import Batch, PRNGKey, PyTree

Show = Callable[[PyTree, PRNGKey, GANState], PyTree]  # examples to what D sees of them
View = Callable[[PyTree, Batch, PRNGKey, GANState], PyTree]  # see `GAN.view`


def labeled(draw: Inputs) -> Inputs:
    """Makes the inputs of a conditional G: latents, and the labels of the batch."""
    return lambda key, n, batch: (draw(key, n, batch), batch["label"])


def with_labels(example: PyTree, batch: Batch, key: PRNGKey, state: GANState) -> PyTree:
    """Shows a conditional D examples and the labels of the batch."""
    return example, batch["label"]


def without_labels(show: Show) -> View:
    """Shows an unconditional D what `show` makes of examples."""
    return lambda example, batch, key, state: show(example, key, state)


def beside_labels(show: Show) -> View:
    """Shows a conditional D what `show` makes of examples, and the labels of the batch."""
    return lambda example, batch, key, state: (show(example, key, state), batch["label"])
