"""The page of pictures in several versions, such as damaged, restored, and as they were."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxgan.report.page import Picture, as_uri, render
from jaxgan.report.pictures import picture

MOST = 200  # pictures on the page


class Row(NamedTuple):
    """A picture on the page, in several versions."""

    name: str
    note: str  # numbers
    images: UInt8[np.ndarray, "K H W C"]  # a version in each column


def versions_page(
    title: str,
    facts: Mapping[str, str],
    table: tuple[Sequence[str], Sequence[Sequence[str]]] | None,
    columns: Sequence[str],
    rows: Sequence[Row],
) -> str:
    """Makes a page, a single file of HTML.

    Args:
        title: of the page.
        facts: about what was done, by name.
        table: heads and rows of the scores; None where the truth is not known.
        columns: what the versions of a picture are.
        rows: the pictures; the first `MOST` are shown.

    Returns:
        The page.
    """

    return render(
        "versions.html.jinja",
        title=title,
        facts=facts,
        table=table,
        columns=columns,
        rows=[(row, draw(columns, row)) for row in rows[:MOST]],
        count=len(rows),
    )


def draw(columns: Sequence[str], row: Row) -> list[Picture]:
    """Draws the versions of a picture, each described by its column."""
    versions = zip(columns, row.images, strict=True)
    return [_picture(f"{row.name}: {head}", image) for head, image in versions]


def _picture(alt: str, image: UInt8[np.ndarray, "H W C"]) -> Picture:
    data = BytesIO()
    picture(image).save(data, "PNG")
    return Picture(alt, as_uri(data.getvalue()))
