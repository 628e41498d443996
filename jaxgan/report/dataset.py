"""The page of a data set: what was measured over the knob, and pictures beside real ones."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxgan.report.page import render
from jaxgan.report.versions import Row, draw


class Table(NamedTuple):
    """Numbers on the page."""

    title: str
    note: str  # how to read them
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


class Gallery(NamedTuple):
    """Pictures on the page."""

    title: str
    note: str  # what they show
    columns: Sequence[str]  # what the versions of a picture are
    rows: Sequence[Row]


def dataset_page(
    title: str, facts: Mapping[str, str], tables: Sequence[Table], galleries: Sequence[Gallery]
) -> str:
    """Makes a page, a single file of HTML.

    Args:
        title: of the page.
        facts: about the data set, by name.
        tables: numbers.
        galleries: pictures.

    Returns:
        The page.
    """
    drawn = [(each, [(row, draw(each.columns, row)) for row in each.rows]) for each in galleries]
    return render("dataset.html.jinja", title=title, facts=facts, tables=tables, galleries=drawn)
