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


class Settings(NamedTuple):
    """Numbers that metrics depend on."""

    block: int = 1000  # samples in a block of the kernel distance (Binkowski et al., 2018)
    blocks: int = 100
    splits: int = 10  # of the Inception score (Salimans et al., 2016)
    k_manifold: int = 3  # neighbors for precision and recall (Kynkaanniemi et al., 2019)
    k_density: int = 5  # neighbors for density and coverage (Naeem et al., 2020)


AS_PUBLISHED = Settings()  # by those who introduced the metrics


class Published(NamedTuple):
    """A protocol, with its source."""

    source: str
    metrics: tuple[str, ...]  # those that it defines
    generated: int  # number of samples
    reference: int | None  # number of training examples; None for all
    extractor: Callable[[], Extractor]  # raises UserError if it has no weights yet
    settings: Settings = AS_PUBLISHED


PUBLISHED: Mapping[str, Published] = {
    "fid50k": Published(
        "Heusel et al. (2017); fid50k_full of Karras et al. (2020)",
        ("fid", "kid"),
        50_000,
        None,
        inception.load,
    ),
    "clean-fid": Published(
        "Parmar et al. (2022), mode clean",
        ("fid", "kid"),
        50_000,
        None,
        partial(inception.load, inception.CLEAN),
    ),
    "studiogan-friendly": Published(
        "Kang et al. (2023), InceptionV3_tf, post-resizer friendly, reference train",
        ("fid", "is", "prdc"),
        50_000,
        None,
        partial(inception.load, inception.FRIENDLY),
        Settings(splits=1, k_manifold=5, k_density=5),
    ),
    "dgm-eval": Published(
        "Stein et al. (2023): FD_DINOv2",
        ("fd",),
        50_000,
        50_000,
        dinov2.load,
    ),
    "prdc10k": Published(
        "Naeem et al. (2020), of DINOv2's features, as in Stein et al. (2023)",
        ("prdc",),
        10_000,
        10_000,
        dinov2.load,
        Settings(k_manifold=5, k_density=5),
    ),
    "cmmd": Published(
        "Jayasumana et al. (2024)",
        ("cmmd",),
        30_000,
        30_000,
        clip.load,
    ),
}
