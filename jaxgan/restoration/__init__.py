"""Restoration: finds the latents whose picture agrees with what is known of a damaged one.

A restoration is made of functions, each of which yours can replace: an operator that says what is
known, an objective, a search, and a last touch that puts what is known back.

    operator = compose(blur(1.5), downscale(4))

    @jax.jit
    def restore(state, known, starts):  # known: [N, h, w, C], starts: latents [N, Z]
        def objective(latents):
            return distance(operator(jaxgan.generate(gan, state, latents)), known)

        begun = begin(starts, optimizer)
        found, losses = search(objective, begun, optimizer, 300, keep_length)
        return project(operator, jaxgan.generate(gan, state, found.best), known), found.loss

Terms add up: `distance(...) + 0.1 * gaussian_prior(latents) + 0.01 * realism(gan, state, ...)`.
With several starts for each picture, `best_first` sorts what they came to. For masks, weights take
the place of the operator, `distance(images, known, hole_weights(mask))`, and `blend` that of
`project`. `jaxgan restore` does this for a finished run.
"""

from jaxgan.restoration.completion import blend, project
from jaxgan.restoration.objectives import distance, gaussian_prior, hole_weights, realism
from jaxgan.restoration.operators import (
    Known,
    Mask,
    Operator,
    blur,
    center,
    compose,
    downscale,
    gray,
    keep,
    left,
    scattered,
)
from jaxgan.restoration.searching import Search, begin, best_first, keep_length, search

__all__ = [
    "Known",
    "Mask",
    "Operator",
    "Search",
    "begin",
    "best_first",
    "blend",
    "blur",
    "center",
    "compose",
    "distance",
    "downscale",
    "gaussian_prior",
    "gray",
    "hole_weights",
    "keep",
    "keep_length",
    "left",
    "project",
    "realism",
    "scattered",
    "search",
]
