"""Polynomials in LaTeX that fit on a page: terms with their widths, and lines of these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import sympy as sp
from flint import fmpq

from potentials.search.polynomials import Flow, Polynomial

__all__ = ["Term", "bracketed", "display", "inline", "name_of", "number", "terms"]

# A line of a page in digits; what stands before a term; and how wide letters and small signs are.
LINE, SIGN, LETTER, SMALL = 64.0, 2.5, 1.4, 0.8
# A whole number of more digits is set in several rows.
DIGITS = 50
BREAK = r" \\ "
ENTRY = re.compile(r"(.+)\[(\d+(?:,\d+)*)\]")


class Term(NamedTuple):
    """What no line is broken in.

    Parameters
    ----------
    text : str
        In LaTeX, with the sign before it.
    width : float
        About as many digits.
    """

    text: str
    width: float


def name_of(symbol: sp.Expr) -> str:
    """A variable in LaTeX; entries are counted from one, as on paper."""
    found = ENTRY.fullmatch(str(symbol))
    if found is None:
        return str(sp.latex(symbol))
    base, places = sp.latex(sp.Symbol(found[1])), [int(k) + 1 for k in found[2].split(",")]
    index = ("," if max(places) > 9 else "").join(map(str, places))
    return rf"({base})_{{{index}}}" if "_" in base else rf"{base}_{{{index}}}"


def number(value: fmpq) -> Term:
    """A positive fraction."""
    above, below = str(value.p), str(value.q)
    width = float(min(DIGITS, max(len(above), len(below))))
    if below == "1":
        return Term(_rows(above), width)
    return Term(rf"\frac{{{_rows(above)}}}{{{_rows(below)}}}", width)


def _rows(digits: str) -> str:
    """A whole number, in rows where it is long."""
    if len(digits) <= DIGITS:
        return digits
    rows = [digits[k : k + DIGITS] for k in range(0, len(digits), DIGITS)]
    return rf"\substack{{{BREAK.join(rows)}}}"


def terms(flow: Flow, p: Polynomial) -> list[Term]:
    """A polynomial, term by term; `s` is the variable of rates."""
    names = [*map(name_of, flow.symbols), "s"]
    found: list[Term] = []
    for powers, c in p.to_dict().items():
        sign = "-" if c < 0 else "+" if found else ""
        factor = number(abs(c))
        parts = [] if abs(c) == 1 and any(powers) else [factor.text]
        width = SIGN + (factor.width if parts else 0)
        for name, k in zip(names, powers, strict=True):
            if k:
                parts.append(name if k == 1 else f"{name}^{{{k}}}")
                width += _width(name) + (SMALL * len(str(k)) if k > 1 else 0)
        found.append(Term(f"{sign} {' '.join(parts)}".strip(), width))
    return found or [Term("0", 1.0)]


def _width(name: str) -> float:
    base, _, index = name.partition("_{")
    letters = re.sub(r"\\[A-Za-z]+", "x", base)
    return LETTER * len(letters.strip("{}")) + SMALL * len(index.strip("{}"))


def inline(found: Sequence[Term]) -> str:
    """In a sentence."""
    return " ".join(term.text for term in found)


def bracketed(found: Sequence[Term], after: str = "") -> list[Term]:
    """Terms in brackets, in which lines may be broken."""
    tall = any("frac" in term.text for term in found)
    left, right = (r"\Bigl(", r"\Bigr)") if tall else (r"\bigl(", r"\bigr)")
    *rest, last = found
    closed = [*rest, Term(f"{last.text} {right}{after}", last.width + 2)]
    return [Term(f"{left} {closed[0].text}", closed[0].width + 2), *closed[1:]]


def display(rows: Sequence[Sequence[Term]], signs: Sequence[str] = ("", "=", "+")) -> list[str]:
    """Rows, each in as many lines as it needs; signs stand before the first, second and others."""
    lines: list[str] = []
    for k, row in enumerate(rows):
        sign = signs[min(k, len(signs) - 1)]
        here, width = "", 0.0
        for term in row:
            if here and width + term.width > LINE:
                lines.append(here)
                here, width = "", 0.0
            here = here or (rf"& {sign}{{}}" if term is row[0] else r"& \qquad {}")
            here = f"{here} {term.text}"
            width += term.width
        lines.append(here)
    body = [f"{line} \\\\" for line in lines[:-1]] + lines[-1:]
    return [r"{\allowdisplaybreaks", r"\begin{align*}", *body, r"\end{align*}}"]
