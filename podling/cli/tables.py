"""Tables: Go's text/tabwriter with Podman's settings, measuring in terminal cells.

A column is a run of lines in which the cell is ended by a tab; its width is that of its widest cell plus the padding.
What follows a line's last tab belongs to no column and is not padded.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MINIMUM_WIDTH = 12
PADDING = 2


def render(rows: Iterable[Iterable[str]]) -> str:
    """Return rows as a table, a line each; control characters in cells are shown escaped."""
    return align([[_printable(cell) for cell in row] for row in rows])


def align(lines: list[list[str]]) -> str:
    """Return lines of cells with their columns aligned."""
    padded: list[list[str]] = [[] for _ in lines]
    _align_block(lines, padded, 0, len(lines), 0)
    return "".join("".join(cells) + "\n" for cells in padded)


def align_text(text: str) -> str:
    """Return text with tabs as a table."""
    lines = text.split("\n")
    tail = lines.pop()
    aligned = align([line.split("\t") for line in lines])
    return aligned + tail


def _align_block(lines: list[list[str]], padded: list[list[str]], first: int, end: int, column: int) -> None:
    """Pad one column and those right of it, in a block of lines that all have the columns left of it."""
    line = first
    while line < end:
        if len(lines[line]) <= column + 1:
            padded[line] += lines[line][column:]
            line += 1
            continue
        last = line
        while last < end and len(lines[last]) > column + 1:
            last += 1
        widths = [width(lines[index][column]) for index in range(line, last)]
        broadest = max(widths)
        room = max(MINIMUM_WIDTH, broadest + PADDING)
        for index, taken in zip(range(line, last), widths, strict=True):
            padded[index].append(lines[index][column] + " " * (room - taken))
        _align_block(lines, padded, line, last, column + 1)
        line = last


def width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    cells = 0
    for character in text:
        if unicodedata.category(character) not in ("Mn", "Me", "Cf"):
            cells += 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
    return cells


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
