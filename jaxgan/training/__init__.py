"""Training: from a recipe to a finished run."""

from jaxgan.training.loop import Diverged, Interrupted, train

__all__ = ["Diverged", "Interrupted", "train"]
