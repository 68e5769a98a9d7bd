"""What a page proves of one start for all times; code that made no part of the proof checks it."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from pathlib import Path
from typing import Any

from markupsafe import Markup

from flows.certificates.certify import certify
from flows.certificates.verifier.tail import Theorem
from flows.certificates.verifier.verify import verify
from flows.pages import html
from flows.pages.case import Endless

__all__ = ["Proved", "proved"]

# Digits of bounds on a page, rounded so that they stay bounds.
DIGITS = 4


@dataclass(frozen=True)
class Proved:
    """A theorem for all times.

    Parameters
    ----------
    text : Markup
        What is proved, to stand in a page.
    """

    text: Markup


def proved(asked: Endless) -> Proved:
    """Prove the theorem of a start for all times, and have the proof checked.

    Parameters
    ----------
    asked : Endless
        The start.

    Returns
    -------
    Proved
        The checker's theorem; where it refuses, its reason.
    """
    certificate = certify(asked.system, asked.start, t_end=math.inf, digits=asked.digits)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cert.json"
        certificate.save(path)
        found = verify(path, asked.system, asked.start)
    theorem = found.endless
    values: dict[str, Any] = {
        "options": asked.options,
        "digits": asked.digits,
        "refused": found.refused,
    }
    if isinstance(theorem, Theorem):
        values |= {
            "lower": _rounded(theorem.lower, ROUND_FLOOR),
            "upper": _rounded(theorem.upper, ROUND_CEILING),
            # A ball's own text: its radius counts the rounding of what is printed.
            "limit": theorem.limit.str(asked.digits).strip("[]").replace("+/-", "±"),
        }
    elif found.accepted:
        values["refused"] = "nothing is stated of all times"
    return Proved(Markup(html.render("proved.html", p=values)))


def _rounded(x: float, way: str) -> float:
    return float(Context(prec=DIGITS, rounding=way).create_decimal(x))
