"""What conditional networks ask about labels."""

from typing import TypeGuard

from jax import Array
from jaxtyping import Int


def is_conditional(classes: int | None, labels: Int[Array, "B"] | None) -> TypeGuard[int]:
    """Tells whether a network is conditional, and whether its caller knows.

    Args:
        classes: of the network; None if it is unconditional.
        labels: what it is called with besides its first input.

    Returns:
        Whether there are classes, and so labels.

    Raises:
        ValueError: if there is only one of the two.
    """
    if classes is not None and labels is None:
        raise ValueError(f"a network of {classes} classes needs labels as its second input")
    if classes is None and labels is not None:
        raise ValueError("labels are for conditional networks: set classes, or leave labels out")
    return classes is not None
