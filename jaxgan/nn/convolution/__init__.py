"""Two-dimensional convolution and its two adjoints, computed in the quickest of three ways."""

from jaxgan.nn.convolution.bilinear import convolve, correlate, same_padding, transpose

__all__ = ["convolve", "correlate", "same_padding", "transpose"]
