"""Protocols that papers name: all that a number depends on besides the GAN and its data set.

    protocol = PUBLISHED["clean-fid"]
    extractor = protocol.extractor()  # needs weights that the user imported

They change in many ways at once, so one word stands for all of them. Numbers under one word can be
compared with published ones if the data set and the size of its images are the same too.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from jaxgan.features import Extractor, clip, dinov2, inception


class Published(NamedTuple):
    """A protocol, with its source."""

    source: str
    metrics: tuple[str, ...]  # those that it defines
    generated: int  # number of samples
    reference: int | None  # number of training examples; None for all
    extractor: Callable[[], Extractor]  # raises UserError if it has no weights yet
    settings: Mapping[str, int]  # of the metrics


BLOCKS = {"block": 1000, "blocks": 100}  # of the kernel distance
FIVE = {"k_manifold": 5, "k_density": 5}  # of precision, recall, density and coverage

PUBLISHED: Mapping[str, Published] = {
    "fid50k": Published(
        "Heusel et al. (2017); fid50k_full of Karras et al. (2020)",
        ("fid", "kid"),
        50_000,
        None,
        inception.load,
        BLOCKS,
    ),
    "clean-fid": Published(
        "Parmar et al. (2022), mode clean",
        ("fid", "kid"),
        50_000,
        None,
        partial(inception.load, inception.CLEAN),
        BLOCKS,
    ),
    "studiogan-friendly": Published(
        "Kang et al. (2023), InceptionV3_tf, post-resizer friendly, reference train",
        ("fid", "is", "prdc"),
        50_000,
        None,
        partial(inception.load, inception.FRIENDLY),
        {"splits": 1} | FIVE,
    ),
    "dgm-eval": Published(
        "Stein et al. (2023): FD_DINOv2",
        ("fid",),
        50_000,
        50_000,
        dinov2.load,
        {},
    ),
    "prdc10k": Published(
        "Naeem et al. (2020), of DINOv2's features, as in Stein et al. (2023)",
        ("prdc",),
        10_000,
        10_000,
        dinov2.load,
        FIVE,
    ),
    "cmmd": Published(
        "Jayasumana et al. (2024)",
        ("cmmd",),
        30_000,
        30_000,
        clip.load,
        {},
    ),
}
