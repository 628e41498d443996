"""How good generated samples are: pure functions of features, and streaming accumulators.

A feature is what some network (or none) makes of an image. Any function `images -> features` will
do, for the metrics see arrays alone:

    extract = jax.jit(lambda images: images.reshape(len(images), -1))  # pixels, say
    real, fake = (jnp.concatenate([extract(batch) for batch in batches]) for batches in (...))
    frechet_distance(real, fake)
    prdc(real, fake).precision

Features of 50,000 images need not be kept for the Frechet distance: `moments` takes them in batch
by batch on the device, as `modes` does labels and points. Both are modules of pure functions:
`init`, `update`, `merge`, `result`.

A number means nothing without its protocol: put it into a `Result`.
"""

from jaxgan.metrics import modes, moments
from jaxgan.metrics.frechet import frechet_distance
from jaxgan.metrics.inception import inception_score
from jaxgan.metrics.intervals import Estimate, Interval, bootstrap, estimate, of_draws
from jaxgan.metrics.kernel import kernel_distance, squared_mmd
from jaxgan.metrics.neighbours import PRDC, prdc
from jaxgan.metrics.result import Protocol, Result
from jaxgan.metrics.similarity import ms_ssim, pair_similarities
from jaxgan.metrics.sliced import pyramid_distances, sliced_wasserstein

__all__ = [
    "Estimate",
    "Interval",
    "PRDC",
    "Protocol",
    "Result",
    "bootstrap",
    "estimate",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "modes",
    "moments",
    "ms_ssim",
    "of_draws",
    "pair_similarities",
    "prdc",
    "pyramid_distances",
    "sliced_wasserstein",
    "squared_mmd",
]
