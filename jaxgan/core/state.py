"""What training moves: arrays alone, so that equal states have equal trees."""

from typing import no_type_check

import jax
import numpy as np
from flax import struct
from jax import Array

from jaxgan.types import PyTree


@no_type_check  # at run time: JAX and Orbax fill trees with all kinds of leaves
class TrainState(struct.PyTreeNode):
    """What training moves of one player: its network, or its networks as one."""

    params: PyTree
    collections: PyTree  # all else that the network keeps, such as running averages, by name
    opt_state: PyTree


@no_type_check  # as above
class GANState(struct.PyTreeNode):
    """What training moves of a GAN."""

    step: Array  # int32 []: training steps done
    generator: TrainState
    discriminator: TrainState
    extra: dict[str, PyTree]  # what updates keep for themselves, by name

    def with_extra(self, **values: PyTree) -> "GANState":
        """Returns the state with some entries of `extra` added or replaced."""
        return self.replace(extra=self.extra | values)


def steps_done(state: GANState) -> int:
    """Returns the number of training steps behind a state, or behind a population's states."""
    return int(np.ravel(jax.device_get(state.step))[0])
