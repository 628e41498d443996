"""Training: from a recipe to a finished run."""

from jaxgan.training.chunks import Chunk
from jaxgan.training.loop import Diverged, Interrupted, train
from jaxgan.training.observers import Observer

__all__ = ["Chunk", "Diverged", "Interrupted", "Observer", "train"]
