"""Linen layers that Flax lacks."""

from jaxgan.nn.layers import (
    Conv,
    ConvTranspose,
    Dropout,
    FanInDense,
    batch_norm,
    max_pool,
    uniform,
)

__all__ = ["Conv", "ConvTranspose", "Dropout", "FanInDense", "batch_norm", "max_pool", "uniform"]
