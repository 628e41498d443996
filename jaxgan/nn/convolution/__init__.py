"""Two-dimensional convolution and its two adjoints, by the fastest of three methods."""

from jaxgan.nn.convolution.bilinear import convolve, correlate, same_padding, transpose

__all__ = ["convolve", "correlate", "same_padding", "transpose"]
