"""Tables of text."""

from collections.abc import Sequence


def as_text(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Writes a table, its columns as wide as need be.

    Args:
        heads: of the columns.
        rows: as many cells each.

    Returns:
        Lines, each with its end.
    """
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in (heads, *rows)]
    return "".join(f"{line}\n" for line in lines)


def as_markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Writes a table in Markdown.

    Args:
        heads: of the columns.
        rows: as many cells each, in Markdown.

    Returns:
        Lines, each with its end.
    """
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
