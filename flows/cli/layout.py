"""Text that fits a terminal: tables and labelled lines, in which no word and no number is cut.

A table whose columns do not fit even with wrapped cells becomes one record a row.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table", "counted", "labelled", "width", "wrapped"]

#: Columns where there is no terminal to ask, and the fewest that are used.
WIDE, NARROW = 100, 40
GAP = 2
#: Of the labels in front of lines.
LABEL = 12


def width() -> int:
    """Columns of the terminal; the variable COLUMNS goes before it."""
    return max(NARROW, shutil.get_terminal_size((WIDE, 24)).columns)


def counted(number: int, one: str, many: str = "") -> str:
    """Number and noun: ``1 axiom``, ``2 axioms``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def wrapped(text: str, columns: int, indent: str = "") -> list[str]:
    """Lines of at most so many columns, broken between words only; line breaks stay."""
    columns = max(1, columns - len(indent))
    made = [
        line
        for part in text.split("\n")
        for line in textwrap.wrap(part, columns, break_long_words=False, break_on_hyphens=False)
        or [""]
    ]
    return [indent + line for line in made]


def labelled(label: str, text: str, columns: int, indent: str = "  ") -> list[str]:
    """Label and text beside it, or below it where a word is too long for that."""
    room = columns - len(indent) - LABEL
    if max(map(len, text.split()), default=0) > room:
        return [*([indent + label] if label else []), *wrapped(text, columns, 2 * indent)]
    lines = wrapped(text, room)
    return [f"{indent}{label if k == 0 else '':<{LABEL}}{x}" for k, x in enumerate(lines)]


@dataclass(frozen=True)
class Table:
    """Columns with headings, rows of cells, and a line below."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    def lines(self, columns: int) -> list[str]:
        """Lines of at most so many columns, unless one word alone is longer."""
        widths = self._widths(columns)
        made = self._records(columns) if widths is None else self._grid(widths)
        return ["", *made, *(wrapped(self.caption, columns, " ") if self.caption else [])]

    def _widths(self, columns: int) -> list[int] | None:
        """Width of each column; None if not even the longest words stand side by side."""
        cells = list(zip(self.columns, *self.rows, strict=True))
        natural = [max(len(line) for x in column for line in x.split("\n")) for column in cells]
        least = [max(len(word) for x in column for word in [*x.split(), ""]) for column in cells]
        room = columns - 2 - GAP * (len(natural) - 1)
        if sum(least) > room:
            return None
        while sum(natural) > room:
            free = [n if n > at_least else 0 for n, at_least in zip(natural, least, strict=True)]
            natural[free.index(max(free))] -= 1
        return natural

    def _grid(self, widths: Sequence[int]) -> list[str]:
        rule = " " + "─" * (sum(widths) + GAP * (len(widths) - 1) + 1)
        rows = [self._row(row, widths) for row in self.rows]
        return [*self._row(self.columns, widths), rule, *(line for row in rows for line in row)]

    @staticmethod
    def _row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
        columns = [wrapped(cell, w) for cell, w in zip(cells, widths, strict=True)]
        height = max(len(column) for column in columns)
        padded = [column + [""] * (height - len(column)) for column in columns]
        return [
            (
                " " + (" " * GAP).join(f"{x:<{w}}" for x, w in zip(line, widths, strict=True))
            ).rstrip()
            for line in zip(*padded, strict=True)
        ]

    def _records(self, columns: int) -> list[str]:
        """One record a row: its first cell, then each other cell behind its heading."""
        made: list[str] = []
        for first, *rest in self.rows:
            heading = f"{self.columns[0]} {first}".strip()
            made += wrapped(heading, columns, " ")
            for name, cell in zip(self.columns[1:], rest, strict=True):
                if cell:
                    made += wrapped(f"{name} {cell}".strip(), columns, "   ")
        return made
