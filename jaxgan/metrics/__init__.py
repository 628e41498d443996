"""Metrics of generated samples: pure functions of features, and streaming accumulators.

Features may come from any function `images -> features`; the metrics see only arrays:

    extract = jax.jit(lambda images: images.reshape(len(images), -1))  # pixels, say
    real, fake = (jnp.concatenate([extract(batch) for batch in batches]) for batches in (...))
    frechet_distance(real, fake)
    prdc(real, fake).precision

The Frechet distance does not need the features of 50,000 images in memory: `moments` accumulates
them batch by batch, as `modes` does labels and points. Both are modules of pure functions: `init`,
`update`, `merge`, `result`.

A number means nothing without its protocol: a `Result` holds both.
"""

from jaxgan.metrics import modes, moments
from jaxgan.metrics.cmmd import cmmd
from jaxgan.metrics.extrapolation import frechet_infinity
from jaxgan.metrics.frechet import frechet_distance
from jaxgan.metrics.inception import inception_score
from jaxgan.metrics.intervals import Estimate, Interval, estimate, t_interval
from jaxgan.metrics.kernel import kernel_distance, squared_mmd
from jaxgan.metrics.memorization import authenticity, data_copying, nearest_distance_ratio
from jaxgan.metrics.neighbors import PRDC, Neighbors, nearest, prdc, radii
from jaxgan.metrics.path import path_lengths, perceptual_path_length
from jaxgan.metrics.psnr import psnr, squared_errors
from jaxgan.metrics.result import Protocol, Result
from jaxgan.metrics.similarity import ms_ssim, pair_similarities, ssim
from jaxgan.metrics.sliced import pyramid_distances, sliced_wasserstein

__all__ = [
    "Estimate",
    "Interval",
    "Neighbors",
    "PRDC",
    "Protocol",
    "Result",
    "authenticity",
    "cmmd",
    "data_copying",
    "estimate",
    "frechet_distance",
    "frechet_infinity",
    "inception_score",
    "kernel_distance",
    "modes",
    "moments",
    "ms_ssim",
    "nearest",
    "nearest_distance_ratio",
    "pair_similarities",
    "path_lengths",
    "perceptual_path_length",
    "prdc",
    "psnr",
    "pyramid_distances",
    "radii",
    "sliced_wasserstein",
    "squared_errors",
    "squared_mmd",
    "ssim",
    "t_interval",
]
